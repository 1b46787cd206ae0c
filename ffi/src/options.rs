//! Which daemon to attach to, and how.

use std::ffi::c_char;
use std::sync::{Mutex, PoisonError};

use shmirror::Options;

use crate::argument;
use crate::call::call;
use crate::error::Failure;
use crate::handle::{self, object};
use crate::output;
use crate::status::shmirror_status;

/// Which daemon to attach to, and how. Fresh options are those of a program that does not care: the
/// socket that the environment's SHMIRROR_SOCKET names, else that of the instance that
/// SHMIRROR_INSTANCE names, else that of the instance `default`. Any thread.
pub struct shmirror_options {
    options: Mutex<Options>,
}
object!(shmirror_options, 1, "shmirror_options");

/// Fresh options. Close them with shmirror_options_close().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_options_new(out: *mut *mut shmirror_options) -> shmirror_status {
    call(|| {
        // SAFETY: as the prologue says of out parameters.
        unsafe {
            argument::no_handle(out, "out")?;
            let options = Mutex::new(Options::new());
            argument::write(out, handle::make(shmirror_options { options })?, "out")
        }
    })
}

/// Ends options. What was attached with them stays. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_options_close(options: *mut shmirror_options) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe { handle::close(options) })
}

/// The instance of this name. The last of this and shmirror_options_socket() holds. That a name is none
/// is told where it is used: SHMIRROR_INSTANCE_NAME.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_options_instance(
    options: *mut shmirror_options,
    name: *const c_char,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and texts.
    call(|| unsafe {
        let name = argument::text(name, "name")?;
        change(options, |o| o.instance(name))
    })
}

/// The daemon with its control socket at this path.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_options_socket(
    options: *mut shmirror_options,
    path: *const c_char,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and texts.
    call(|| unsafe {
        let path = argument::text(path, "path")?;
        change(options, |o| o.socket(path))
    })
}

/// The name under which the daemon's status shows this program: by default that of the executable. At
/// most 32 bytes of it are shown.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_options_program(
    options: *mut shmirror_options,
    name: *const c_char,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and texts.
    call(|| unsafe {
        let name = argument::text(name, "name")?;
        change(options, |o| o.program(name))
    })
}

/// How long attaching waits for a daemon that is not there yet; 0, the default: not at all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_options_attach_timeout(
    options: *mut shmirror_options,
    timeout_ns: u64,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe { change(options, |o| o.attach_timeout(argument::timeout(timeout_ns))) })
}

/// The path of the control socket that the options mean (NULL: the default ones).
/// SHMIRROR_INSTANCE_NAME, SHMIRROR_SOCKET_PATH_TOO_LONG, SHMIRROR_SHORT_BUFFER.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_options_socket_path(
    options: *const shmirror_options,
    buffer: *mut c_char,
    size: usize,
    length: *mut usize,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and buffers.
    call(|| unsafe {
        let path = given(options)?.socket_path()?;
        output::terminated(&path.to_string_lossy(), buffer, size, length)
    })
}

/// The options that a program gave, or fresh ones for NULL.
///
/// # Safety
/// As [`handle::get`].
pub(crate) unsafe fn given(options: *const shmirror_options) -> Result<Options, Failure> {
    if options.is_null() {
        return Ok(Options::new());
    }
    // SAFETY: the caller's.
    let options = unsafe { handle::get(options) }?;
    Ok(options.options.lock().unwrap_or_else(PoisonError::into_inner).clone())
}

/// # Safety
/// As [`handle::get`].
unsafe fn change(
    options: *mut shmirror_options,
    f: impl FnOnce(Options) -> Options,
) -> Result<(), Failure> {
    // SAFETY: the caller's.
    let options = unsafe { handle::get(options.cast_const()) }?;
    let mut options = options.options.lock().unwrap_or_else(PoisonError::into_inner);
    *options = f(std::mem::take(&mut options));
    Ok(())
}
