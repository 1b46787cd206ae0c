//! Functions of SQLite whose time grows with the product of two lengths, done in linear time.
//!
//! SQLite looks at its clock between the instructions of a statement, not within a function. With
//! values of 16 MiB a single `instr`, `replace` or `trim` could keep the pipeline for an hour, or
//! days, whatever time a request may take. What these give is what SQLite's own give (func.c). LIKE
//! and GLOB are bounded by the length of their pattern instead, see [`LIKE_PATTERN_BYTES`].

use std::collections::HashSet;
use std::ffi::{CStr, c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use memchr::memmem;
use rusqlite::ffi;
use rusqlite::functions::FunctionFlags;

use super::db::{Db, SqlError};

/// Longest pattern of LIKE and GLOB: their time grows with the product of the pattern's length and the
/// text's.
pub(crate) const LIKE_PATTERN_BYTES: i32 = 500;

const LEFT: usize = 1;
const RIGHT: usize = 2;

type Function =
    unsafe extern "C" fn(*mut ffi::sqlite3_context, c_int, *mut *mut ffi::sqlite3_value);

/// Puts them in the place of SQLite's.
pub(crate) fn install(db: &Db) -> Result<(), SqlError> {
    let functions: [(&CStr, c_int, usize, Function); 5] = [
        (c"instr", 2, 0, instr),
        (c"replace", 3, 0, replace),
        (c"ltrim", 2, LEFT, trim),
        (c"rtrim", 2, RIGHT, trim),
        (c"trim", 2, LEFT | RIGHT, trim),
    ];
    // As SQLite's own: indexes, CHECKs and generated columns may use them.
    let flags = ffi::SQLITE_UTF8 | ffi::SQLITE_DETERMINISTIC | ffi::SQLITE_INNOCUOUS;
    for (name, arguments, sides, function) in functions {
        db.create_function(name, arguments, flags, sides as *mut c_void, function)?;
    }
    Ok(())
}

/// Has `changes()` and `total_changes()` count from the beginning of a request, as no request is to
/// learn of another's: what is returned takes the connection's total at that moment.
pub(crate) fn install_counters(db: &Db) -> Result<Arc<AtomicU64>, SqlError> {
    let before = Arc::new(AtomicU64::new(0));
    // As SQLite's own: views and triggers may use them.
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS;
    for (name, all) in [("changes", false), ("total_changes", true)] {
        let before = before.clone();
        db.connection().create_scalar_function(name, 0, flags, move |context| {
            // SAFETY: the connection is the one that calls, and is used for two counters of it alone.
            let connection = unsafe { context.get_connection() }?;
            let since = connection.total_changes().saturating_sub(before.load(Ordering::Relaxed));
            // Without a change since, the last statement that changed rows was another request's.
            let count = if all || since == 0 { since } else { connection.changes() };
            Ok(i64::try_from(count).unwrap_or(i64::MAX))
        })?;
    }
    Ok(before)
}

/// The arguments of a call.
struct Call {
    context: *mut ffi::sqlite3_context,
    values: *mut *mut ffi::sqlite3_value,
}

impl Call {
    fn value(&self, index: usize) -> *mut ffi::sqlite3_value {
        // SAFETY: SQLite gives as many values as the function was registered for, and `index` is less.
        unsafe { *self.values.add(index) }
    }

    fn is(&self, index: usize, class: c_int) -> bool {
        // SAFETY: a value of the present call.
        unsafe { ffi::sqlite3_value_type(self.value(index)) == class }
    }

    /// The bytes of a value, a number as text. `None` for NULL, or without memory.
    fn bytes(&self, index: usize) -> Option<&[u8]> {
        if self.is(index, ffi::SQLITE_NULL) {
            return None;
        }
        let value = self.value(index);
        // SAFETY: a value of the present call; its bytes stay where they are until the call ends, as
        // nothing converts it again (text stays text, a BLOB is never asked for as text).
        unsafe {
            let start: *const u8 = if self.is(index, ffi::SQLITE_BLOB) {
                ffi::sqlite3_value_blob(value).cast()
            } else {
                ffi::sqlite3_value_text(value)
            };
            let length = usize::try_from(ffi::sqlite3_value_bytes(value)).unwrap_or(0);
            if length == 0 {
                return Some(&[]);
            }
            (!start.is_null()).then(|| std::slice::from_raw_parts(start, length))
        }
    }

    fn give_text(&self, text: &[u8]) {
        // SAFETY: text and length belong together; SQLite copies it, and refuses what is too long.
        unsafe {
            ffi::sqlite3_result_text64(
                self.context,
                text.as_ptr().cast(),
                text.len() as u64,
                ffi::SQLITE_TRANSIENT(),
                ffi::SQLITE_UTF8 as u8,
            );
        }
    }

    fn give_integer(&self, value: usize) {
        // SAFETY: the context of the present call.
        unsafe { ffi::sqlite3_result_int64(self.context, value as i64) }
    }

    /// Longest value that SQLite takes here.
    fn longest(&self) -> usize {
        // SAFETY: the context of the present call; -1 asks without setting.
        let found = unsafe {
            let db = ffi::sqlite3_context_db_handle(self.context);
            ffi::sqlite3_limit(db, ffi::SQLITE_LIMIT_LENGTH, -1)
        };
        usize::try_from(found).unwrap_or(0)
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

/// Where `needle` begins in `haystack`, from 1; 0 where it does not. Of text, characters count.
fn position(haystack: &[u8], needle: &[u8], text: bool) -> usize {
    let Some(first) = needle.first() else { return 1 };
    if text && is_continuation(*first) {
        // No character begins so.
        return usize::from(haystack.starts_with(needle));
    }
    let Some(at) = memmem::find(haystack, needle) else { return 0 };
    if !text {
        return at + 1;
    }
    1 + haystack[..=at].iter().skip(1).filter(|b| !is_continuation(**b)).count()
}

unsafe extern "C" fn instr(
    context: *mut ffi::sqlite3_context,
    _: c_int,
    values: *mut *mut ffi::sqlite3_value,
) {
    let call = Call { context, values };
    let (Some(haystack), Some(needle)) = (call.bytes(0), call.bytes(1)) else { return };
    let text = !(call.is(0, ffi::SQLITE_BLOB) && call.is(1, ffi::SQLITE_BLOB));
    call.give_integer(position(haystack, needle, text));
}

unsafe extern "C" fn replace(
    context: *mut ffi::sqlite3_context,
    _: c_int,
    values: *mut *mut ffi::sqlite3_value,
) {
    let call = Call { context, values };
    let (Some(text), Some(pattern)) = (call.bytes(0), call.bytes(1)) else { return };
    if pattern.first().is_none_or(|b| *b == 0) {
        return call.give_text(text);
    }
    let Some(by) = call.bytes(2) else { return };
    let finder = memmem::Finder::new(pattern);
    let count = finder.find_iter(text).count();
    let length =
        (text.len() - count * pattern.len()).saturating_add(count.saturating_mul(by.len()));
    if length > call.longest() {
        // SAFETY: the context of the present call.
        return unsafe { ffi::sqlite3_result_error_toobig(context) };
    }
    let (mut out, mut done) = (Vec::with_capacity(length), 0);
    for at in finder.find_iter(text) {
        out.extend_from_slice(&text[done..at]);
        out.extend_from_slice(by);
        done = at + pattern.len();
    }
    out.extend_from_slice(&text[done..]);
    call.give_text(&out);
}

/// The characters of `set`, which SQLite takes to end at a NUL. Those that are longer than any of UTF-8 are left out.
fn characters(set: &[u8]) -> HashSet<&[u8]> {
    let set = memchr::memchr(0, set).map_or(set, |end| &set[..end]);
    let (mut found, mut at) = (HashSet::new(), 0);
    while at < set.len() {
        let start = at;
        at += 1;
        if set[start] >= 0xC0 {
            at += set[at..].iter().take_while(|b| is_continuation(**b)).count();
        }
        if at - start <= 4 {
            found.insert(&set[start..at]);
        }
    }
    found
}

fn trimmed<'t>(mut text: &'t [u8], set: &[u8], sides: usize) -> &'t [u8] {
    let set = characters(set);
    let lengths: Vec<usize> = (1..=4).filter(|n| set.iter().any(|c| c.len() == *n)).collect();
    if sides & LEFT != 0 {
        let begins = |text: &[u8]| {
            lengths.iter().copied().find(|n| text.get(..*n).is_some_and(|c| set.contains(c)))
        };
        while let Some(n) = begins(text) {
            text = &text[n..];
        }
    }
    if sides & RIGHT != 0 {
        let ends = |text: &[u8]| {
            let end = |n: usize| text.len().checked_sub(n).and_then(|at| text.get(at..));
            lengths.iter().copied().find(|n| end(*n).is_some_and(|c| set.contains(c)))
        };
        while let Some(n) = ends(text) {
            text = &text[..text.len() - n];
        }
    }
    text
}

unsafe extern "C" fn trim(
    context: *mut ffi::sqlite3_context,
    _: c_int,
    values: *mut *mut ffi::sqlite3_value,
) {
    let call = Call { context, values };
    let (Some(text), Some(set)) = (call.bytes(0), call.bytes(1)) else { return };
    // SAFETY: the context of the present call; the user data is the number that was registered.
    let sides = unsafe { ffi::sqlite3_user_data(context) } as usize;
    call.give_text(trimmed(text, set, sides));
}
