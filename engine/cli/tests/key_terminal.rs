//! Passphrases that are typed: what the terminal shows, how a question is given up, and what the terminal
//! is like afterwards.

mod common;
#[path = "common/home.rs"]
mod home;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Instant;

use common::{PATIENCE, Process};
use home::{Home, PASSPHRASE, files};
use rustix::process::Signal;
use rustix::termios::{LocalModes, tcgetattr};

/// A terminal with a process on it.
struct Terminal {
    process: Process,
    ours: File,
    theirs: OwnedFd,
    shown: mpsc::Receiver<Vec<u8>>,
    all: String,
}

impl Terminal {
    fn run(home: &Home, arguments: &[&str]) -> Self {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, vec![]).unwrap();
        let theirs = rustix::fs::open(
            &*name,
            rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY,
            rustix::fs::Mode::empty(),
        )
        .unwrap();
        assert!(tcgetattr(&theirs).unwrap().local_modes.contains(LocalModes::ECHO));
        let copy = || Stdio::from(theirs.try_clone().unwrap());
        let mut command = home.command(arguments);
        command.stdin(copy()).stdout(copy()).stderr(copy());
        // SAFETY: between fork and exec one system call is made, on descriptor 0, which is the
        // terminal; `command` has begun a new session before.
        unsafe {
            command.pre_exec(|| Ok(rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?));
        }
        let process = Process(command.spawn().unwrap());
        let ours = File::from(ours);
        let (told, shown) = mpsc::channel();
        let mut reading = ours.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(n @ 1..) = reading.read(&mut piece) {
                let _ = told.send(piece[..n].to_vec());
            }
        });
        Self { process, ours, theirs, shown, all: String::new() }
    }

    #[track_caller]
    fn shows(&mut self, words: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.all.contains(words) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.shown.recv_timeout(left) {
                Ok(piece) => self.all.push_str(&String::from_utf8_lossy(&piece)),
                Err(_) => panic!("{words:?} does not come: {}", self.all),
            }
        }
    }

    fn types(&mut self, text: &str) {
        self.ours.write_all(text.as_bytes()).unwrap();
    }

    /// Whether what is typed is shown.
    fn echoes(&self) -> bool {
        tcgetattr(&self.theirs).unwrap().local_modes.contains(LocalModes::ECHO | LocalModes::ICANON)
    }

    /// Waits for its end; its exit status and all that was shown.
    fn end(mut self) -> (i32, String) {
        let status = self.process.end();
        assert!(self.echoes(), "the terminal is as it was");
        drop(self.theirs); // nobody has the terminal any more: what was shown comes to its end
        self.all
            .extend(self.shown.iter().map(|piece| String::from_utf8_lossy(&piece).into_owned()));
        (status, self.all)
    }
}

#[test]
fn a_passphrase_is_asked_for_on_the_terminal_and_not_shown() {
    let home = Home::new();
    let init = ["key", "init", "--data", "data", "--provider", "passphrase"];
    let mut terminal = Terminal::run(&home, &init);
    terminal.shows("New passphrase for store");
    assert!(!terminal.echoes());
    terminal.types(&format!("nonsense\x15{PASSPHRASE}é\x7f\r")); // a line taken back, a character too
    terminal.shows("The same again: ");
    terminal.types(&format!("{PASSPHRASE}\r"));
    let (status, all) = terminal.end();
    assert_eq!(status, 0, "{all}");
    assert!(!all.contains("anary"), "{all}");

    let mut terminal = Terminal::run(&home, &["serve", "--data", "data"]);
    terminal.shows("Passphrase for store");
    terminal.types(&format!("{PASSPHRASE}\n"));
    terminal.shows("\nready");
    assert!(terminal.echoes());
    terminal.process.signal(Signal::TERM);
    let (status, all) = terminal.end();
    assert_eq!(status, 0, "{all}");
    assert!(!all.contains("anary"), "{all}");

    let mut terminal = Terminal::run(&home, &["serve", "--data", "data"]);
    terminal.shows("Passphrase for store");
    terminal.types("CanaryPassphrase wrong\r");
    let (status, all) = terminal.end();
    assert_eq!(status, 4, "{all}");
    assert!(!all.contains("anary"), "{all}");
}

#[test]
fn a_question_can_be_given_up() {
    let mut home = Home::new();
    let init = ["key", "init", "--data", "data", "--provider", "passphrase"];
    for typed in ["\x03", "\x04", "half of it\x03"] {
        let mut terminal = Terminal::run(&home, &init);
        terminal.shows("New passphrase for store");
        terminal.types(typed);
        let (status, all) = terminal.end();
        assert_eq!(status, 3, "{all}");
        assert!(all.contains("called off"), "{all}");
    }
    for (typed, again, words) in
        [("\r", None, "it is empty"), ("one\r", Some("two\r"), "as the first")]
    {
        let mut terminal = Terminal::run(&home, &init);
        terminal.shows("New passphrase for store");
        terminal.types(typed);
        if let Some(again) = again {
            terminal.shows("The same again: ");
            terminal.types(again);
        }
        let (status, all) = terminal.end();
        assert_eq!(status, 6, "{all}");
        assert!(all.contains(words), "{all}");
    }
    assert_eq!(std::fs::read_dir(home.data()).unwrap().count(), 0, "nothing was made");

    // A service that waits for a passphrase can be stopped.
    home.input = format!("{PASSPHRASE}\n");
    home.run(&[&init[..], &["--passphrase-fd", "0"]].concat()).ok();
    let before = files(&home.data());
    let mut terminal = Terminal::run(&home, &["serve", "--data", "data"]);
    terminal.shows("Passphrase for store");
    terminal.process.signal(Signal::TERM);
    let (status, all) = terminal.end();
    assert_eq!(status, 3, "{all}");
    assert!(files(&home.data()) == before);
}
