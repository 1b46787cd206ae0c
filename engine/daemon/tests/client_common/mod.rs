//! An instance in a directory of its own, served in this process or in one that can be killed.
#![allow(dead_code, missing_docs, reason = "each test uses its part")]

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use shmirror::{Mirror, Options, Producer};
use shmirror_daemon::{Config, Daemon};

/// Longest that anything in these tests may take.
pub const LONG: Duration = Duration::from_secs(30);

/// Environment variable that makes a test binary serve a directory; see [`serve_if_told`].
const SERVE: &str = "SHMIRROR_TEST_SERVE";

/// A directory for an instance, and the daemon while it runs in this process.
pub struct Place {
    pub dir: tempfile::TempDir,
    pub daemon: Option<Daemon>,
    change: fn(&mut Config),
}

impl Place {
    /// A directory with nothing in it; `change` changes the configuration of its daemons.
    pub fn new(change: fn(&mut Config)) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), daemon: None, change }
    }

    /// A served instance.
    pub fn served() -> Self {
        let mut place = Self::new(|_| ());
        place.start();
        place
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    pub fn config(&self) -> Config {
        let mut config = Config::default_for(self.dir.path().join("data"));
        config.instance.socket = Some(self.socket());
        config.segment.reserve = Some(64 << 20);
        config.lanes.requests_bytes = 1 << 20;
        config.lanes.events_bytes = 1 << 20;
        (self.change)(&mut config);
        config
    }

    pub fn start(&mut self) {
        assert!(self.daemon.is_none());
        self.daemon = Some(Daemon::start(self.config()).unwrap());
    }

    pub fn stop(&mut self) {
        self.daemon.take().unwrap().stop().unwrap();
    }

    pub fn options(&self) -> Options {
        Options::new().socket(self.socket()).program("test").attach_timeout(LONG)
    }

    pub fn producer(&self) -> Producer {
        Producer::attach(&self.options()).unwrap().with_timeout(LONG)
    }

    pub fn mirror(&self) -> Mirror {
        Mirror::attach(&self.options()).unwrap()
    }

    /// Serves the directory in a process of its own: this test binary again, running only its test
    /// `serve_when_told`. Its configuration is `change`d by that test.
    pub fn start_process(&self) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "serve_when_told", "--nocapture"])
            .env(SERVE, self.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }
}

/// The body of a test `serve_when_told`: does nothing unless [`Place::start_process`] runs it.
pub fn serve_if_told(change: fn(&mut Config)) {
    let Some(dir) = std::env::var_os(SERVE) else { return };
    let dir = PathBuf::from(dir);
    let mut config = Config::default_for(dir.join("data"));
    config.instance.socket = Some(dir.join("socket"));
    config.segment.reserve = Some(64 << 20);
    change(&mut config);
    let daemon = Daemon::start(config).unwrap();
    // Until the test closes our input, or kills us.
    let _ = std::io::Read::read_to_end(&mut std::io::stdin(), &mut Vec::new());
    daemon.stop().unwrap();
}

/// Waits until `done`, or fails with `what`; how long it took.
pub fn until(what: &str, mut done: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < LONG, "{what} did not come");
        std::thread::sleep(Duration::from_millis(1));
    }
    start.elapsed()
}
