//! A VFS of SQLite's over its own one: each call passes a point first, and is written down.
//!
//! ```text
//! File   base: sqlite3_file | watched | SQLite's own file, szOsFile bytes
//! ```
//! SQLite gives each connection's files to one thread at a time, and opens, uses and closes them in that order
//! (<https://sqlite.org/c3ref/io_methods.html>): that is what the unsafe blocks here stand on.

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::mem::size_of;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use rusqlite::ffi::{
    SQLITE_BUSY, SQLITE_CANTOPEN, SQLITE_FULL, SQLITE_IOERR_FSYNC, SQLITE_IOERR_LOCK,
    SQLITE_IOERR_READ, SQLITE_IOERR_SHMLOCK, SQLITE_IOERR_SHMSIZE, SQLITE_IOERR_TRUNCATE,
    SQLITE_IOERR_WRITE, SQLITE_OK, SQLITE_OPEN_CREATE, SQLITE_OPEN_MAIN_DB,
    SQLITE_OPEN_MAIN_JOURNAL, SQLITE_OPEN_WAL, SQLITE_SHM_LOCK, sqlite3_file, sqlite3_filename,
    sqlite3_int64, sqlite3_io_methods, sqlite3_vfs, sqlite3_vfs_find, sqlite3_vfs_register,
};
use shmirror_shm::points::{self, Point};

use super::disk;
use super::journal::Op;

const ENOSPC: i32 = 28;
const EBUSY: i32 = 16;

/// A file of ours; SQLite's own follows it.
#[repr(C)]
struct File {
    base: sqlite3_file,
    /// A box; null for files that are none of the store's.
    watched: *mut Watched,
}

struct Watched {
    path: PathBuf,
    /// Its first sync is one of the directory too, as SQLite's own does it.
    with_directory: bool,
    /// Failed syncs of the file that this handle was told of, and that there were.
    told: u64,
    failures: Arc<AtomicU64>,
}

/// SQLite's own VFS. Set once, before ours is registered.
static OWN: AtomicPtr<sqlite3_vfs> = AtomicPtr::new(ptr::null_mut());

/// SQLite's methods of version 2: without those of version 3 it maps no file, so that all of its writes pass
/// here.
static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// Makes it the one that every connection gets from here on.
pub(super) fn register() {
    // SAFETY: null asks for the default one, which SQLite keeps for as long as the process lives.
    let own = unsafe { sqlite3_vfs_find(ptr::null()) };
    assert!(!own.is_null(), "SQLite has a VFS");
    // SAFETY: not null, and SQLite's struct.
    let mut vfs = unsafe { *own };
    OWN.store(own, Ordering::SeqCst);
    // The copy keeps pAppData and all else: SQLite's own functions work with it as with their own.
    vfs.szOsFile += size_of::<File>() as c_int;
    vfs.pNext = ptr::null_mut();
    vfs.zName = c"watched".as_ptr();
    vfs.xOpen = Some(open);
    vfs.xDelete = Some(delete);
    // SAFETY: it is never freed, and nothing but SQLite touches it from here on.
    let done = unsafe { sqlite3_vfs_register(Box::into_raw(Box::new(vfs)), 1) };
    assert_eq!(done, SQLITE_OK, "SQLite takes a VFS");
}

/// SQLite's own file behind one of ours.
///
/// # Safety
/// `file` has the room that our VFS asks for.
unsafe fn own(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: szOsFile is that of `File` and that of SQLite's own file; both are of pointers, so aligned.
    unsafe { file.cast::<File>().add(1).cast() }
}

/// Calls a method of SQLite's own file.
macro_rules! forward {
    ($file:ident, $method:ident $(, $argument:expr)*) => {{
        // SAFETY: SQLite calls methods of files that `open` has opened; it has set both files' methods. The
        // arguments are SQLite's own.
        unsafe {
            let file = own($file);
            let methods = (*file).pMethods;
            // SQLite's own files have all methods of version 2.
            (*methods).$method.expect("a method of version 2")(file $(, $argument)*)
        }
    }};
}

/// What is watched of a file; `None` for one that is not the store's.
///
/// # Safety
/// `file` was opened by `open` and is not closed; no other reference from here is in use.
unsafe fn watched<'f>(file: *mut sqlite3_file) -> Option<&'f mut Watched> {
    // SAFETY: a box of ours or null, of a file that one thread uses at a time.
    unsafe { (*file.cast::<File>()).watched.as_mut() }
}

