//! Where a query's rows come from.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

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

/// The segment as of its newest revision.
pub struct SegmentSource {
    segment: Arc<Segment>,
    catalogue: Arc<Catalogue>,
    places: HashMap<u32, u64>,
    revision: u64,
    views: Mutex<HashMap<u32, Arc<TableView>>>,
}

impl SegmentSource {
    /// Takes the catalogue and the newest revision.
    ///
    /// # Errors
    /// The segment is no longer in use, or its catalogue is damaged.
    pub fn new(segment: &Arc<Segment>) -> Result<Self, SourceError> {
        let found = segment.catalogue()?;
        // Not older than the catalogue. Where it is newer than the tables that the catalogue has,
        // reading them says that they have moved.
        let revision = segment.revision();
        Ok(Self {
            segment: segment.clone(),
            places: found.places.into_iter().collect(),
            catalogue: Arc::new(found.catalogue),
            revision,
            views: Mutex::default(),
        })
    }

    fn view(&self, table: &TableDef) -> Result<Arc<TableView>, SourceError> {
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(view) = views.get(&table.id) {
            return Ok(view.clone());
        }
        let place = *self.places.get(&table.id).ok_or(SourceError::Stale)?;
        let view = Arc::new(TableView::new(self.segment.clone(), table, place)?);
        views.insert(table.id, view.clone());
        Ok(view)
    }
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
