//! The control socket's file, or its directory, is taken away while an instance serves: whoever is attached
//! notices nothing, and the daemon makes it again for those who come. A name that somebody else has by now is
//! left to them.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::process::Signal;
use serde_json::json;
use shmirror::{Error, Mirror, Options, Producer, Subscriber};

use crate::common::{Instance, PATIENCE, run, until};
use crate::daemon::{Begun, begin, command, instance, log, sound, status};

/// Who was attached before.
struct Attached {
    producer: Producer,
    mirror: Mirror,
    stream: Subscriber,
    puts: i64,
}

impl Attached {
    fn to(i: &Instance) -> Self {
        let options = Options::new().socket(i.socket());
        let producer = Producer::attach(&options).unwrap().with_timeout(PATIENCE);
        let mirror = Mirror::attach(&options).unwrap();
        let stream = Subscriber::builder(&options).tables(&["t"]).subscribe().unwrap();
        // The connection that asks is made with the first question.
        mirror.status().unwrap();
        Self { producer, mirror, stream, puts: 0 }
    }

    /// They write, read, ask and hear as before.
    fn go_on(&mut self) {
        self.puts += 1;
        self.producer.insert("t", &json!({"id": self.puts})).unwrap();
        assert!(self.mirror.is_live());
        assert_eq!(self.mirror.table("t").unwrap().len() as i64, self.puts);
        self.mirror.query("SELECT count(*) FROM t", &[]).unwrap();
        let event = self.stream.next(PATIENCE).unwrap().expect("the insert").to_json();
        assert_eq!(event["key"], json!([self.puts]), "{event}");
    }
}

/// Waits until somebody can attach at the instance's socket, and finds this very daemon there.
fn comes_back(i: &Instance) {
    until("the socket", || i.run(&["status"]).code == 0);
    assert_eq!(status(i)["pid"], i.daemon.0.id());
}

#[test]
fn a_socket_that_was_removed_is_made_again() {
    let config = "[namespaces.plant]\nreaders = [\"everyone\"]\n";
    let mut i = instance(config, |_| ());
    i.sql("CREATE TABLE t(id INTEGER PRIMARY KEY)");
    let mut attached = Attached::to(&i);
    let socket = i.socket();
    let inode = |path: &Path| path.symlink_metadata().map(|about| about.ino()).ok();
    for _ in 0..2 {
        // Kept under another name, so that its number is not given again.
        let aside = i.path("aside");
        std::fs::rename(&socket, &aside).unwrap();
        attached.go_on();
        comes_back(&i);
        attached.go_on();
        assert_ne!(inode(&socket), inode(&aside));
        // Rules that let others in hold for the new one.
        assert_eq!(socket.symlink_metadata().unwrap().mode() & 0o777, 0o666);
    }
    assert_eq!(log(&i).matches("it was made again").count(), 2, "{}", log(&i));

    // Who attaches then gets all there is, and who was there reattaches after a restart.
    Attached::to(&i).stream.resume_from(1).unwrap();
    i.restart();
    until("those who were there", || attached.mirror.is_live());
    attached.go_on();
    sound(&i);
    assert_eq!(i.stop(), 0);
    assert!(!socket.exists());
}

#[test]
fn a_directory_that_was_removed_is_made_again() {
    let mut i = instance("", |_| ());
    i.sql("CREATE TABLE t(id INTEGER PRIMARY KEY)");
    assert_eq!(i.stop(), 0);
    let run_directory = i.path("run");
    std::fs::remove_dir(&run_directory).unwrap();
    let socket = run_directory.join("s");
    i.daemon = begin(command(&i.path("data"), &socket), &i.path("data.stderr")).serves();
    let status = || run(&["--socket", socket.to_str().unwrap(), "status"]);
    let options = Options::new().socket(&socket);
    let producer = Producer::attach(&options).unwrap().with_timeout(PATIENCE);
    std::fs::remove_dir_all(&run_directory).unwrap();
    producer.insert("t", &json!({"id": 1})).unwrap();
    until("directory and socket", || status().code == 0);
    assert_eq!(run_directory.metadata().unwrap().mode() & 0o777, 0o700);

    // A directory in which anybody could put another socket is not used: that is said, and once.
    std::fs::set_permissions(&run_directory, PermissionsExt::from_mode(0o777)).unwrap();
    let said = || log(&i).matches("lets others replace files in it").count();
    until("what is wrong", || {
        // It may have been made again before the mode was another.
        let _ = std::fs::remove_file(&socket);
        said() == 1
    });
    producer.insert("t", &json!({"id": 2})).unwrap();
    assert!(!socket.exists());
    std::fs::set_permissions(&run_directory, PermissionsExt::from_mode(0o700)).unwrap();
    until("the socket", || status().code == 0);
    assert_eq!(said(), 1, "{}", log(&i));
    assert_eq!(i.stop(), 0);
}

#[test]
fn a_name_that_somebody_else_has_is_left_to_them() {
    let mut i = instance("", |_| ());
    i.sql("CREATE TABLE t(id INTEGER PRIMARY KEY)");
    let mut attached = Attached::to(&i);
    let socket = i.socket();

    // A file that is no socket, put there at one stroke.
    let file = i.file("notes", "mine");
    std::fs::rename(&file, &socket).unwrap();
    until("what is wrong", || log(&i).contains("a file that is no socket is there"));
    attached.go_on();
    assert_eq!(std::fs::read_to_string(&socket).unwrap(), "mine");
    std::fs::remove_file(&socket).unwrap();
    comes_back(&i);

    // Another daemon, which came while this one was stopped.
    i.daemon.signal(Signal::STOP);
    std::fs::remove_file(&socket).unwrap();
    let other = begin(command(&i.path("other"), &socket), &i.path("other.stderr"));
    let mut other = other.serves();
    i.daemon.signal(Signal::CONT);
    until("what is wrong", || log(&i).contains("is in use by another daemon"));
    attached.go_on();
    assert_eq!(status(&i)["pid"], other.0.id());
    // Who was attached finds the other only where they attach anew.
    assert!(Mirror::attach(&Options::new().socket(&socket)).unwrap().table("t").is_err());
    other.signal(Signal::TERM);
    assert_eq!(other.end(), 0);
    comes_back(&i);
    attached.go_on();

    // One that is started while the name is this one's is refused.
    let other = begin(command(&i.path("other"), &socket), &i.path("other.stderr"));
    assert!(matches!(&other, Begun::Refused(2, said) if said.contains("in use")));
    // Where it ends with the name somebody else's, it leaves that alone.
    let file = i.file("notes", "mine");
    std::fs::rename(&file, &socket).unwrap();
    i.daemon.signal(Signal::TERM);
    assert_eq!(i.daemon.end(), 0);
    assert_eq!(std::fs::read_to_string(&socket).unwrap(), "mine");
    until("the daemon's end", || !attached.mirror.is_live());
    let gone = attached.mirror.status();
    assert!(matches!(gone, Err(Error::Disconnected { .. } | Error::NoDaemon { .. })), "{gone:?}");
}