/// The code for a call that is to fail; `None` if it is not.
fn failing(file: &Watched, point: Point, otherwise: c_int) -> Option<c_int> {
    let errno = points::fails(point)?;
    tracing::debug!(file = %file.path.display(), ?point, errno, "a call fails on purpose");
    Some(match (errno, point) {
        (ENOSPC, Point::StoreWrite) => SQLITE_FULL,
        (EBUSY, Point::StoreLock) => SQLITE_BUSY,
        _ => otherwise,
    })
}

fn tell(op: &Op<'_>) {
    if let Some(disk) = disk() {
        disk.tell(op);
    }
}

unsafe extern "C" fn open(
    _: *mut sqlite3_vfs,
    name: sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    let vfs = OWN.load(Ordering::SeqCst);
    let kinds = SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL;
    let path = (!name.is_null() && flags & kinds != 0).then(|| {
        // SAFETY: SQLite's names end with a zero and outlive the call.
        let name = unsafe { CStr::from_ptr(name) };
        PathBuf::from(OsStr::from_bytes(name.to_bytes()))
    });
    // SAFETY: SQLite gives room for szOsFile bytes, which are those of `File` and more.
    let ours = unsafe {
        let ours = file.cast::<File>();
        ours.write(File { base: sqlite3_file { pMethods: ptr::null() }, watched: ptr::null_mut() });
        ours
    };
    if path.is_some() && points::fails(Point::StoreOpen).is_some() {
        return SQLITE_CANTOPEN;
    }
    let watched = path.and_then(|path| {
        let failures = disk()?.failures(&path);
        let told = failures.load(Ordering::SeqCst);
        let with_directory = flags & SQLITE_OPEN_MAIN_DB == 0 && flags & SQLITE_OPEN_CREATE != 0;
        Some(Box::new(Watched { path, with_directory, told, failures }))
    });
    // SAFETY: SQLite's own VFS has an xOpen; the room behind ours is as large as it asks for, and SQLite
    // lets it be whatever it is at an open.
    let done = unsafe {
        let own = own(file);
        (*own).pMethods = ptr::null();
        (*vfs).xOpen.expect("every VFS opens files")(vfs, name, own, flags, out)
    };
    if done != SQLITE_OK {
        // SAFETY: as above. One that could not be opened is closed here, as SQLite will not do it.
        unsafe {
            let own = own(file);
            if let Some(methods) = (*own).pMethods.as_ref() {
                methods.xClose.expect("every file can be closed")(own);
            }
        }
        return done;
    }
    if let Some(watched) = watched {
        let length = std::fs::metadata(&watched.path).map_or(0, |about| about.len());
        tell(&Op::Open { path: &watched.path, length });
        // SAFETY: `ours` is the room for the file, see above; `close` takes the box back.
        unsafe { (*ours).watched = Box::into_raw(watched) };
    }
    // SAFETY: as above.
    unsafe { (*ours).base.pMethods = &raw const METHODS };
    SQLITE_OK
}

unsafe extern "C" fn delete(_: *mut sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    let vfs = OWN.load(Ordering::SeqCst);
    // SAFETY: SQLite's names end with a zero and outlive the call.
    let path = Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(name) }.to_bytes()));
    tell(&Op::Remove { path });
    let before = disk().map_or(0, super::Disk::position);
    // SAFETY: SQLite's own VFS has an xDelete; the name is the one that it was called with.
    let done = unsafe { (*vfs).xDelete.expect("every VFS deletes files")(vfs, name, sync) };
    if let (SQLITE_OK, true, Some(parent)) = (done, sync != 0, path.parent()) {
        tell(&Op::SyncDirectory { path: parent, before });
    }
    done
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: SQLite closes a file once; the box is `open`'s, and nobody uses it after this.
    unsafe {
        let watched = std::mem::replace(&mut (*file.cast::<File>()).watched, ptr::null_mut());
        if !watched.is_null() {
            drop(Box::from_raw(watched));
        }
    }
    forward!(file, xClose)
}

