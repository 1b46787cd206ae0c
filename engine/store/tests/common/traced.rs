//! A child that is killed at its Nth system call that changes a file: every state that a kill can
//! leave on the disk, one after the other.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use libc::{c_int, c_long, c_void, pid_t};

/// System calls after which a file or a directory is another.
const CHANGING: [c_long; 12] = [
    libc::SYS_write,
    libc::SYS_pwrite64,
    libc::SYS_writev,
    libc::SYS_pwritev2,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_renameat2,
    libc::SYS_rename,
    libc::SYS_unlink,
    libc::SYS_unlinkat,
];

/// Starts `command` to be traced by this thread.
fn start(mut command: Command) -> Child {
    let traced = || {
        // SAFETY: PTRACE_TRACEME takes no pointers, and touches nothing of this process.
        match unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: between fork and exec `traced` makes one system call and allocates nothing.
    unsafe { command.pre_exec(traced) };
    command.spawn().expect("a child that may be traced")
}

fn wait() -> (pid_t, c_int) {
    let mut status = 0;
    // SAFETY: `status` outlives the call. __WNOTHREAD: the children of other tests are theirs.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
    assert!(pid > 0, "waitpid: {}", std::io::Error::last_os_error());
    (pid, status)
}

fn go_on(pid: pid_t, signal: c_int) {
    // SAFETY: the child is ours and stopped; the call takes no pointers. A thread that ended just now
    // makes it fail, which is no matter.
    unsafe { libc::ptrace(libc::PTRACE_SYSCALL, pid, 0, signal) };
}

/// The number of the system call that `pid` is about to make, unless it comes back from one; and its
/// first argument.
fn call(pid: pid_t) -> Option<(c_long, u64)> {
    // SAFETY: a struct of numbers, for which zero is a value.
    let mut info: libc::ptrace_syscall_info = unsafe { std::mem::zeroed() };
    let size = size_of::<libc::ptrace_syscall_info>();
    let to = (&raw mut info).cast::<c_void>();
    // SAFETY: the kernel writes at most `size` bytes to `to`.
    let got = unsafe { libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, pid, size, to) };
    if got <= 0 || info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
        return None;
    }
    // SAFETY: `op` says that this is the one.
    let entry = unsafe { info.u.entry };
    Some((entry.nr as c_long, entry.args[0]))
}

#[expect(clippy::zombie_processes, reason = "waited for by `wait`")]
/// Runs `command` and kills it as it is about to make its `nth` changing call, from 0; `false` where
/// it came to its end before, which has to be a good one.
pub fn killed_at(command: Command, nth: usize) -> bool {
    let mut child = start(command);
    let main = child.id() as pid_t;
    let mut seen = 0;
    let mut begun = false;
    loop {
        let (pid, status) = wait();
        if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
            if pid == main {
                let good = libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0;
                assert!(good, "the child ended with {status:#x}");
                return false;
            }
            continue;
        }
        let signal = libc::WSTOPSIG(status);
        if !begun {
            begun = true; // the stop of exec
            let options =
                libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_EXITKILL;
            // SAFETY: the child is ours and stopped; the call takes no pointers.
            unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, pid, 0, options) };
            go_on(pid, 0);
            continue;
        }
        if signal == libc::SIGTRAP | 0x80 {
            // What it prints changes no file.
            let changes =
                call(pid).is_some_and(|(nr, fd)| CHANGING.contains(&nr) && !(1..=2).contains(&fd));
            if changes && seen == nth {
                child.kill().unwrap();
                loop {
                    let (pid, status) = wait();
                    if pid == main && libc::WIFSIGNALED(status) {
                        return true;
                    }
                }
            }
            seen += usize::from(changes);
        }
        // A new thread begins with a SIGSTOP, an event with a SIGTRAP: neither is for the child.
        let for_child = !matches!(signal & 0x7F, libc::SIGTRAP | libc::SIGSTOP);
        go_on(pid, if for_child { signal } else { 0 });
    }
}
