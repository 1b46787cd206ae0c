//! Queries give what the working copy gives for the same SQL, and all of one revision.

mod one;
mod spaces;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shmirror_shm::catalogue::Catalogue;
use shmirror_shm::image::Image;
use shmirror_shm::key::Key;
use shmirror_shm::record::Operation;
use shmirror_shm::request::{RejectCode, Request, ResultSet, SqlRequest};
use shmirror_shm::snapshot::{RowChange, Segment, SegmentWriter};

use super::*;
use crate::apply::{Applied, RowRevisions, WorkingCopy};

struct Nothing;

impl RowRevisions for Nothing {
    fn revision_of(&self, _: u32, _: &Key) -> Option<u64> {
        None
    }
}

/// A working copy, and a segment of each namespace that follows it.
struct Mirror {
    copy: WorkingCopy,
    writers: BTreeMap<u16, SegmentWriter>,
    births: HashMap<(u32, Key), u64>,
    revision: u64,
}

/// What one namespace gets of a publication.
#[derive(Default)]
struct Step {
    changes: Vec<RowChange>,
    catalogue: Option<Catalogue>,
}

/// A group that some of the segments have not got yet.
struct Publication {
    revision: u64,
    steps: BTreeMap<u16, Step>,
}

fn request(sql: &str) -> SqlRequest {
    SqlRequest { sql: sql.to_owned(), params: vec![], want_rows: true }
}

/// Stops a writer when the queries are done, or have failed.
struct AtEnd<'a>(&'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Nobody writes, so no query may ask for copies.
fn none(_: &[u32]) -> Result<Copies, Reject> {
    panic!("nobody writes")
}

impl Mirror {
    fn new(sql: &str) -> Self {
        Self::with(&[], sql)
    }

    /// With these namespaces besides `main`.
    fn with(spaces: &[&str], sql: &str) -> Self {
        let mut catalogue = Catalogue::default();
        for space in spaces {
            catalogue.add_namespace(space);
        }
        let mut copy = WorkingCopy::new(&catalogue).unwrap();
        copy.finish_load().unwrap();
        let mut writers = BTreeMap::new();
        for (id, _) in catalogue.all_namespaces() {
            let mut writer = SegmentWriter::create([7; 16], 1, 64 << 20).unwrap();
            let part = writer.prepare_catalogue(&catalogue.part(id)).unwrap();
            writer.publish_catalogue(part, 0);
            writers.insert(id, writer);
        }
        let mut mirror = Self { copy, writers, births: HashMap::new(), revision: 0 };
        mirror.sql(sql);
        mirror
    }

    fn segment(&self) -> Arc<Segment> {
        self.segments(&[0]).remove(0)
    }

    /// Those of the namespaces with these numbers.
    fn segments(&self, ids: &[u16]) -> Vec<Arc<Segment>> {
        ids.iter().map(|id| Segment::open(self.writers[id].region().clone()).unwrap()).collect()
    }

    fn all(&self) -> Vec<Arc<Segment>> {
        self.segments(&self.writers.keys().copied().collect::<Vec<_>>())
    }

    fn sql(&mut self, sql: &str) -> Applied {
        let (applied, mut publication) = self.commit(sql);
        while self.publish_next(&mut publication) {}
        applied
    }

    /// As [`Mirror::sql`]; others run between what two segments get.
    fn slowly(&mut self, sql: &str) {
        let (_, mut publication) = self.commit(sql);
        while self.publish_next(&mut publication) {
            std::thread::yield_now();
        }
    }

    /// Commits `sql`; no segment has it yet.
    fn commit(&mut self, sql: &str) -> (Applied, Publication) {
        self.copy.begin_group().unwrap();
        let request = Request::Sql(request(sql));
        let applied = self.copy.apply(&request, &Nothing, &Budget::default());
        let applied = applied.unwrap_or_else(|e| panic!("{sql}: {e}"));
        let publication = if applied.is_change() {
            self.publication(&applied)
        } else {
            Publication { revision: self.revision, steps: BTreeMap::new() }
        };
        self.copy.commit_group().unwrap();
        (applied, publication)
    }

