//! Rows of table `row`: sealed and opened.
//!
//! ```text
//! body   word 0  shape (low 32 bits), columns (high 32 bits)
//!        word 1  bytes of the image's variable part
//!        the image's words: head, then variable part
//! ```
//! Table, slot (the row's birth) and revision stand in the identity.

use rusqlite::Row;
use shmirror_shm::image::{ImageRef, head_words};
use shmirror_shm::record::RecordRef;

use crate::error::{Place, StoreError, sqlite};
use crate::plain::Plain;
use crate::seal::{Identity, Kind, Opener, Sealer};

/// A row as it was committed last.
#[derive(Clone, Copy, Debug)]
pub struct StoredRow<'a> {
    /// Table id.
    pub table: u32,
    /// Shape of the image, the table's present one or a past one.
    pub shape: u32,
    /// The row's number.
    pub birth: u64,
    /// Revision that wrote it.
    pub revision: u64,
    /// Its values.
    pub image: ImageRef<'a>,
}

/// Columns that [`open`] reads.
pub(crate) const ROW_COLUMNS: &str = "slot, revision, sealed";

/// Slot and revision in a row of [`ROW_COLUMNS`].
pub(crate) fn address(row: &Row<'_>, opener: &Opener) -> Result<(u64, u64), StoreError> {
    let reading = sqlite(&opener.file, "reading row");
    let slot: i64 = row.get(0).map_err(&reading)?;
    let revision: i64 = row.get(1).map_err(&reading)?;
    Ok((slot as u64, revision as u64))
}

/// Opens the row in a row of [`ROW_COLUMNS`], into `buffer`.
pub(crate) fn open<'b>(
    row: &Row<'_>,
    opener: &Opener,
    buffer: &'b mut Plain,
) -> Result<StoredRow<'b>, StoreError> {
    let (slot, revision) = address(row, opener)?;
    let place = Place::Row { slot };
    let sealed = row.get_ref(2).map_err(sqlite(&opener.file, "reading row"))?;
    let sealed = sealed.as_blob().map_err(|e| opener.malformed(place, e))?;
    let opened = opener.open(place, Some(revision), sealed, buffer)?;
    let [about, var_bytes, words @ ..] = opened.body else {
        return Err(opener.malformed(place, "fewer than 2 words"));
    };
    let columns = (about >> 32) as usize;
    let expected = head_words(columns).checked_add((*var_bytes as usize).div_ceil(8));
    if expected != Some(words.len()) {
        let what = format!(
            "{} words of an image of {columns} columns and {var_bytes} variable bytes",
            words.len()
        );
        return Err(opener.malformed(place, what));
    }
    let image = ImageRef::new(columns, *var_bytes as usize, words)
        .map_err(|e| opener.malformed(place, e))?;
    Ok(StoredRow { table: opened.table, shape: *about as u32, birth: slot, revision, image })
}

/// Seals the row image of `record` for table `row`.
pub(crate) fn seal(
    sealer: &mut Sealer,
    record: &RecordRef<'_>,
    image: ImageRef<'_>,
    out: &mut Vec<u8>,
) -> Result<(), StoreError> {
    let header = record.header();
    let identity = Identity {
        kind: Kind::Row,
        table: header.table,
        place: header.birth,
        revision: header.revision,
    };
    let about = u64::from(header.shape) | (image.columns() as u64) << 32;
    sealer.seal(&identity, &[&[about, image.var_bytes() as u64], image.words()], out)
}

/// The row that a record of the log tells of; `None` for a delete.
pub(crate) fn of_record<'a>(
    record: &RecordRef<'a>,
    opener: &Opener,
    place: Place,
) -> Result<Option<StoredRow<'a>>, StoreError> {
    let header = record.header();
    let image = record.row().map_err(|e| opener.malformed(place, e))?;
    Ok(image.map(|image| StoredRow {
        table: header.table,
        shape: header.shape,
        birth: header.birth,
        revision: header.revision,
        image,
    }))
}
