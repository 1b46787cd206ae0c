//! Starts of the daemon that may be refused, or that have something of their own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};
use serde_json::Value as Json;

use crate::common::{Instance, Process, shmirror, until};
use crate::home::files;

/// `serve` of a data directory.
pub fn command(data: &Path, socket: &Path) -> Command {
    let mut command = shmirror(&["serve", "--data"]);
    command.arg(data).arg("--socket").arg(socket);
    command
}

/// What became of a start.
pub enum Begun {
    /// It is ready.
    Serves(Process),
    /// It ended with this status, and said why.
    Refused(i32, String),
}

impl Begun {
    #[track_caller]
    pub fn serves(self) -> Process {
        match self {
            Self::Serves(process) => process,
            Self::Refused(code, said) => panic!("refused with status {code}: {said}"),
        }
    }

    /// What a refused one said last.
    #[track_caller]
    pub fn refused(self, status: i32) -> String {
        let Self::Refused(code, said) = self else { panic!("it serves") };
        assert_eq!(code, status, "{said}");
        assert!(!said.contains("panicked"), "{said}");
        let last = said.lines().rfind(|line| line.starts_with("shmirror: "));
        last.unwrap_or_else(|| panic!("no reason: {said}")).to_owned()
    }
}

/// Starts it, and waits until it is ready or has ended. Its log goes to `errors`.
pub fn begin(mut command: Command, errors: &Path) -> Begun {
    command.stdout(Stdio::piped()).stderr(std::fs::File::create(errors).unwrap());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut process = Process(child);
    if lines.any(|line| line.unwrap().starts_with("ready")) {
        std::thread::spawn(move || lines.for_each(drop));
        return Begun::Serves(process);
    }
    let code = process.end();
    Begun::Refused(code, std::fs::read_to_string(errors).unwrap())
}

/// An instance in a directory of its own, whose daemon is started by `change`d commands.
pub fn instance(config: &str, change: impl FnOnce(&mut Command)) -> Instance {
    use std::os::unix::fs::DirBuilderExt;
    let directory = tempfile::Builder::new().prefix("sm-").tempdir().unwrap();
    let (data, run) = (directory.path().join("data"), directory.path().join("run"));
    for made in [&data, &run] {
        std::fs::DirBuilder::new().mode(0o700).create(made).unwrap();
    }
    std::fs::write(data.join("shmirror.toml"), config).unwrap();
    let mut command = command(&data, &directory.path().join("s"));
    change(&mut command);
    let daemon = begin(command, &directory.path().join("data.stderr")).serves();
    Instance { daemon, directory, greeting: String::new() }
}

/// Starts the daemon of an instance again.
pub fn start(i: &mut Instance, change: impl FnOnce(&mut Command)) {
    let mut command = command(&i.path("data"), &i.socket());
    change(&mut command);
    i.daemon = begin(command, &i.path("data.stderr")).serves();
}

/// Has `command` obey the modes of files and directories, also where it runs as root.
pub fn obey_modes(command: &mut Command) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let give_up = || {
        for one in [CapabilitySet::DAC_OVERRIDE, CapabilitySet::DAC_READ_SEARCH] {
            remove_capability_from_bounding_set(one)?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec only system calls are made, and nothing is allocated.
    unsafe { command.pre_exec(give_up) };
}

pub fn status(i: &Instance) -> Json {
    serde_json::from_str(&i.run(&["status", "--json"]).ok()).unwrap()
}

/// Waits until all rows are in the checkpoint.
pub fn checkpointed(i: &Instance) {
    until("the checkpoint", || status(i)["store"]["dirty_rows"] == 0);
}

#[track_caller]
pub fn sound(i: &Instance) {
    let report: Json = serde_json::from_str(&i.run(&["check", "--json"]).ok()).unwrap();
    assert_eq!(report["ok"], true, "{report:#}");
    let said = log(i);
    assert!(!said.contains("panicked"), "{said}");
}

/// What the daemon has said since its start.
pub fn log(i: &Instance) -> String {
    std::fs::read_to_string(i.path("data.stderr")).unwrap()
}

/// Files of a data directory, with their modes, but for its log files.
pub fn contents(data: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut all = files(data);
    all.retain(|name, _| !name.starts_with("log/"));
    all
}

/// Rows of table t.
pub fn count(i: &Instance) -> u64 {
    let csv = i.run(&["sql", "--csv", "SELECT count(*) FROM t"]).ok();
    csv.strip_prefix("count(*)\n").and_then(|rest| rest.trim_end().parse().ok()).expect("a number")
}
