//! Where a query's rows come from.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use shmirror_shm::catalogue::{Catalogue, TableDef};
use shmirror_shm::key::Key;
use shmirror_shm::snapshot::copy::TableCopy;
use shmirror_shm::snapshot::scan::{ScanBuf, ScanRow};
use shmirror_shm::snapshot::{ReadError, RowBuf, Segment, TableView};

/// A source that gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The revision is no longer to be had, or the tables have changed: make a newer source.
    #[error("the rows have moved on")]
    Stale,
    /// It cannot be read.
    #[error("{0}")]
    Failed(String),
}

impl From<ReadError> for SourceError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Moved | ReadError::Contended { .. } => Self::Stale,
            other => Self::Failed(other.to_string()),
        }
    }
}

/// Rows of a table; some places may be empty.
pub trait RowSet: Send + Sync {
    /// Number of rows.
    fn len(&self) -> usize;
    /// The row at a place; `len` of the places from 0 on have one.
    fn row(&self, place: usize) -> Option<ScanRow<'_>>;
    /// Whether there is no row.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl RowSet for ScanBuf {
    fn len(&self) -> usize {
        ScanBuf::len(self)
    }

    fn row(&self, place: usize) -> Option<ScanRow<'_>> {
        ScanBuf::row(self, place)
    }
}

impl RowSet for Vec<RowBuf> {
    fn len(&self) -> usize {
        Vec::len(self)
    }

    fn row(&self, place: usize) -> Option<ScanRow<'_>> {
        let row = self.get(place)?;
        Some(ScanRow { birth: row.birth(), revision: row.revision(), image: row.image() })
    }
}

/// Tables as of one revision.
pub trait TableSource: Send + Sync {
    /// The revision.
    fn revision(&self) -> u64;
    /// The catalogue at that revision.
    fn catalogue(&self) -> &Arc<Catalogue>;
    /// About how many rows a table has.
    fn rows(&self, table: &TableDef) -> u64;
    /// All rows of a table.
    ///
    /// # Errors
    /// As [`SourceError`] says.
    fn scan(&self, table: &TableDef) -> Result<Box<dyn RowSet>, SourceError>;
    /// The row with this key, into `out`; false where there is none.
    ///
    /// # Errors
    /// As [`SourceError`] says.
    fn get(&self, table: &TableDef, key: &Key, out: &mut RowBuf) -> Result<bool, SourceError>;
}

/// Segments of one instance, one for each namespace, as of one revision.
pub struct SegmentSource {
    segments: Vec<Arc<Segment>>,
    catalogue: Arc<Catalogue>,
    /// Of each table: which segment, and where in it.
    places: HashMap<u32, (usize, u64)>,
    revision: u64,
    views: Mutex<HashMap<u32, Arc<TableView>>>,
}

/// Looks at a publication in progress before the processor is given up between them.
const SPINS: u32 = 64;

impl SegmentSource {
    /// Takes the catalogues of `segments`, by rising number of the namespace, and the newest revision
    /// that is published in all of them. Where a publication has reached some of them only, its end is
    /// waited for, at most as long as `patience`: the thread that would copy the tables otherwise is
    /// the one that is busy with it.
    ///
    /// # Errors
    /// [`SourceError::Stale`] where a catalogue is none of that revision, or a segment is no longer in
    /// use; a catalogue that is damaged.
    ///
    /// # Why all of it is as of one revision
    /// Every group steps every segment, one after the other, so the revisions that a segment shows
    /// are the same in each and only grow. Read here, in this order:
    ///
    /// ```text
    /// for each segment:  its catalogue C, then its revision n   (C was in force at some revision ≤ n)
    /// for each segment:  its revision r                         R ← the smallest of them
    ///                    R < n for some segment: again
    /// for each segment:  the schema version v in force now
    ///                    v is not C's: stale
    /// ```
    /// - Rows: each segment showed R or more when r was read, so all of R is published in each, and a
    ///   version as of R is one that [`TableView`] can give. That a segment is ahead of R, as a
    ///   publication is under way, only means that newer versions are passed over.
    /// - C is not younger than R: it was in force at n or before, and n ≤ R.
    /// - C is not older than R: it still was in force after r was read, and R ≤ r; what replaces it is
    ///   of a later revision than that. So a view, or a table that is new or gone, is never mixed
    ///   with the rows of another schema.
    /// - What comes after is told by the tables themselves: a table that is dropped or reshaped says
    ///   that it has moved, rows that were written twice since R that they are too young.
    pub fn new(segments: &[Arc<Segment>], patience: Duration) -> Result<Self, SourceError> {
        let (mut catalogue, mut places) = (Catalogue::default(), HashMap::new());
        let (mut versions, mut newest) = (Vec::with_capacity(segments.len()), 0);
        for (at, segment) in segments.iter().enumerate() {
            let found = segment.catalogue()?;
            newest = newest.max(segment.revision());
            places.extend(found.places.into_iter().map(|(table, place)| (table, (at, place))));
            versions.push(found.catalogue.schema_version);
            merge(&mut catalogue, found.catalogue);
        }
        let revision = published_in_all(segments, newest, patience);
        let revision = revision.ok_or(SourceError::Stale)?;
        let are_in_force =
            segments.iter().zip(versions).all(|(segment, v)| segment.schema_version() == v);
        if !are_in_force {
            return Err(SourceError::Stale);
        }
        Ok(Self {
            segments: segments.to_vec(),
            places,
            catalogue: Arc::new(catalogue),
            revision,
            views: Mutex::default(),
        })
    }

