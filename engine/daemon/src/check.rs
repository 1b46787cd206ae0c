//! Check: opens every seal and compares store, working copy and segment, while the daemon serves.
//!
//! ```text
//! pipeline, between two commits   pins the store for a reader, takes a fingerprint of every row of
//!                                 the segment                                          ─► Boundary
//! worker                          opens every seal of the pinned store, compares each live row with
//!                                 its fingerprint
//! pipeline, later                 table by table, between two commits: working copy against segment
//!                                                                                      ─► Working
//! worker                          the report
//! ```
//! The pipeline's parts pause commits: about a second for each million rows of the segment at first, then
//! about as long for each table of a million rows. Readers are not concerned.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, unbounded};
use serde_json::{Value as Json, json};
use shmirror_shm::catalogue::{Catalogue, TableDef};
use shmirror_shm::image::{Image, ImageRef};
use shmirror_shm::wire::{Answer, RefuseCode};
use shmirror_store::{LogReader, Snapshot, StoreError, StoredRow};
use zerocopy::IntoBytes;

use crate::apply::reject::show_values;
use crate::apply::{Reject, Sequences};
use crate::exchange::Post;
use crate::pipeline::mail::PipelineMail;
use crate::readers::Readers;
use crate::rights::Rights;

/// Most differences that are told one by one.
const DIFFERENCES: usize = 1_000;

/// What the pipeline sends to a check.
pub(crate) enum Part {
    /// First.
    Boundary(Box<Boundary>),
    /// Then one for each table.
    Working(WorkingPart),
    /// Last. A channel that ends without it is of a daemon that stops.
    End,
}

/// Store and segment at one revision.
pub(crate) struct Boundary {
    /// The reader, pinned, or why it could not be.
    pub reader: Result<LogReader, (LogReader, StoreError)>,
    /// Newest committed revision.
    pub revision: u64,
    /// The catalogue.
    pub catalogue: Arc<Catalogue>,
    /// Every row of the segment, by its number.
    pub rows: HashMap<u64, Fingerprint>,
    /// Rows of tables that had other shapes before, whole: the store may have them in one of these.
    pub images: HashMap<u64, Image>,
    /// The greatest id that each AUTOINCREMENT table gave, in the working copy.
    pub sequences: Result<Sequences, Reject>,
}

/// What is compared of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    pub table: u32,
    pub revision: u64,
    pub digest: u64,
}

impl Fingerprint {
    pub fn of(table: u32, revision: u64, image: &ImageRef<'_>) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(image.words().as_bytes());
        Self { table, revision, digest: hasher.finish() }
    }
}

/// One table of the working copy against the segment.
pub(crate) struct WorkingPart {
    pub table: u32,
    pub rows: u64,
    pub segment_rows: u64,
    /// Keys whose rows differ, with what differs.
    pub differences: Vec<(String, &'static str)>,
    pub error: Option<String>,
}

/// Runs a check.
/// What it finds is told by names and keys only of what `rights` let their owner read.
pub(crate) fn run(readers: &Readers, pipeline: &Post<PipelineMail>, rights: &Rights) -> Answer {
    let refused = |code, message: String| Answer::Refused { code, message };
    let Some(_turn) = readers.begin_check() else {
        return refused(RefuseCode::Limit, "a check runs already".to_owned());
    };
    let reader = match readers.take() {
        Ok(reader) => reader,
        Err(answer) => return answer,
    };
    let (send, parts) = unbounded();
    pipeline.send(PipelineMail::Check { reader: Box::new(reader), to: send });
    let Ok(Part::Boundary(boundary)) = parts.recv() else {
        return refused(RefuseCode::Stopping, "the daemon is stopping".to_owned());
    };
    let Boundary { reader, revision, catalogue, rows, images, sequences } = *boundary;
    let (mut reader, pinned) = match reader {
        Ok(reader) => (reader, Ok(())),
        Err((reader, error)) => (reader, Err(error)),
    };
    let mut comparison = Comparison::new(&catalogue, rights, rows, images);
    let found = pinned.and_then(|()| reader.snapshot(|row| comparison.stored(&row)));
    // An end of reading that fails shows at the reader's next use.
    let _ = reader.unpin();
    readers.give(reader);
    let found = match found {
        Ok(found) => found,
        Err(error) => return refused(RefuseCode::Internal, error.to_string()),
    };
    comparison.finish_store();
    comparison.sequences(&found, sequences);
    if !comparison.working(&parts) {
        return refused(RefuseCode::Stopping, "the daemon is stopping".to_owned());
    }
    Answer::Text(comparison.report(revision, &found).to_string())
}

#[derive(Clone, Copy, Default)]
struct Counts {
    store: u64,
    segment: u64,
    working: u64,
}

struct Comparison<'a> {
    catalogue: &'a Catalogue,
    rights: &'a Rights,
    /// Rows of the segment that the store was not yet seen to have.
    left: HashMap<u64, Fingerprint>,
    images: HashMap<u64, Image>,
    counts: HashMap<u32, Counts>,
    differences: Vec<Json>,
    count: u64,
}

