//! A mirror: an instance's tables, as a program sees them, and what can be asked of its daemon.

use std::ffi::c_char;
use std::path::Path;

use shmirror::{Mirror, ResultSet};

use crate::argument;
use crate::call::call;
use crate::handle::{self, object};
use crate::options::{self, shmirror_options};
use crate::output;
use crate::result::shmirror_result;
use crate::status::shmirror_status;
use crate::value::{self, shmirror_value};

/// A read-only view of an instance's tables in shared memory. A thread of the library's sleeps on the
/// control socket; when the daemon goes away, reading goes on with what was published last, and every
/// handle moves over to the next daemon by itself. Any thread.
pub struct shmirror_mirror {
    pub(crate) mirror: Mirror,
}
object!(shmirror_mirror, 2, "shmirror_mirror");

/// Attaches to the daemon that the options mean (NULL: the default ones) and maps its tables. Close the
/// mirror with shmirror_mirror_close(). SHMIRROR_NO_DAEMON, SHMIRROR_DENIED, SHMIRROR_LAYOUT,
/// SHMIRROR_INSTANCE_NAME, SHMIRROR_SOCKET_PATH_TOO_LONG. Costs about 0.1 ms.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_attach(
    options: *const shmirror_options,
    out: *mut *mut shmirror_mirror,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        argument::no_handle(out, "out")?;
        let mirror = Mirror::attach(&options::given(options)?)?;
        argument::write(out, handle::make(shmirror_mirror { mirror })?, "out")
    })
}

/// Ends a mirror. Its tables, cells and rows stay as they are, and the attachment with them until the
/// last of those is closed. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_mirror_close(mirror: *mut shmirror_mirror) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe { handle::close(mirror) })
}

/// The newest published revision: no read that begins now is of an older one. Some nanoseconds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_mirror_revision(
    mirror: *const shmirror_mirror,
    revision: *mut u64,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        argument::write(revision, handle::get(mirror)?.mirror.revision(), "revision")
    })
}

/// The generation of the shared memory: +1 with each restart of the daemon, and with each growth beyond
/// the memory's reserve. Some nanoseconds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_mirror_generation(
    mirror: *const shmirror_mirror,
    generation: *mut u64,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        argument::write(generation, handle::get(mirror)?.mirror.generation(), "generation")
    })
}

/// Whether the daemon is connected and said within the last 2 s that it lives. One system call (getpid).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_mirror_is_live(
    mirror: *const shmirror_mirror,
    is_live: *mut bool,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { argument::write(is_live, handle::get(mirror)?.mirror.is_live(), "is_live") })
}

/// The instance's name. SHMIRROR_SHORT_BUFFER.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_mirror_instance_name(
    mirror: *const shmirror_mirror,
    buffer: *mut c_char,
    size: usize,
    length: *mut usize,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and buffers.
    call(|| unsafe {
        let name = handle::get(mirror)?.mirror.instance_name();
        output::terminated(&name, buffer, size, length)
    })
}

/// The instance's id, 16 bytes that its store keeps for ever.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_mirror_instance_id(
    mirror: *const shmirror_mirror,
    id: *mut u8,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters; bytes have no alignment.
    call(|| unsafe {
        argument::write(id.cast::<[u8; 16]>(), handle::get(mirror)?.mirror.instance_id(), "id")
    })
}

/// Waits until this revision, or a newer one, is published: for a reader that was told a revision by
/// another program. A producer's own commits are visible when they are acknowledged.
/// SHMIRROR_TIMED_OUT. Looks every 0.01 to 1 ms.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_mirror_wait_revision(
    mirror: *const shmirror_mirror,
    revision: u64,
    timeout_ns: u64,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe {
        let mirror = &handle::get(mirror)?.mirror;
        Ok(mirror.wait_revision(revision, argument::timeout(timeout_ns))?)
    })
}

