//! Which columns go to which members of a C struct.

use std::ffi::c_char;

use crate::argument;
use crate::call::call;
use crate::handle::{self, object};
use crate::status::shmirror_status;

/// The C type of a struct's member. Members that hold one are of type int32_t.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum shmirror_field_type {
    /// int64_t.
    SHMIRROR_FIELD_I64 = 1,
    /// double.
    SHMIRROR_FIELD_F64 = 2,
    /// uint8_t or bool: 0 or 1.
    SHMIRROR_FIELD_BOOL = 3,
    /// int32_t.
    SHMIRROR_FIELD_I32 = 4,
    /// uint32_t.
    SHMIRROR_FIELD_U32 = 5,
    /// uint64_t.
    SHMIRROR_FIELD_U64 = 6,
    /// float.
    SHMIRROR_FIELD_F32 = 7,
    /// char[size]: TEXT, with a NUL after it; SHMIRROR_SHORT_BUFFER where it does not fit.
    SHMIRROR_FIELD_TEXT = 8,
    /// uint8_t[size]: a BLOB of exactly so many bytes, else SHMIRROR_SHORT_BUFFER.
    SHMIRROR_FIELD_BYTES = 9,
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
    /// Where a uint8_t is that becomes 1 where the column is NULL, 0 where not. SIZE_MAX: nowhere, NULL
    /// is SHMIRROR_NULL_VALUE.
    pub null_offset: usize,
}

/// Which columns go to which members of a C struct. One thread at a time.
pub struct shmirror_binding {
    fields: Vec<shmirror_field>,
}
object!(shmirror_binding, 8, "shmirror_binding");

/// A binding of these columns to members; it copies what it is given. Close it with
/// shmirror_binding_close(). SHMIRROR_BAD_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_binding_new(
    fields: *const shmirror_field,
    count: usize,
    out: *mut *mut shmirror_binding,
) -> shmirror_status {
    // SAFETY: as the prologue says of arrays and out parameters.
    call(|| unsafe {
        argument::no_handle(out, "out")?;
        let fields = argument::array(fields, count, "fields")?.to_vec();
        argument::write(out, handle::make(shmirror_binding { fields })?, "out")
    })
}

/// Ends a binding. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_binding_close(binding: *mut shmirror_binding) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe { handle::close(binding) })
}
