//! A list of keys as of one revision.

use super::error::ReadError;
use super::rowbuf::RowBuf;
use super::scan::ScanBuf;
use super::slot::{AsOf, copy_as_of};
use super::storage::row_has_key;
use super::view::TableView;
use crate::key::Key;
use crate::pillar::Pillar;
use crate::sync::Ordering;
use crate::table_at;

impl TableView {
    /// Copies the rows of `keys` as of one revision, which is returned; [`ScanBuf::row`] gives the
    /// row of each.
    ///
    /// # Errors
    /// As [`TableView::scan_into`].
    pub fn get_many_into(&self, keys: &[Key], out: &mut ScanBuf) -> Result<u64, ReadError> {
        let revision = self.at_one_revision(|revision| {
            out.begin(self.shape.columns);
            for (at, key) in keys.iter().enumerate() {
                match self.get_as_of(key, revision, out.scratch())? {
                    AsOf::TooOld => return Ok(false),
                    found => out.put(at, found),
                }
            }
            Ok(true)
        })?;
        out.set_revision(revision);
        Ok(revision)
    }

    /// As [`TableView::get_many_into`], with a call for each key: its place in `keys`, and its row.
    ///
    /// # Errors
    /// As there; then `f` was not called.
    pub fn get_many(
        &self,
        keys: &[Key],
        mut f: impl FnMut(usize, Option<&RowBuf>),
    ) -> Result<u64, ReadError> {
        let mut out = ScanBuf::new();
        let revision = self.get_many_into(keys, &mut out)?;
        let mut row = RowBuf::new();
        for at in 0..keys.len() {
            match out.row(at) {
                Some(found) => {
                    row.set(found.birth, found.revision, found.image);
                    f(at, Some(&row));
                }
                None => f(at, None),
            }
        }
        Ok(revision)
    }

    /// Copies the row of `key` as of `revision`, which is published already; whether there is one.
    /// `None` where that is no longer to be had: take a newer revision.
    ///
    /// # Errors
    /// [`ReadError::Moved`]: look the table up again.
    pub fn read_as_of(
        &self,
        key: &Key,
        revision: u64,
        out: &mut RowBuf,
    ) -> Result<Option<bool>, ReadError> {
        let mut found = AsOf::TooOld;
        let done = self.once(revision, |revision| {
            found = self.get_as_of(key, revision, out)?;
            Ok(found != AsOf::TooOld)
        })?;
        Ok(done.then_some(matches!(found, AsOf::Row { .. })))
    }

    /// The row of `key` as of `revision`.
    ///
    /// A row that the index has is judged by its slot. One that it has not may have been deleted
    /// after `revision` and taken out of the index already; then `removed` is over `revision`, as it
    /// is stored before the entry goes, and a newer revision is published, as that was before. If it
    /// is not, then no row of `revision` has left the index: there was none.
    fn get_as_of(&self, key: &Key, revision: u64, out: &mut RowBuf) -> Result<AsOf, ReadError> {
        let found = self.lookup(key, |slot| {
            Ok(match copy_as_of(self.space(), &self.shape, slot, revision, out)? {
                AsOf::Row { .. } if !row_has_key(&self.parts, out, key) => None,
                AsOf::Gone { .. } => None,
                found => Some(found),
            })
        })?;
        if let Some(found) = found {
            return Ok(found);
        }
        // The fence of the lookup stands between what it missed and this.
        let removed = self.header(table_at!(removed)).load(Ordering::Relaxed);
        if removed > revision && Pillar::AsOfRemoved.stands() {
            return Ok(AsOf::TooOld);
        }
        Ok(AsOf::Gone { newest: 0, is_newest: false })
    }
}
