//! The pipeline's part of the status: everything but the clients, which the control thread knows. Of
//! namespaces it tells what the asker may read, and of the instance's own affairs only who looks after it.

use serde_json::{Value as Json, json};
use shmirror_shm::catalogue::TableDef;
use shmirror_shm::limits;

use super::Pipeline;
use super::questions::sees;
use super::segments::Part;
use crate::instance::VERSION;
use crate::rights::Rights;

impl Pipeline {
    /// The state at this moment, as JSON, for `uid` that may do what `rights` say.
    pub(super) fn status(&self, uid: u32, rights: &Rights) -> Json {
        let instance = &self.instance;
        let config = &instance.config;
        let parts = self.segments.parts().iter();
        let parts: Vec<&Part> = parts.filter(|part| rights.may_read(part.id)).collect();
        let first = parts.first();
        let locked = parts.iter().all(|part| part.segment.locked());
        let sum = |f: fn(&Part) -> u64| -> u64 { parts.iter().map(|part| f(part)).sum() };
        let mut status = json!({
            "instance": config.instance.name,
            "id": instance.id_text(),
            "version": VERSION,
            "pid": instance.pid,
            "uptime_s": instance.started.elapsed().as_secs(),
            "generation": first.map_or(instance.generation, |part| part.segment.generation()),
            "revision": self.newest_revision,
            "schema_version": self.catalogue.schema_version,
            "socket": instance.socket.to_string_lossy(),
            "durability": config.store.synchronous.promise(),
            "namespaces": parts.iter().map(|part| self.part_status(part, rights)).collect::<Json>(),
            "tables": self.tables(rights),
            "segment": {
                "used": sum(|part| part.segment.used_bytes()),
                "populated": sum(|part| part.segment.populated_bytes()),
                "reserve": sum(|part| part.segment.reserve_bytes()),
                "locked": locked,
            },
            "memory": { "locked": locked, "dump_excluded": true },
            "events": first.map(|part| events_status(part)),
            "lanes": self.lanes.status((!rights.administers()).then_some((uid, rights))),
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
                "namespaces": limits::NAMESPACES,
                "transaction_time_ms": config.limits.transaction_time.as_millis() as u64,
                "query_time_ms": config.limits.query_time.as_millis() as u64,
            },
        });
        if rights.administers()
            && let Some(status) = status.as_object_mut()
        {
            status.insert("data".to_owned(), json!(config.data.to_string_lossy()));
            status.insert("lag".to_owned(), self.lag());
            status.insert("store".to_owned(), self.store_status());
        }
        status
    }

    /// How far what follows the newest revision is behind it.
    fn lag(&self) -> Json {
        let checkpoint = self.store.figures().checkpoint;
        // Of the lane that goes back the least.
        let oldest = self.segments.parts().iter().map(|part| part.lane().oldest_revision()).max();
        let oldest = oldest.unwrap_or(u64::MAX);
        json!({
            "requests_waiting": self.carry.len(),
            "revisions_after_checkpoint": self.newest_revision.saturating_sub(checkpoint),
            // A subscriber that is further behind reads the commit log.
            "revisions_held_for_subscribers":
                self.newest_revision.saturating_add(1).saturating_sub(oldest),
        })
    }

    fn part_status(&self, part: &Part, rights: &Rights) -> Json {
        let tables = self.catalogue.tables.iter();
        let ids = tables.filter(|t| t.namespace.eq_ignore_ascii_case(&part.name)).map(|t| t.id);
        let rows: Vec<u64> = ids.map(|id| part.segment.rows(id)).collect();
        json!({
            "name": part.name,
            "writable": rights.may_write(part.id),
            "tables": rows.len(),
            "rows": rows.iter().sum::<u64>(),
            "segment": {
                "generation": part.segment.generation(),
                "used": part.segment.used_bytes(),
                "populated": part.segment.populated_bytes(),
                "reserve": part.segment.reserve_bytes(),
                "locked": part.segment.locked(),
            },
            "events": events_status(part),
        })
    }

    fn tables(&self, rights: &Rights) -> Json {
        let table = |t: &TableDef| {
            json!({
                "name": t.full_name(),
                "id": t.id,
                "rows": self.segments.rows(t.id),
                "slot_bytes": self.segments.slot_bytes(t.id),
                "columns": t.columns.iter().filter(|c| !c.hidden).count(),
            })
        };
        let seen = |t: &&TableDef| sees(&self.catalogue, rights, &t.namespace);
        self.catalogue.tables.iter().filter(seen).map(table).collect()
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

fn events_status(part: &Part) -> Json {
    let lane = part.lane();
    let oldest = lane.oldest_revision();
    json!({
        "bytes": part.lane_bytes(),
        "oldest_revision": (oldest != u64::MAX).then_some(oldest),
        "newest_revision": lane.newest_revision(),
        "next_sequence": part.newest_sequence() + 1,
    })
}
