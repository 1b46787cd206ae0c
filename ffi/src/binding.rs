//! Which columns go to which members of a C struct: what a program says of it, checked.

use std::ffi::c_char;

use shmirror::{Form, Row};

use crate::argument;
use crate::call::call;
use crate::error::Failure;
use crate::handle::{self, object};
use crate::member::{Member, Staged};
use crate::status::shmirror_status;

/// The C type of a struct's member. Members that hold one are of type int32_t.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum shmirror_field_type {
    /// int64_t.
    SHMIRROR_FIELD_I64 = 1,
    /// double.
    SHMIRROR_FIELD_F64 = 2,
    /// uint8_t, or bool where that is a byte: 0 or 1.
    SHMIRROR_FIELD_BOOL = 3,
    /// int32_t.
    SHMIRROR_FIELD_I32 = 4,
    /// uint32_t.
    SHMIRROR_FIELD_U32 = 5,
    /// uint64_t.
    SHMIRROR_FIELD_U64 = 6,
    /// float.
    SHMIRROR_FIELD_F32 = 7,
    /// char[size]: TEXT and a NUL. SHMIRROR_SHORT_BUFFER where it does not fit, SHMIRROR_TYPE_MISMATCH
    /// where it has a NUL inside.
    SHMIRROR_FIELD_TEXT = 8,
    /// uint8_t[size]: a BLOB of exactly so many bytes. SHMIRROR_SHORT_BUFFER where it has more,
    /// SHMIRROR_TYPE_MISMATCH where it has less.
    SHMIRROR_FIELD_BYTES = 9,
    /// shmirror_value: of any class, and NULL as one. Its text or bytes stay where they are: in the row
    /// of shmirror_row_fetch(), the rows of shmirror_rows_fetch(), until those are filled again or
    /// closed; of shmirror_table_fetch() in the binding, until it is used again or closed.
    SHMIRROR_FIELD_VALUE = 10,
}

/// Which column goes to which member of a C struct. Made with SHMIRROR_FIELD() and
/// SHMIRROR_FIELD_NULLABLE().
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct shmirror_field {
    /// Name of the column (ASCII case folded).
    pub column: *const c_char,
    /// A shmirror_field_type.
    pub r#type: i32,
    /// Not used: 0.
    pub flags: i32,
    /// Where the member begins in the struct, in bytes.
    pub offset: usize,
    /// Its size in bytes.
    pub size: usize,
    /// Where a uint8_t is that becomes 1 where the column is NULL (then the member becomes all zeros), 0
    /// where not. SIZE_MAX: nowhere, and NULL is SHMIRROR_NULL_VALUE.
    pub null_offset: usize,
}

/// Which columns go to which members of a C struct, so that a row is read straight into one. It finds
/// the columns by their names, and again whenever their table was altered. One thread at a time.
pub struct shmirror_binding {
    pub(crate) bound: Bound,
    /// What a row is read into on its way.
    pub(crate) row: Row,
}
object!(shmirror_binding, 8, "shmirror_binding");

/// The members, and the rows that they know.
pub(crate) struct Bound {
    pub(crate) members: Vec<Member>,
    /// Bytes that a struct must have at least.
    pub(crate) size: usize,
    /// The form of rows whose columns the members know.
    pub(crate) form: Form,
    /// For each member the value that it is to get.
    pub(crate) staged: Vec<Staged>,
}

/// A binding of columns to members; it copies what it is given. The columns are looked for when the
/// first row is read. Close it with shmirror_binding_close(). SHMIRROR_BAD_ARGUMENT: a type that is
/// none, or a size that is not its type's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_binding_new(
    fields: *const shmirror_field,
    count: usize,
    out: *mut *mut shmirror_binding,
) -> shmirror_status {
    // SAFETY: as the prologue says of arrays, texts and out parameters.
    call(|| unsafe {
        argument::no_handle(out, "out")?;
        let fields = argument::array(fields, count, "fields")?;
        let binding = bind(fields)?;
        argument::write(out, handle::make(binding)?, "out")
    })
}

/// Ends a binding. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_binding_close(binding: *mut shmirror_binding) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe { handle::close(binding) })
}

/// # Safety
/// Each column is NULL or a terminated text.
unsafe fn bind(fields: &[shmirror_field]) -> Result<shmirror_binding, Failure> {
    // SAFETY: the caller's.
    let members: Result<Vec<Member>, Failure> =
        fields.iter().enumerate().map(|(i, field)| unsafe { Member::new(i, field) }).collect();
    let members = members?;
    let bound = Bound {
        size: members.iter().map(Member::end).max().unwrap_or(0),
        staged: vec![Staged::Null; members.len()],
        members,
        form: Row::default().form(),
    };
    Ok(shmirror_binding { bound, row: Row::default() })
}
