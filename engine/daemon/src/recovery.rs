//! Start: the store goes in; the working copy, and for each namespace a segment and an events lane, come
//! out, as of the newest committed revision.
//!
//! ```text
//! store ─ opens every seal ─► batches of rows ─┬─► working copy (SQLite, in memory)
//!                                              └─► segments
//! ```
//! The three run at once. Rows of a past shape go through the working copy first, which gives their
//! new columns their values, and from there into the segments.

use std::collections::HashMap;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use shmirror_shm::catalogue::{Catalogue, TableDef};
use shmirror_shm::image::ImageRef;
use shmirror_shm::key::{Key, KeyPart};
use shmirror_shm::limits;
use shmirror_shm::snapshot::{RowChange, SegmentError, SegmentWriter};
use shmirror_store::{Recovered, Store, StoreOptions, StoredRow};

use crate::apply::WorkingCopy;
use crate::config::{Config, Synchronous};
use crate::error::DaemonError;
use crate::keys::Secrets;
use crate::pipeline::Foundation;
use crate::pipeline::segments::{Part, Segments};
use crate::room::{larger, may_be_short, with_room};

/// Rows of one batch, at most.
const BATCH_ROWS: usize = 4_096;
/// Words of one batch, about.
const BATCH_WORDS: usize = 1 << 17;
/// Batches under way.
const BATCHES: usize = 8;

/// Opens the store of `config` and rebuilds everything from it. `opened` is called once it is clear
/// that the data directory is ours. Returns the instance's id as well.
pub(crate) fn recover(
    config: &Config,
    secrets: &Secrets,
    opened: impl FnOnce() -> Result<(), DaemonError>,
) -> Result<([u8; 16], Foundation), DaemonError> {
    let options = StoreOptions {
        synchronous: match config.store.synchronous {
            Synchronous::Full => shmirror_store::Synchronous::Full,
            Synchronous::Normal => shmirror_store::Synchronous::Normal,
        },
        cipher: config.store.cipher,
        keys: Some(config.providers(secrets)),
        log_keep: config.store.log_keep,
        log_keep_bytes: config.store.log_keep_bytes,
    };
    let (mut store, recovered) = Store::open(&config.data, options)?;
    opened()?;
    let Recovered { instance, catalogue, newest_revision, next_birth, generation, .. } = recovered;
    let sequences = recovered.sequences;
    let catalogue = Arc::new(with_namespaces(catalogue, config)?);
    let reserve = config.segment.reserve.unwrap_or_else(default_reserve);
    let mut segments = Segments::default();
    for (id, name) in catalogue.all_namespaces() {
        let segment = SegmentWriter::create(instance, generation, reserve)?;
        segment.region().lock_pages(config.segment.lock_memory);
        let lane_bytes = config.lanes.events_bytes;
        segments.add(Part::new((id, name), segment, lane_bytes, newest_revision)?);
    }
    segments.learn(&catalogue);
    let mut part = SegmentsPart {
        segments,
        catalogue: &catalogue,
        revision: newest_revision,
        instance,
        generation,
        past: HashMap::new(),
    };
    for def in &catalogue.tables {
        let namespace = part.namespace_of(def.id)?;
        part.with_room(namespace, |segment| segment.create_table(def, 0))?;
    }
    let mut working = WorkingCopy::new(&catalogue)?;
    working.load_sequences(&sequences);
    let (working, mut part) = load(&mut store, working, part)?;
    if **working.sequences() != *sequences {
        // A store from before it had them: what follows from the rows holds from now on.
        store.keep_sequences(working.sequences())?;
    }
    if let Some(pages) = config.store.max_pages {
        store.limit_pages(pages)?;
    }
    for (id, _) in catalogue.all_namespaces() {
        let of_part = catalogue.part(id);
        let prepared = part.with_room(id, |segment| segment.prepare_catalogue(&of_part))?;
        part.segment(id)?.publish_catalogue(prepared, newest_revision);
    }
    let segments = part.segments;
    let foundation =
        Foundation { store, working, segments, generation, catalogue, newest_revision, next_birth };
    Ok((instance, foundation))
}

/// The catalogue of the store with the configured namespaces. Those that are configured no more stay
/// while anything is in them.
fn with_namespaces(mut catalogue: Catalogue, config: &Config) -> Result<Catalogue, DaemonError> {
    let Catalogue { namespaces, tables, objects, .. } = &mut catalogue;
    namespaces.retain(|namespace| {
        let is_it = |name: &str| namespace.name.eq_ignore_ascii_case(name);
        config.namespaces.keys().any(|name| is_it(name))
            || tables.iter().any(|table| is_it(&table.namespace))
            || objects.iter().any(|object| is_it(&object.namespace))
    });
    config.namespaces.keys().for_each(|name| _ = catalogue.add_namespace(name));
    match catalogue.namespaces.len() {
        found if found > limits::NAMESPACES => Err(DaemonError::TooManyNamespaces { found }),
        _ => Ok(catalogue),
    }
}

