//! One member of a C struct: what a program says of it, and what a row's value becomes in it.
//!
//! In: a field, then values. Out: a [`Staged`] value, which fits the member, then the member's bytes.
//! Between the two the whole row is checked, so that a struct is filled as a whole or not at all.

use std::ptr;

use shmirror::{Form, FromValue, RowRef, ValueRef};

use crate::argument;
use crate::binding::shmirror_field;
use crate::binding::shmirror_field_type::{self, *};
use crate::error::Failure;
use crate::row::{null, value};
use crate::row_get::mismatch;
use crate::status::shmirror_status::{
    SHMIRROR_BAD_ARGUMENT, SHMIRROR_SHORT_BUFFER, SHMIRROR_TYPE_MISMATCH,
};
use crate::value::shmirror_value;

/// No place for NULL.
const NOWHERE: usize = usize::MAX;

/// A member, its field checked.
pub(crate) struct Member {
    column: String,
    kind: shmirror_field_type,
    offset: usize,
    size: usize,
    null_offset: usize,
    /// Of the column in the rows of the binding's form.
    index: usize,
}

/// A value that fits its member.
#[derive(Clone, Copy)]
pub(crate) enum Staged {
    Null,
    /// A number of eight bytes, or one whose lower bytes are the member's.
    Word(u64),
    /// Of TEXT or BLOB, in the row: where, and how many.
    Bytes(*const u8, usize),
    /// Any, NULL too: what the row has. To carry it along costs more than to read it again.
    Value,
}

