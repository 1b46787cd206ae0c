//! A store under some key provider, commands on it by the real binary, and what they must not show.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use rustix::process::Signal;

use crate::common::{PATIENCE, Process, Ran, shmirror};

pub const PASSPHRASE: &str = "CanaryPassphrase 7 Qz";
pub const KEY: &str = "00c0ffee5566778899aabbccddeeff0011223344556677889900aabbccddeeff";

/// A directory for a store, and how it is opened.
pub struct Home {
    pub directory: tempfile::TempDir,
    pub variables: Vec<(String, String)>,
    /// What the commands read from descriptor 0.
    pub input: String,
}

impl Home {
    pub fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("sm-").tempdir().unwrap();
        Self { directory, variables: vec![], input: String::new() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = shmirror(arguments);
        command.env_remove("SHMIRROR_KEY").env_remove("CREDENTIALS_DIRECTORY");
        command.envs(self.variables.iter().map(|(n, v)| (n, v)));
        command.env("SHMIRROR_SOCKET", self.path("s")).current_dir(self.directory.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // No terminal to ask on, wherever these tests run.
        // SAFETY: between fork and exec setsid alone is called, which allocates nothing.
        unsafe { command.pre_exec(|| Ok(rustix::process::setsid().map(|_| ())?)) };
        command
    }

    pub fn begin(&self, arguments: &[&str]) -> Process {
        let mut child = self.command(arguments).spawn().unwrap();
        // A command that needs no passphrase does not read.
        let _ = child.stdin.take().unwrap().write_all(self.input.as_bytes());
        Process(child)
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        let mut process = self.begin(arguments);
        let (mut out, mut err) = (String::new(), String::new());
        process.0.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        process.0.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        Ran { code: process.end(), out, err }
    }

    pub fn serve(&self) -> Served {
        let data = self.data();
        let arguments = ["serve", "--data", data.to_str().unwrap(), "--passphrase-fd", "0"];
        let mut process = self.begin(&arguments);
        let (told, said) = mpsc::channel();
        for mut stream in [
            Box::new(process.0.stdout.take().unwrap()) as Box<dyn Read + Send>,
            Box::new(process.0.stderr.take().unwrap()),
        ] {
            let told = told.clone();
            std::thread::spawn(move || {
                let mut piece = [0; 4096];
                while let Ok(n @ 1..) = stream.read(&mut piece) {
                    let _ = told.send(String::from_utf8_lossy(&piece[..n]).into_owned());
                }
            });
        }
        drop(told);
        let mut all = String::new();
        while !all.contains("\nready") {
            match said.recv_timeout(PATIENCE) {
                Ok(piece) => all.push_str(&piece),
                Err(_) => panic!("it did not get ready: {all}"),
            }
        }
        Served { process, said, all }
    }

    /// Asserts that the store does not open, by this status and these words, and that nothing changed.
    #[track_caller]
    pub fn refuses(&self, status: i32, words: &[&str]) {
        let before = files(&self.data());
        let data = self.data();
        let ran = self.run(&["serve", "--data", data.to_str().unwrap(), "--passphrase-fd", "0"]);
        let said = ran.fails(status);
        for word in words {
            assert!(said.contains(word), "{word:?} is missing in {said}");
        }
        self.silent(&said);
        assert!(files(&self.data()) == before, "files were changed");
    }

    /// Asserts that nothing secret is in `text`.
    #[track_caller]
    pub fn silent(&self, text: &str) {
        let secrets = self.input.lines().chain(self.variables.iter().map(|(_, v)| v.as_str()));
        for secret in secrets.filter(|s| s.len() >= 8 && !s.starts_with('/')) {
            assert!(!text.contains(secret), "{secret:?} is in {text}");
        }
    }

    /// A row is put, and found again by the next start.
    pub fn serves_twice(&self) {
        let mut first = self.serve();
        self.run(&["sql", "CREATE TABLE t(id INTEGER PRIMARY KEY, v)"]).ok();
        self.run(&["put", "t", "1", "v=kept"]).ok();
        self.is_silent_about(&first);
        first.stop(self);
        let mut second = self.serve();
        assert_eq!(self.run(&["get", "t", "1", "v"]).ok(), "kept\n");
        self.run(&["check"]).ok();
        second.stop(self);
    }

    /// The process shows nothing secret, and no file of the store holds it.
    pub fn is_silent_about(&self, served: &Served) {
        let proc = PathBuf::from(format!("/proc/{}", served.process.0.id()));
        self.silent(&std::fs::read_to_string(proc.join("cmdline")).unwrap());
        match std::fs::read(proc.join("environ")) {
            Ok(environ) => {
                assert!(environ.windows(5).any(|w| w == b"PATH="), "that is the environment");
                self.silent(&String::from_utf8_lossy(&environ));
            }
            Err(e) => println!("environ of a shielded process is only for root to read: {e}"),
        }
        for (name, (_, bytes)) in files(&self.data()) {
            if name != "data/private.pem" && name != "data/key" {
                self.silent(&format!("{name}: {}", String::from_utf8_lossy(&bytes)));
            }
        }
    }
}

pub struct Served {
    pub process: Process,
    said: mpsc::Receiver<String>,
    all: String,
}

impl Served {
    pub fn stop(&mut self, home: &Home) {
        self.process.signal(Signal::TERM);
        assert_eq!(self.process.end(), 0);
        self.all.extend(self.said.iter());
        home.silent(&self.all);
    }
}

/// Every file below `dir`, with its mode.
pub fn files(dir: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
            continue;
        }
        let name = path.strip_prefix(dir.parent().unwrap()).unwrap().to_str().unwrap().to_owned();
        let mode = path.metadata().unwrap().permissions().mode();
        all.insert(name, (mode, std::fs::read(&path).unwrap()));
    }
    all
}

/// A file that only its owner may read.
pub fn put(path: &Path, contents: &[u8]) {
    let _ = std::fs::remove_file(path);
    std::fs::write(path, contents).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

pub fn fixture(name: &str) -> Vec<u8> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../store/tests/keys");
    std::fs::read(home.join(name)).unwrap()
}

impl Home {
    /// A first start with this provider in the configuration.
    pub fn serve_new(&self, provider: &str) -> Served {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new().mode(0o700).create(self.data()).unwrap();
        let text = format!("[key]\nprovider = \"{provider}\"\n");
        std::fs::write(self.data().join("shmirror.toml"), text).unwrap();
        self.serve()
    }
}