unsafe extern "C" fn read(
    file: *mut sqlite3_file,
    to: *mut c_void,
    bytes: c_int,
    at: sqlite3_int64,
) -> c_int {
    // SAFETY: an open file of ours, see the module's head.
    let watched = unsafe { watched(file) };
    if let Some(code) = watched.and_then(|w| failing(w, Point::StoreRead, SQLITE_IOERR_READ)) {
        return code;
    }
    forward!(file, xRead, to, bytes, at)
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    from: *const c_void,
    bytes: c_int,
    at: sqlite3_int64,
) -> c_int {
    // SAFETY: an open file of ours, see the module's head.
    if let Some(watched) = unsafe { watched(file) } {
        let failed = failing(watched, Point::StoreWrite, SQLITE_IOERR_WRITE);
        // A disk that is full takes a part.
        let taken = match failed {
            None => bytes,
            Some(SQLITE_FULL) => bytes / 2,
            Some(_) => 0,
        };
        // SAFETY: SQLite's buffer has `bytes` bytes, of which these are the first.
        let part = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), taken as usize) };
        if taken > 0 {
            tell(&Op::Write { path: &watched.path, at: at as u64, bytes: part });
        }
        if let Some(code) = failed {
            if taken > 0 {
                forward!(file, xWrite, from, taken, at);
            }
            return code;
        }
    }
    forward!(file, xWrite, from, bytes, at)
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, length: sqlite3_int64) -> c_int {
    // SAFETY: an open file of ours, see the module's head.
    if let Some(watched) = unsafe { watched(file) } {
        if let Some(code) = failing(watched, Point::StoreWrite, SQLITE_IOERR_TRUNCATE) {
            return code;
        }
        tell(&Op::Length { path: &watched.path, length: length as u64 });
    }
    forward!(file, xTruncate, length)
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: an open file of ours, see the module's head.
    let (Some(watched), Some(disk)) = (unsafe { watched(file) }, disk()) else {
        return forward!(file, xSync, flags);
    };
    let before = disk.position();
    if let Some(code) = failing(watched, Point::StoreSync, SQLITE_IOERR_FSYNC) {
        watched.told = watched.failures.fetch_add(1, Ordering::SeqCst) + 1;
        disk.tell(&Op::SyncFailed { path: &watched.path, before });
        return code;
    }
    let failures = watched.failures.load(Ordering::SeqCst);
    if watched.told < failures {
        watched.told = failures;
        return SQLITE_IOERR_FSYNC;
    }
    if disk.journal.is_none() {
        return forward!(file, xSync, flags);
    }
    if points::is_put_in(Point::SkipSync) {
        return SQLITE_OK;
    }
    // What the kernel has is all that the journal's reader needs.
    disk.tell(&Op::Sync { path: &watched.path, before });
    if std::mem::take(&mut watched.with_directory)
        && let Some(parent) = watched.path.parent()
    {
        disk.tell(&Op::SyncDirectory { path: parent, before });
    }
    SQLITE_OK
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, out: *mut sqlite3_int64) -> c_int {
    forward!(file, xFileSize, out)
}

unsafe extern "C" fn lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: an open file of ours, see the module's head.
    let watched = unsafe { watched(file) };
    if let Some(code) = watched.and_then(|w| failing(w, Point::StoreLock, SQLITE_IOERR_LOCK)) {
        return code;
    }
    forward!(file, xLock, level)
}

unsafe extern "C" fn unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    forward!(file, xUnlock, level)
}

unsafe extern "C" fn check_reserved_lock(file: *mut sqlite3_file, out: *mut c_int) -> c_int {
    forward!(file, xCheckReservedLock, out)
}

unsafe extern "C" fn file_control(
    file: *mut sqlite3_file,
    what: c_int,
    with: *mut c_void,
) -> c_int {
    forward!(file, xFileControl, what, with)
}

unsafe extern "C" fn sector_size(file: *mut sqlite3_file) -> c_int {
    forward!(file, xSectorSize)
}

unsafe extern "C" fn device_characteristics(file: *mut sqlite3_file) -> c_int {
    forward!(file, xDeviceCharacteristics)
}

unsafe extern "C" fn shm_map(
    file: *mut sqlite3_file,
    page: c_int,
    bytes: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: an open file of ours, see the module's head.
    let watched = unsafe { watched(file) }.filter(|_| extend != 0);
    if let Some(code) = watched.and_then(|w| failing(w, Point::StoreMap, SQLITE_IOERR_SHMSIZE)) {
        return code;
    }
    forward!(file, xShmMap, page, bytes, extend, out)
}

unsafe extern "C" fn shm_lock(
    file: *mut sqlite3_file,
    offset: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: an open file of ours, see the module's head.
    let watched = unsafe { watched(file) }.filter(|_| flags & SQLITE_SHM_LOCK != 0);
    if let Some(code) = watched.and_then(|w| failing(w, Point::StoreLock, SQLITE_IOERR_SHMLOCK)) {
        return code;
    }
    forward!(file, xShmLock, offset, count, flags)
}

unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    forward!(file, xShmBarrier);
}

unsafe extern "C" fn shm_unmap(file: *mut sqlite3_file, remove: c_int) -> c_int {
    forward!(file, xShmUnmap, remove)
}
