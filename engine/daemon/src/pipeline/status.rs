//! The pipeline's part of the status: everything but the clients, which the control thread knows.

use serde_json::{Value as Json, json};
use shmirror_shm::limits;

use super::Pipeline;
use crate::instance::VERSION;

impl Pipeline {
    /// The state at this moment, as JSON.
    pub(super) fn status(&self) -> Json {
        let instance = &self.instance;
        let config = &instance.config;
        json!({
            "instance": config.instance.name,
            "id": instance.id_text(),
            "version": VERSION,
            "pid": instance.pid,
            "uptime_s": instance.started.elapsed().as_secs(),
            "generation": self.segment.generation(),
            "revision": self.newest_revision,
            "schema_version": self.catalogue.schema_version,
            "socket": instance.socket.to_string_lossy(),
            "data": config.data.to_string_lossy(),
            "durability": config.store.synchronous.promise(),
            "tables": self.tables(),
            "segment": {
                "used": self.segment.used_bytes(),
                "populated": self.segment.populated_bytes(),
                "reserve": self.segment.reserve_bytes(),
                "locked": self.segment.locked(),
            },
            "memory": { "locked": self.segment.locked(), "dump_excluded": true },
            "events": self.events_status(),
            "lanes": self.lanes.status(),
            "lag": self.lag(),
            "store": self.store_status(),
            "limits": {
                "tables": limits::TABLES,
                "columns": limits::COLUMNS,
                "key_columns": limits::KEY_COLUMNS,
                "key_bytes": limits::KEY_BYTES,
                "value_bytes": limits::VALUE_BYTES,
                "row_bytes": limits::ROW_BYTES,
                "request_bytes": config.lanes.requests_bytes / 2,
                "transaction_bytes": limits::TRANSACTION_BYTES,
                "transaction_rows": limits::TRANSACTION_ROWS,
                "clients": limits::CLIENTS,
                "lanes": limits::LANES,
                "transaction_time_ms": config.limits.transaction_time.as_millis() as u64,
                "query_time_ms": config.limits.query_time.as_millis() as u64,
            },
        })
    }

    /// How far what follows the newest revision is behind it.
    fn lag(&self) -> Json {
        let checkpoint = self.store.figures().checkpoint;
        let oldest = self.events_view.oldest_revision();
        json!({
            "requests_waiting": self.carry.len(),
            "revisions_after_checkpoint": self.newest_revision.saturating_sub(checkpoint),
            // A subscriber that is further behind reads the commit log.
            "revisions_held_for_subscribers":
                self.newest_revision.saturating_add(1).saturating_sub(oldest),
        })
    }

    fn tables(&self) -> Json {
        let table = |t: &shmirror_shm::catalogue::TableDef| {
            json!({
                "name": t.name,
                "id": t.id,
                "rows": self.segment.rows(t.id),
                "slot_bytes": self.segment.slot_bytes(t.id),
                "columns": t.columns.iter().filter(|c| !c.hidden).count(),
            })
        };
        self.catalogue.tables.iter().map(table).collect()
    }

    fn events_status(&self) -> Json {
        let view = &self.events_view;
        let oldest = view.oldest_revision();
        json!({
            "bytes": self.events.region().len(),
            "oldest_revision": (oldest != u64::MAX).then_some(oldest),
            "newest_revision": view.newest_revision(),
            "next_sequence": self.events.newest_sequence() + 1,
        })
    }

    fn store_status(&self) -> Json {
        let figures = self.store.figures();
        let (cipher, key_id) = self.store.seals_with();
        json!({
            "cipher": cipher,
            "key_provider": self.store.key_provider().name(),
            "key_id": key_id,
            "rotation": self.rotation_status(),
            "synchronous": self.instance.config.store.synchronous.name(),
            "log_oldest_revision": figures.oldest,
            "checkpoint_revision": figures.checkpoint,
            "log_bytes": figures.log_bytes,
            "rows": figures.rows,
            "dirty_rows": figures.dirty_rows,
            "db_bytes": std::fs::metadata(self.store.path()).map_or(0, |meta| meta.len()),
            "wal_pages": figures.wal_pages,
        })
    }
}