impl<'a> Comparison<'a> {
    fn new(
        catalogue: &'a Catalogue,
        rights: &'a Rights,
        left: HashMap<u64, Fingerprint>,
        images: HashMap<u64, Image>,
    ) -> Self {
        let mut counts: HashMap<u32, Counts> = HashMap::new();
        for row in left.values() {
            counts.entry(row.table).or_default().segment += 1;
        }
        Self { catalogue, rights, left, images, counts, differences: Vec::new(), count: 0 }
    }

    fn differs(&mut self, table: u32, row: Json, what: &str) {
        self.count += 1;
        if self.differences.len() < DIFFERENCES {
            let def = self.catalogue.table_by_id(table);
            let (name, row) = match def {
                Some(def) if self.may_read(def) => (json!(def.full_name()), row),
                _ => (json!(format!("#{table}")), Json::Null),
            };
            self.differences.push(json!({ "table": name, "row": row, "what": what }));
        }
    }

    fn may_read(&self, def: &TableDef) -> bool {
        let namespace = self.catalogue.namespace_id(&def.namespace);
        namespace.is_some_and(|id| self.rights.may_read(id))
    }

    /// A live row of the store.
    fn stored(&mut self, row: &StoredRow<'_>) {
        self.counts.entry(row.table).or_default().store += 1;
        let Some(def) = self.catalogue.table_by_id(row.table) else {
            let what = "the store has a row of a table that is not in the catalogue";
            return self.differs(row.table, json!(row.birth), what);
        };
        let what = match self.left.remove(&row.birth) {
            None => "in the store, not in shared memory",
            Some(seen) if seen.table != row.table => "of another table in shared memory",
            Some(seen) if seen.revision != row.revision => "of another revision in shared memory",
            Some(seen) if row.shape == def.shape => {
                if seen == Fingerprint::of(row.table, row.revision, &row.image) {
                    return;
                }
                "store and shared memory have different values"
            }
            Some(_) => {
                let image = self.images.get(&row.birth).map(Image::as_ref);
                if image.is_some_and(|image| same_columns(def, row, &image)) {
                    return;
                }
                "store and shared memory have different values"
            }
        };
        let key = key_text(def, row);
        self.differs(row.table, key, what);
    }

    /// What is left in the segment is not in the store.
    fn finish_store(&mut self) {
        for (birth, row) in std::mem::take(&mut self.left) {
            self.differs(row.table, json!(birth), "in shared memory, not in the store");
        }
    }

    /// An id that the store knows as given must not be given again by the working copy.
    fn sequences(&mut self, found: &Snapshot, working: Result<Sequences, Reject>) {
        let working = match working {
            Ok(working) => working,
            Err(error) => return self.differs(0, Json::Null, &error.to_string()),
        };
        for (table, last) in &found.sequences {
            let has = working.iter().find(|(id, _)| id == table).map_or(0, |(_, last)| *last);
            if has < *last {
                let what = "the working copy would give ids again that the store knows as given";
                self.differs(*table, Json::Null, what);
            }
        }
    }

    /// Whether all tables were compared.
    fn working(&mut self, parts: &Receiver<Part>) -> bool {
        for part in parts {
            let part = match part {
                Part::Working(part) => part,
                Part::Boundary(_) => continue,
                Part::End => return true,
            };
            self.counts.entry(part.table).or_default().working = part.rows;
            for (key, what) in part.differences {
                self.differs(part.table, json!(key), what);
            }
            if part.rows != part.segment_rows {
                let what = "working copy and shared memory have different numbers of rows";
                self.differs(part.table, Json::Null, what);
            }
            if let Some(error) = part.error {
                self.differs(part.table, Json::Null, &error);
            }
        }
        false
    }