/// The namespaces that this process may see now, by rising number: a result of one set, whose columns are
/// `id`, `name` and `writable` (whether this process may write too: 0 or 1). The daemon is asked; while it is
/// away, they are those that it named last. Close the result with shmirror_result_close().
/// SHMIRROR_DENIED: there are none any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_mirror_namespaces(
    mirror: *const shmirror_mirror,
    out: *mut *mut shmirror_result,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        argument::no_handle(out, "out")?;
        let mirror = &handle::get(mirror)?.mirror;
        let rows = mirror.namespaces()?.into_iter().map(|seen| {
            vec![i64::from(seen.id).into(), seen.name.into(), i64::from(seen.writable).into()]
        });
        let set = ResultSet {
            columns: ["id", "name", "writable"].map(str::to_owned).into(),
            rows: rows.collect(),
        };
        let found = shmirror_result::new(mirror.revision(), vec![set]);
        argument::write(out, handle::make(found)?, "out")
    })
}

/// The state of the instance as its daemon sees it: a JSON object, as `shmirror status --json` prints
/// it. Free it with shmirror_string_free(). SHMIRROR_DISCONNECTED, SHMIRROR_NO_DAEMON,
/// SHMIRROR_DENIED, SHMIRROR_TIMED_OUT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_mirror_status(
    mirror: *const shmirror_mirror,
    json: *mut *mut c_char,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        argument::no_handle(json, "json")?;
        let answer = handle::get(mirror)?.mirror.status()?;
        output::string(answer.to_string(), json, "json")
    })
}

/// Has the daemon open every seal and compare store, working copy and shared memory, row by row; gives
/// what was compared and what differs: a JSON object, as `shmirror check --json` prints it. Free it with
/// shmirror_string_free(). Reads go on meanwhile; commits wait for about a second per million rows.
/// Statuses as of shmirror_mirror_status().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_mirror_check(
    mirror: *const shmirror_mirror,
    json: *mut *mut c_char,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        argument::no_handle(json, "json")?;
        let answer = handle::get(mirror)?.mirror.check()?;
        output::string(answer.to_string(), json, "json")
    })
}

/// Has the daemon write a copy of its store, as of one revision and still encrypted, into a new file,
/// and a copy of its key beside it as PATH.key: keep them apart. A path that is relative is so to this
/// process. Gives what was copied: a JSON object, as `shmirror backup --json` prints it. Free it with
/// shmirror_string_free(). SHMIRROR_FILE: the file is there already, or the daemon cannot write it;
/// else as shmirror_mirror_status().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_mirror_backup(
    mirror: *const shmirror_mirror,
    path: *const c_char,
    json: *mut *mut c_char,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles, texts and out parameters.
    call(|| unsafe {
        argument::no_handle(json, "json")?;
        let mirror = &handle::get(mirror)?.mirror;
        let answer = mirror.backup(Path::new(argument::text(path, "path")?))?;
        output::string(answer.to_string(), json, "json")
    })
}

/// Runs SQL that changes nothing, in the daemon, at one revision. `params` are `?1`, `?2`, …; NULL where
/// `count` is 0. Close the result with shmirror_result_close(). SHMIRROR_SQL with SQLite's message,
/// SHMIRROR_TIME_LIMIT, SHMIRROR_LIMIT, SHMIRROR_TOO_LARGE, SHMIRROR_DISCONNECTED, SHMIRROR_NO_DAEMON.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_mirror_query(
    mirror: *const shmirror_mirror,
    sql: *const c_char,
    params: *const shmirror_value,
    count: usize,
    out: *mut *mut shmirror_result,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles, texts, values and out parameters.
    call(|| unsafe {
        argument::no_handle(out, "out")?;
        let mirror = &handle::get(mirror)?.mirror;
        let sql = argument::text(sql, "sql")?;
        let params = value::owned(params, count, "params")?;
        let (revision, sets) = mirror.query(sql, &params)?;
        argument::write(out, handle::make(shmirror_result::new(revision, sets))?, "out")
    })
}