    fn publication(&mut self, applied: &Applied) -> Publication {
        self.revision += 1;
        let revision = self.revision;
        let mut steps: BTreeMap<u16, Step> =
            self.writers.keys().map(|id| (*id, Step::default())).collect();
        let schema = applied.schema.as_ref();
        let catalogue =
            schema.map_or_else(|| self.copy.catalogue().clone(), |s| s.catalogue.clone());
        let space_of = |table| {
            let def = catalogue.table_by_id(table).unwrap();
            catalogue.namespace_id(&def.namespace).unwrap()
        };
        let change = |births: &mut HashMap<_, _>, table, shape, key: &Key, image| {
            let next = births.len() as u64 + revision * 1_000_000;
            let birth = *births.entry((table, key.clone())).or_insert(next);
            RowChange { table, shape, key: key.clone(), birth, revision, image }
        };
        let fresh: Vec<u32> =
            schema.map_or(vec![], |s| s.created.iter().chain(&s.reshaped).copied().collect());
        for id in &fresh {
            let def = catalogue.table_by_id(*id).unwrap();
            let space = space_of(*id);
            self.writers.get_mut(&space).unwrap().create_table(def, 16).unwrap();
            let mut rows: Vec<(Key, Image)> = Vec::new();
            self.copy
                .for_each_row(*id, |key, image| rows.push((key.clone(), image.to_image())))
                .unwrap();
            let step = steps.get_mut(&space).unwrap();
            for (key, image) in rows {
                step.changes.push(change(&mut self.births, *id, def.shape, &key, Some(image)));
            }
        }
        for delta in applied.changes.iter().filter(|d| !fresh.contains(&d.table)) {
            let (table, key) = (delta.table, delta.key);
            let step = steps.get_mut(&space_of(table)).unwrap();
            let image = delta.image.map(|image| image.to_image());
            step.changes.push(change(&mut self.births, table, delta.shape, key, image));
            if delta.operation == Operation::Delete {
                self.births.remove(&(table, key.clone()));
            }
        }
        for id in schema.iter().flat_map(|s| &s.parts) {
            steps.get_mut(id).unwrap().catalogue = Some(catalogue.part(*id));
        }
        Publication { revision, steps }
    }

    /// The next segment gets its part, by falling number of the namespace; false after the last.
    fn publish_next(&mut self, publication: &mut Publication) -> bool {
        let Some((id, step)) = publication.steps.pop_last() else { return false };
        let writer = self.writers.get_mut(&id).unwrap();
        let prepared = writer.prepare(step.changes).unwrap();
        let catalogue = step.catalogue.map(|c| writer.prepare_catalogue(&c).unwrap());
        writer.publish_all(prepared, catalogue, publication.revision);
        true
    }

    /// Copies of these tables, or of all where there are none.
    fn copies(&self, tables: &[u32]) -> Copies {
        let catalogue = self.copy.catalogue().clone();
        let mut copies = Copies {
            revision: self.revision,
            catalogue: catalogue.clone(),
            tables: HashMap::new(),
        };
        for def in &catalogue.tables {
            if tables.is_empty() || tables.contains(&def.id) {
                let mut bytes = Vec::new();
                let space = catalogue.namespace_id(&def.namespace).unwrap();
                self.writers[&space].copy_table(def.id, &mut bytes).unwrap();
                copies.tables.insert(def.id, bytes);
            }
        }
        copies
    }

    fn query(&self, sql: &str) -> Result<(u64, Vec<ResultSet>), Reject> {
        run_query(&self.all(), &request(sql), &Budget::default(), &none)
    }

    /// By who may read the namespaces with these numbers alone.
    fn query_of(&self, ids: &[u16], sql: &str) -> Result<Vec<ResultSet>, Reject> {
        let done = run_query(&self.segments(ids), &request(sql), &Budget::default(), &none);
        done.map(|(_, sets)| sets)
    }
}
