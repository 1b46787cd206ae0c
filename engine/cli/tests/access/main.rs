//! Who may see what, tried as other users: each with a uid, a gid and supplementary groups of its own,
//! each a process of its own, against the real daemon.
//!
//! Only root can become somebody else. As another user these tests say what they leave out, and do what
//! can be done without: the daemon's own user attacks what it was handed.

#[path = "../common/mod.rs"]
mod common;

mod attack;
mod changes;
mod hidden;
mod people;
mod sighup;
mod strangers;

use common::{Instance, Process, serve};
use people::Task;

/// Not a test: what another user's process does, which is a copy of this binary. See [`people::Person`].
#[test]
fn child() {
    let Some(task) = Task::of_environment() else { return };
    match task.role.as_str() {
        "stranger" => strangers::knock(&task),
        "looker" => hidden::look(&task),
        "attacker" => attack::attack(&task),
        "writer" => changes::write(&task),
        "laner" => changes::ask_for_lanes(&task),
        "follower" => sighup::follow(&task),
        "keeper" => sighup::keep(&task),
        other => panic!("no role {other}"),
    }
    // The harness has nothing to add.
    std::process::exit(0);
}

/// Users and groups that no rule of a test means, and those that rules do mean.
const OPERATOR: u32 = 61_001;
const ENGINEER: u32 = 61_002;
const STRANGER: u32 = 61_003;
const OPERATORS: u32 = 61_010;
const ENGINEERS: u32 = 61_011;

const RULES: &str = "[namespaces.plant]\nreaders = ['group:61010', 'user:61001']\n\
                     writers = ['group:61011']\n\
                     [namespaces.desk]\nreaders = ['user:61002']\n";

/// An instance with these rules, whose socket others can reach, as far as rules let them.
fn instance(rules: &str) -> Instance {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::Builder::new().prefix("sm-").tempdir().unwrap();
    let open = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(directory.path(), open(0o711)).unwrap();
    let data = directory.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::set_permissions(&data, open(0o700)).unwrap();
    std::fs::write(data.join("shmirror.toml"), rules).unwrap();
    let (daemon, greeting): (Process, String) = serve(&data, &directory.path().join("s"));
    Instance { daemon, directory, greeting }
}

/// The lines of the daemon's logs.
fn log(i: &Instance) -> String {
    let mut text = std::fs::read_to_string(i.path("data.stderr")).unwrap();
    for file in std::fs::read_dir(i.path("data").join("log")).unwrap() {
        text.push_str(&std::fs::read_to_string(file.unwrap().path()).unwrap());
    }
    text
}

/// Whether this process can become other users; if not, that `what` is left out is said.
fn is_root(what: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED, as this is not root and cannot become another user: {what}");
    }
    root
}