    fn report(mut self, revision: u64, found: &Snapshot) -> Json {
        for fault in &found.faults {
            self.differences.push(json!({ "table": null, "row": null, "what": fault.to_string() }));
        }
        let count = self.count + found.fault_count;
        let tables: Json = self
            .catalogue
            .tables
            .iter()
            .filter(|t| self.may_read(t))
            .map(|t| {
                let counts = self.counts.get(&t.id).copied().unwrap_or_default();
                json!({
                    "name": t.full_name(),
                    "rows_store": counts.store,
                    "rows_working_copy": counts.working,
                    "rows_shared_memory": counts.segment,
                })
            })
            .collect();
        json!({
            "ok": count == 0,
            "revision": revision,
            "rows": found.rows,
            "seals_opened": found.sealed_rows + found.groups,
            "difference_count": count,
            "tables": tables,
            "differences": self.differences,
        })
    }
}

/// Whether the columns that a row of a past shape has are the same in `present`.
fn same_columns(def: &TableDef, row: &StoredRow<'_>, present: &ImageRef<'_>) -> bool {
    let Some(columns) = def.shape_columns(row.shape) else { return false };
    columns.iter().enumerate().all(|(at, (id, _))| {
        match def.columns.iter().position(|c| c.id == *id) {
            // The column is gone.
            None => true,
            Some(now) => matches!((row.image.get(at), present.get(now)), (Ok(a), Ok(b)) if a == b),
        }
    })
}

fn key_text(def: &TableDef, row: &StoredRow<'_>) -> Json {
    let columns = def.shape_columns(row.shape).unwrap_or_default();
    let place = |id: u32| columns.iter().position(|(c, _)| *c == id);
    let values: Option<Vec<_>> = def.key_defs().map(|c| row.image.get(place(c.id)?).ok()).collect();
    match values {
        Some(values) => json!(show_values(values.into_iter())),
        None => json!(row.birth),
    }
}

/// The right to run a check, given back when dropped.
pub(crate) struct Turn<'a>(&'a AtomicBool);

impl<'a> Turn<'a> {
    /// The right, unless somebody has it.
    pub fn take(taken: &'a AtomicBool) -> Option<Self> {
        (!taken.swap(true, Ordering::Acquire)).then_some(Self(taken))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_was_cut_short_is_not_taken_for_a_good_one() {
        let (catalogue, rights) = (Catalogue::default(), Rights::all());
        let mut comparison = Comparison::new(&catalogue, &rights, HashMap::new(), HashMap::new());
        for ends in [false, true] {
            let (send, parts) = unbounded();
            let part = WorkingPart {
                table: 1,
                rows: 2,
                segment_rows: 2,
                differences: Vec::new(),
                error: None,
            };
            send.send(Part::Working(part)).ok();
            if ends {
                send.send(Part::End).ok();
            }
            drop(send);
            assert_eq!(comparison.working(&parts), ends);
        }
    }

    #[test]
    fn who_looks_after_an_instance_sees_that_a_row_differs_and_not_which_of_what_is_hidden() {
        let mut catalogue = Catalogue::default();
        catalogue.add_namespace("plant");
        let def = |id, namespace: &str| TableDef {
            id,
            namespace: namespace.to_owned(),
            name: format!("table_{id}"),
            shape: 1,
            sql: String::new(),
            key: shmirror_shm::catalogue::KeyKind::Rowid,
            key_columns: Vec::new(),
            columns: Vec::new(),
            without_rowid: false,
            strict: false,
            past_shapes: Vec::new(),
        };
        catalogue.tables = vec![def(1, "main"), def(2, "plant")];
        let rights = Rights::of(&[1], &[], true);
        let mut comparison = Comparison::new(&catalogue, &rights, HashMap::new(), HashMap::new());
        comparison.differs(1, json!("'secret key'"), "differs");
        comparison.differs(2, json!("'seen key'"), "differs");
        let report = comparison.report(9, &Snapshot::default());
        let text = report.to_string();
        assert!(text.contains("plant.table_2") && text.contains("seen key"), "{text}");
        assert!(!text.contains("table_1") && !text.contains("secret"), "{text}");
        assert_eq!((&report["ok"], &report["difference_count"]), (&json!(false), &json!(2)));
    }
}
