//! A mirror: an instance's tables, as a program sees them.

use shmirror::Mirror;

use crate::argument;
use crate::call::call;
use crate::handle::{self, object};
use crate::options::{self, shmirror_options};
use crate::status::shmirror_status;

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
