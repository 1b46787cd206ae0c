//! Where an instance's control socket is, by the rule that daemon and client share.
//!
//! `$XDG_RUNTIME_DIR/shmirror/NAME.sock`, where that variable is set; else `/run/shmirror/NAME.sock`
//! for root; else `/tmp/shmirror-UID/NAME.sock`.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

/// The instance that is meant where none is named.
pub const DEFAULT_INSTANCE: &str = "default";

/// The control socket of the instance `name`, for this process's user and environment. The name is
/// taken as it is, and the length of the path is not looked at: the caller checks both.
pub fn default_socket_path(name: &str) -> PathBuf {
    let uid = rustix::process::geteuid().as_raw();
    socket_path(name, env::var_os("XDG_RUNTIME_DIR"), uid)
}

fn socket_path(name: &str, runtime: Option<OsString>, uid: u32) -> PathBuf {
    // The specification of XDG_RUNTIME_DIR: a relative path is to be ignored.
    let runtime = runtime.map(PathBuf::from).filter(|p| p.is_absolute());
    let directory = match runtime {
        Some(runtime) => runtime.join("shmirror"),
        None if uid == 0 => PathBuf::from("/run/shmirror"),
        None => PathBuf::from(format!("/tmp/shmirror-{uid}")),
    };
    directory.join(format!("{name}.sock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_in_its_turn() {
        let path = |runtime: Option<&str>, uid| socket_path("a", runtime.map(Into::into), uid);
        assert_eq!(path(Some("/run/user/5"), 5), PathBuf::from("/run/user/5/shmirror/a.sock"));
        assert_eq!(path(Some("/run/user/0"), 0), PathBuf::from("/run/user/0/shmirror/a.sock"));
        for nothing in [None, Some(""), Some("here")] {
            assert_eq!(path(nothing, 0), PathBuf::from("/run/shmirror/a.sock"));
            assert_eq!(path(nothing, 7), PathBuf::from("/tmp/shmirror-7/a.sock"));
        }
    }
}