    fn view(&self, table: &TableDef) -> Result<Arc<TableView>, SourceError> {
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(view) = views.get(&table.id) {
            return Ok(view.clone());
        }
        let (at, place) = *self.places.get(&table.id).ok_or(SourceError::Stale)?;
        let segment = self.segments.get(at).ok_or(SourceError::Stale)?;
        let view = Arc::new(TableView::new(segment.clone(), table, place)?);
        views.insert(table.id, view.clone());
        Ok(view)
    }
}

/// Adds the part of one namespace.
fn merge(all: &mut Catalogue, part: Catalogue) {
    all.schema_version = all.schema_version.max(part.schema_version);
    all.namespaces.extend(part.namespaces);
    all.tables.extend(part.tables);
    all.objects.extend(part.objects);
}

/// The newest revision that every segment shows, once it is at least `least`, which one of them
/// showed. `None` where that takes longer than `patience`, or a segment is retired and so will never
/// show it.
fn published_in_all(segments: &[Arc<Segment>], least: u64, patience: Duration) -> Option<u64> {
    let newest = || segments.iter().map(|s| s.revision()).min();
    let mut revision = newest()?;
    let (start, mut looks) = (Instant::now(), 0);
    while revision < least {
        if start.elapsed() > patience || segments.iter().any(|s| s.is_retired()) {
            return None;
        }
        looks += 1;
        if looks < SPINS {
            std::hint::spin_loop();
        } else {
            std::thread::sleep(Duration::from_micros(50));
        }
        revision = newest()?;
    }
    Some(revision)
}

impl TableSource for SegmentSource {
    fn revision(&self) -> u64 {
        self.revision
    }

    fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    fn rows(&self, table: &TableDef) -> u64 {
        self.view(table).map_or(0, |view| view.rows())
    }

    fn scan(&self, table: &TableDef) -> Result<Box<dyn RowSet>, SourceError> {
        let mut rows = ScanBuf::new();
        if self.view(table)?.scan_as_of(self.revision, &mut rows)? {
            Ok(Box::new(rows))
        } else {
            Err(SourceError::Stale)
        }
    }

    fn get(&self, table: &TableDef, key: &Key, out: &mut RowBuf) -> Result<bool, SourceError> {
        self.view(table)?.read_as_of(key, self.revision, out)?.ok_or(SourceError::Stale)
    }
}

/// Tables copied between two commits.
#[derive(Clone, Debug, Default)]
pub struct Copies {
    /// The revision that they are of.
    pub revision: u64,
    /// The catalogue at that revision.
    pub catalogue: Arc<Catalogue>,
    /// Table ids, and what [`shmirror_shm::snapshot::SegmentWriter::copy_table`] wrote of them.
    pub tables: HashMap<u32, Vec<u8>>,
}

impl TableSource for Copies {
    fn revision(&self) -> u64 {
        self.revision
    }

    fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    fn rows(&self, _: &TableDef) -> u64 {
        1_000_000
    }

    fn scan(&self, table: &TableDef) -> Result<Box<dyn RowSet>, SourceError> {
        let bytes = self.tables.get(&table.id).ok_or(SourceError::Stale)?;
        let failed = |e: &dyn std::fmt::Display| SourceError::Failed(e.to_string());
        let mut copy = TableCopy::new(bytes, table.columns.len()).map_err(|e| failed(&e))?;
        let (mut rows, mut row) = (Vec::new(), RowBuf::new());
        while copy.next_row(&mut row).map_err(|e| failed(&e))? {
            rows.push(row.clone());
        }
        Ok(Box::new(rows))
    }

    fn get(&self, table: &TableDef, key: &Key, out: &mut RowBuf) -> Result<bool, SourceError> {
        let parts = shmirror_shm::key::KeyPart::of;
        let parts: Vec<_> = table
            .key_columns
            .iter()
            .filter_map(|&i| Some(parts(i.into(), table.columns.get(usize::from(i))?)))
            .collect();
        let rows = self.scan(table)?;
        for row in (0..rows.len()).filter_map(|place| rows.row(place)) {
            if Key::of_image(&parts, &row.image).is_ok_and(|found| found == *key) {
                out.set(row.birth, row.revision, row.image);
                return Ok(true);
            }
        }
        Ok(false)
    }
}