/// The machine's memory, rounded up to a GiB.
pub(crate) fn default_reserve() -> u64 {
    let pages = rustix::system::sysinfo();
    let bytes = (pages.totalram as u64).saturating_mul(u64::from(pages.mem_unit));
    bytes.max(1).next_multiple_of(1 << 30)
}

/// Rows on their way, in one piece of memory.
#[derive(Default)]
struct Rows {
    words: Vec<u64>,
    heads: Vec<Head>,
}

#[derive(Clone, Copy)]
struct Head {
    table: u32,
    shape: u32,
    birth: u64,
    revision: u64,
    columns: usize,
    var_bytes: usize,
    start: usize,
}

impl Rows {
    fn push(&mut self, row: &StoredRow<'_>) {
        self.heads.push(Head {
            table: row.table,
            shape: row.shape,
            birth: row.birth,
            revision: row.revision,
            columns: row.image.columns(),
            var_bytes: row.image.var_bytes(),
            start: self.words.len(),
        });
        self.words.extend_from_slice(row.image.words());
    }

    fn is_full(&self) -> bool {
        self.heads.len() >= BATCH_ROWS || self.words.len() >= BATCH_WORDS
    }

    fn for_each(
        &self,
        mut f: impl FnMut(Head, ImageRef<'_>) -> Result<(), DaemonError>,
    ) -> Result<(), DaemonError> {
        for head in &self.heads {
            let image = ImageRef::new(head.columns, head.var_bytes, &self.words[head.start..])
                .map_err(|e| DaemonError::Inconsistent(e.to_string()))?;
            f(*head, image)?;
        }
        Ok(())
    }
}

fn load<'a>(
    store: &mut Store,
    working: WorkingCopy,
    mut segments: SegmentsPart<'a>,
) -> Result<(WorkingCopy, SegmentsPart<'a>), DaemonError> {
    let is_new = segments.revision == 0;
    std::thread::scope(|scope| {
        let (to_working, for_working) = bounded::<Arc<Rows>>(BATCHES);
        let (to_segments, for_segments) = bounded::<Arc<Rows>>(BATCHES);
        let working = scope.spawn(move || load_working(working, &for_working));
        let segments = scope.spawn(move || segments.load(&for_segments).map(|()| segments));
        // A new store was opened for writing already: it has nothing to load.
        let read = if is_new { Ok(()) } else { read(store, &to_working, &to_segments) };
        drop((to_working, to_segments));
        let ended = |_| DaemonError::Thread("recovery");
        // A loader's own error says more than that its batches could not be handed over.
        let working = working.join().map_err(ended)??;
        let mut segments = segments.join().map_err(ended)??;
        read?;
        segments.take_past_shapes(&working)?;
        Ok((working, segments))
    })
}

fn read(
    store: &mut Store,
    to_working: &Sender<Arc<Rows>>,
    to_segments: &Sender<Arc<Rows>>,
) -> Result<(), DaemonError> {
    let hand_over = |rows: &mut Rows| {
        let rows = Arc::new(std::mem::take(rows));
        let gone = |_| DaemonError::Thread("recovery");
        to_working.send(rows.clone()).map_err(gone)?;
        to_segments.send(rows).map_err(gone)
    };
    let mut rows = Rows::default();
    store.load_rows::<DaemonError>(|row| {
        rows.push(&row);
        if rows.is_full() { hand_over(&mut rows) } else { Ok(()) }
    })?;
    hand_over(&mut rows)
}

fn load_working(
    mut working: WorkingCopy,
    batches: &Receiver<Arc<Rows>>,
) -> Result<WorkingCopy, DaemonError> {
    for rows in batches {
        rows.for_each(|head, image| Ok(working.load_row(head.table, head.shape, &image)?))?;
    }
    working.finish_load()?;
    Ok(working)
}

/// The loading of the segments.
struct SegmentsPart<'a> {
    segments: Segments,
    catalogue: &'a Catalogue,
    revision: u64,
    instance: [u8; 16],
    generation: u64,
    /// Birth and revision of the rows of past shapes.
    past: HashMap<u32, HashMap<Key, (u64, u64)>>,
}