impl Member {
    /// The member of the field at `position`.
    ///
    /// # Safety
    /// The column is NULL or a terminated text.
    pub(crate) unsafe fn new(position: usize, field: &shmirror_field) -> Result<Self, Failure> {
        let what = || format!("fields[{position}]");
        // SAFETY: the caller's.
        let column = unsafe { argument::text(field.column, &format!("{}.column", what())) }?;
        let kind = kind(field.r#type)
            .ok_or_else(|| argument::no_enumerator(&format!("{}.type", what()), field.r#type))?;
        let wrong = |message: String| {
            let name = what();
            Failure::argument(
                SHMIRROR_BAD_ARGUMENT,
                format!("{name}, column {column:?}: {message}"),
            )
        };
        if field.flags != 0 {
            return Err(wrong(format!("flags {}, expected 0", field.flags)));
        }
        match width(kind) {
            Some(width) if field.size != width => {
                let size = field.size;
                return Err(wrong(format!("a member of {size} bytes, {kind:?} has {width}")));
            }
            None if field.size == 0 => return Err(wrong("a member of no bytes".to_owned())),
            _ => {}
        }
        let most = isize::MAX as usize;
        let last = if field.null_offset == NOWHERE { 0 } else { field.null_offset };
        if field.size > most || field.offset > most - field.size || last >= most {
            let (offset, size) = (field.offset, field.size);
            return Err(wrong(format!("{size} bytes at {offset}, NULL told at {last}: too far")));
        }
        Ok(Self {
            column: column.to_owned(),
            kind,
            offset: field.offset,
            size: field.size,
            null_offset: field.null_offset,
            index: usize::MAX,
        })
    }

    /// Bytes of a struct up to where the member ends.
    pub(crate) fn end(&self) -> usize {
        let null_end = if self.null_offset == NOWHERE { 0 } else { self.null_offset + 1 };
        null_end.max(self.offset + self.size)
    }

    /// Looks for its column.
    pub(crate) fn find(&mut self, form: Form) -> Result<(), Failure> {
        self.index = form.index(&self.column)?;
        Ok(())
    }

    /// Puts the row's value for the member, where it fits, into `staged`.
    ///
    /// Not as a result: one that is made on the stack by parts and moved as a whole waits for its parts to
    /// leave the store buffer, which takes longer than all else here.
    #[inline(always)]
    pub(crate) fn stage(&self, row: RowRef<'_>, staged: &mut Staged) -> Result<(), Failure> {
        let word = match self.kind {
            SHMIRROR_FIELD_I64 => row.integer_at(self.index).map(|v| v as u64),
            SHMIRROR_FIELD_F64 => row.real_at(self.index).map(f64::to_bits),
            _ => None,
        };
        match word {
            Some(word) => *staged = Staged::Word(word),
            None => *staged = self.stage_any(row)?,
        }
        Ok(())
    }

    /// The same, of any type.
    #[inline(never)]
    fn stage_any(&self, row: RowRef<'_>) -> Result<Staged, Failure> {
        let found = value(row, self.index)?;
        if found == ValueRef::Null && self.kind != SHMIRROR_FIELD_VALUE {
            return if self.null_offset == NOWHERE {
                Err(null(row, self.index, "a value"))
            } else {
                Ok(Staged::Null)
            };
        }
        match self.kind {
            SHMIRROR_FIELD_I64 => self.word(row, found, |v: i64| v as u64),
            SHMIRROR_FIELD_F64 => self.word(row, found, f64::to_bits),
            SHMIRROR_FIELD_BOOL => self.word(row, found, |v: bool| v.into()),
            SHMIRROR_FIELD_I32 => self.word(row, found, |v: i32| v as u64),
            SHMIRROR_FIELD_U32 => self.word(row, found, |v: u32| v.into()),
            SHMIRROR_FIELD_U64 => self.word(row, found, |v: u64| v),
            SHMIRROR_FIELD_F32 => self.word(row, found, |v: f32| v.to_bits().into()),
            SHMIRROR_FIELD_TEXT => {
                let text: &str = self.convert(row, found)?;
                if text.len() >= self.size {
                    return Err(self.unfit(row, text.len() + 1));
                }
                if text.as_bytes().contains(&0) {
                    return Err(self.inside(row));
                }
                Ok(Staged::Bytes(text.as_ptr(), text.len()))
            }
            SHMIRROR_FIELD_BYTES => {
                let bytes: &[u8] = self.convert(row, found)?;
                if bytes.len() != self.size {
                    return Err(self.unfit(row, bytes.len()));
                }
                Ok(Staged::Bytes(bytes.as_ptr(), bytes.len()))
            }
            SHMIRROR_FIELD_VALUE => Ok(Staged::Value),
        }
    }

    #[inline]
    fn convert<'a, T: FromValue<'a>>(
        &self,
        row: RowRef<'a>,
        found: ValueRef<'a>,
    ) -> Result<T, Failure> {
        T::from_value(found).map_err(|m| mismatch(row, self.index, m))
    }

    #[inline]
    fn word<'a, T: FromValue<'a>>(
        &self,
        row: RowRef<'a>,
        found: ValueRef<'a>,
        bits: impl FnOnce(T) -> u64,
    ) -> Result<Staged, Failure> {
        Ok(Staged::Word(bits(self.convert(row, found)?)))
    }

    /// Writes the member of the struct at `out`.
    ///
    /// # Safety
    /// The struct's bytes up to [`Member::end`] may be written; `staged` is of this member and this row.
    #[inline]
    pub(crate) unsafe fn write(&self, staged: &Staged, row: RowRef<'_>, out: *mut u8) {
        // SAFETY: the caller's: the member lies inside, and `stage` saw to it that what is written is no
        // longer than the member: a word of its type's width, a text with its NUL, bytes of its size.
        unsafe {
            let to = out.add(self.offset);
            let mut is_null = matches!(staged, Staged::Null);
            match staged {
                Staged::Null => ptr::write_bytes(to, 0, self.size),
                Staged::Word(word) => match self.size {
                    8 => to.cast::<u64>().write_unaligned(*word),
                    4 => to.cast::<u32>().write_unaligned(*word as u32),
                    _ => to.write(*word as u8),
                },
                Staged::Bytes(from, length) => {
                    ptr::copy_nonoverlapping(*from, to, *length);
                    if self.kind == SHMIRROR_FIELD_TEXT {
                        to.add(*length).write(0);
                    }
                }
                Staged::Value => {
                    // `stage` saw that it can be read.
                    let found = value(row, self.index).unwrap_or_default();
                    is_null = found == ValueRef::Null;
                    to.cast::<shmirror_value>().write_unaligned(found.into());
                }
            }
            if self.null_offset != NOWHERE {
                out.add(self.null_offset).write(is_null.into());
            }
        }
    }

    /// TEXT or a BLOB of another length than the member has.
    #[cold]
    fn unfit(&self, row: RowRef<'_>, needed: usize) -> Failure {
        let status =
            if needed > self.size { SHMIRROR_SHORT_BUFFER } else { SHMIRROR_TYPE_MISMATCH };
        let (table, column, size) = (row.form().table(), &self.column, self.size);
        let message = format!(
            "table {table:?}, column {column:?}: a member of {size} bytes, expected {needed}"
        );
        Failure::argument(status, message)
    }

    #[cold]
    fn inside(&self, row: RowRef<'_>) -> Failure {
        let (table, column) = (row.form().table(), &self.column);
        let message = format!(
            "table {table:?}, column {column:?}: text with NUL inside, expected text without"
        );
        Failure::argument(SHMIRROR_TYPE_MISMATCH, message)
    }
}

fn kind(number: i32) -> Option<shmirror_field_type> {
    let all = [
        SHMIRROR_FIELD_I64,
        SHMIRROR_FIELD_F64,
        SHMIRROR_FIELD_BOOL,
        SHMIRROR_FIELD_I32,
        SHMIRROR_FIELD_U32,
        SHMIRROR_FIELD_U64,
        SHMIRROR_FIELD_F32,
        SHMIRROR_FIELD_TEXT,
        SHMIRROR_FIELD_BYTES,
        SHMIRROR_FIELD_VALUE,
    ];
    all.into_iter().find(|kind| *kind as i32 == number)
}

/// Bytes of a member of this type; `None` where a program chooses them.
fn width(kind: shmirror_field_type) -> Option<usize> {
    match kind {
        SHMIRROR_FIELD_I64 | SHMIRROR_FIELD_F64 | SHMIRROR_FIELD_U64 => Some(8),
        SHMIRROR_FIELD_I32 | SHMIRROR_FIELD_U32 | SHMIRROR_FIELD_F32 => Some(4),
        SHMIRROR_FIELD_BOOL => Some(1),
        SHMIRROR_FIELD_VALUE => Some(size_of::<shmirror_value>()),
        SHMIRROR_FIELD_TEXT | SHMIRROR_FIELD_BYTES => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::keep;

    fn field(kind: shmirror_field_type, offset: usize, size: usize) -> shmirror_field {
        let (column, null_offset) = (c"a".as_ptr(), NOWHERE);
        shmirror_field { column, r#type: kind as i32, flags: 0, offset, size, null_offset }
    }

    fn status(field: shmirror_field) -> i32 {
        // SAFETY: NULL, or a text that lives for ever.
        unsafe { Member::new(0, &field) }.map_or_else(|f| keep(f) as i32, |_| 0)
    }

    #[test]
    fn a_field_is_checked() {
        assert_eq!(status(field(SHMIRROR_FIELD_I64, 8, 8)), 0);
        assert_eq!(
            status(shmirror_field { column: ptr::null(), ..field(SHMIRROR_FIELD_I64, 0, 8) }),
            16
        );
        for (kind, wrong) in [
            (SHMIRROR_FIELD_I64, 4),
            (SHMIRROR_FIELD_F64, 9),
            (SHMIRROR_FIELD_BOOL, 4),
            (SHMIRROR_FIELD_I32, 8),
            (SHMIRROR_FIELD_F32, 8),
            (SHMIRROR_FIELD_VALUE, 16),
            (SHMIRROR_FIELD_TEXT, 0),
            (SHMIRROR_FIELD_BYTES, 0),
            (SHMIRROR_FIELD_TEXT, usize::MAX),
        ] {
            assert_eq!(status(field(kind, 0, wrong)), 20, "{kind:?} {wrong}");
        }
        for r#type in [0, 11, -1] {
            assert_eq!(status(shmirror_field { r#type, ..field(SHMIRROR_FIELD_I64, 0, 8) }), 20);
        }
        assert_eq!(status(shmirror_field { flags: 1, ..field(SHMIRROR_FIELD_I64, 0, 8) }), 20);
        assert_eq!(status(field(SHMIRROR_FIELD_I64, usize::MAX - 3, 8)), 20);
        let far = shmirror_field { null_offset: usize::MAX - 1, ..field(SHMIRROR_FIELD_I64, 0, 8) };
        assert_eq!(status(far), 20);
    }

    #[test]
    fn members_are_written_where_they_are_and_nowhere_else() {
        let row = shmirror::Row::default();
        let write = |kind, size, staged, null_offset| {
            let field = shmirror_field { null_offset, ..field(kind, 3, size) };
            // SAFETY: a text that lives for ever; 16 bytes, of which the member has those from 3 on.
            unsafe {
                let member = Member::new(0, &field).ok().unwrap();
                let mut out = [0xEE; 16];
                assert!(member.end() <= 16);
                member.write(&staged, row.as_ref(), out.as_mut_ptr());
                out
            }
        };
        let word = Staged::Word(-2i64 as u64);
        let out = write(SHMIRROR_FIELD_I32, 4, word, 15);
        assert_eq!(out[3..7], (-2i32).to_le_bytes());
        assert_eq!((out[2], out[7], out[15]), (0xEE, 0xEE, 0));
        let out = write(SHMIRROR_FIELD_TEXT, 4, Staged::Bytes(b"abc".as_ptr(), 3), NOWHERE);
        assert_eq!(&out[2..8], b"\xEEabc\0\xEE");
        let out = write(SHMIRROR_FIELD_BYTES, 2, Staged::Null, 5);
        assert_eq!(&out[2..7], b"\xEE\0\0\x01\xEE");
    }
}