impl SegmentsPart<'_> {
    fn namespace_of(&self, table: u32) -> Result<u16, DaemonError> {
        self.segments.namespace_of(table).ok_or_else(|| {
            DaemonError::Inconsistent(format!("table {table} is of a namespace that is unknown"))
        })
    }

    fn segment(&mut self, namespace: u16) -> Result<&mut SegmentWriter, DaemonError> {
        let part = self.segments.part_mut(namespace).map(|part| &mut part.segment);
        part.ok_or_else(|| {
            DaemonError::Inconsistent(format!("namespace {namespace} is not in the catalogue"))
        })
    }

    /// Does `work` in the segment of a namespace, after making room as often as the reserve is used up.
    fn with_room<T>(
        &mut self,
        namespace: u16,
        work: impl FnMut(&mut SegmentWriter) -> Result<T, SegmentError>,
    ) -> Result<T, DaemonError> {
        let (instance, generation) = (self.instance, self.generation);
        let grow = |segment: &mut SegmentWriter, needed| {
            // Nobody has attached yet: the generation stays.
            *segment = larger(segment, instance, generation, needed)?;
            Ok(())
        };
        with_room(self.segment(namespace)?, work, grow)
    }

    fn load(&mut self, batches: &Receiver<Arc<Rows>>) -> Result<(), DaemonError> {
        let mut keys: HashMap<(u32, u32), Vec<KeyPart>> = HashMap::new();
        for rows in batches {
            let mut changes = Vec::with_capacity(rows.heads.len());
            rows.for_each(|head, image| {
                let Head { table, shape, birth, revision, .. } = head;
                let def = self.catalogue.table_by_id(table).ok_or_else(|| {
                    DaemonError::Inconsistent(format!("a row of table {table}, which is unknown"))
                })?;
                let parts = match keys.entry((table, shape)) {
                    std::collections::hash_map::Entry::Occupied(parts) => parts.into_mut(),
                    std::collections::hash_map::Entry::Vacant(place) => {
                        place.insert(key_parts(def, shape)?)
                    }
                };
                let key = Key::of_image(parts, &image).map_err(|_| {
                    // The error names a column, and ends up in the log.
                    let what = format!("a row of table {table} in shape {shape} has no key");
                    DaemonError::Inconsistent(what)
                })?;
                if shape == def.shape {
                    let image = Some(image.to_image());
                    changes.push(RowChange { table, shape, key, birth, revision, image });
                } else {
                    self.past.entry(table).or_default().insert(key, (birth, revision));
                }
                Ok(())
            })?;
            self.publish(changes)?;
        }
        Ok(())
    }

    fn publish(&mut self, changes: Vec<RowChange>) -> Result<(), DaemonError> {
        let sorted = self.segments.sort(changes)?;
        let ids: Vec<u16> = self.segments.parts().iter().map(|part| part.id).collect();
        for (id, changes) in ids.into_iter().zip(sorted).filter(|(_, c)| !c.is_empty()) {
            let revision = self.revision;
            let segment = self.segment(id)?;
            let prepared = if may_be_short(segment, &changes) {
                self.with_room(id, |segment| segment.prepare(changes.clone()))?
            } else {
                segment.prepare(changes)?
            };
            self.segment(id)?.publish(prepared, revision);
        }
        Ok(())
    }

    /// Rows that the store has in a past shape, as the working copy has them now.
    fn take_past_shapes(&mut self, working: &WorkingCopy) -> Result<(), DaemonError> {
        for (table, mut identities) in std::mem::take(&mut self.past) {
            let Some(def) = self.catalogue.table_by_id(table) else { continue };
            let mut changes = Vec::with_capacity(identities.len());
            working.for_each_row(table, |key, image| {
                if let Some((birth, revision)) = identities.remove(key) {
                    changes.push(RowChange {
                        table,
                        shape: def.shape,
                        key: key.clone(),
                        birth,
                        revision,
                        image: Some(image.to_image()),
                    });
                }
            })?;
            if !identities.is_empty() {
                return Err(DaemonError::Inconsistent(format!(
                    "{} rows of table {table} are missing from the working copy",
                    identities.len()
                )));
            }
            self.publish(changes)?;
        }
        Ok(())
    }
}

/// Where the key's columns stand in the image of `shape`: found by their ids.
fn key_parts(def: &TableDef, shape: u32) -> Result<Vec<KeyPart>, DaemonError> {
    let unknown = |what: &str| {
        DaemonError::Inconsistent(format!("a row of table {} in shape {shape}, {what}", def.id))
    };
    let columns = def.shape_columns(shape).ok_or_else(|| unknown("which is unknown"))?;
    def.key_defs()
        .map(|column| {
            let index = columns.iter().position(|(id, _)| *id == column.id);
            let index = index.ok_or_else(|| unknown("which has no key"))?;
            Ok(KeyPart::of(index, column))
        })
        .collect()
}
