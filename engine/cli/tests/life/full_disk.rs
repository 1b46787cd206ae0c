//! No room for the store: producers get a typed error, readers go on, nothing acknowledged is lost and
//! nothing refused appears; with room again it goes on by itself.
//!
//! Once with a small file system of its own, which takes root, and once with a limit on the size of
//! the daemon's files, which anybody may set.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;
use shmirror::{Error, Mirror, Options, Producer, RejectCode, Subscriber};

use crate::child::Lines;
use crate::common::{Instance, PATIENCE, Process, serve, shmirror};
use crate::replay::dump;
use crate::{calm, kill, sound, start};

/// A file system in memory, unmounted when dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn new(at: &Path) -> Option<Self> {
        std::fs::create_dir(at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m,mode=700", "shmirror-test"])
            .arg(at)
            .stderr(Stdio::null())
            .status();
        mounted.is_ok_and(|s| s.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: on a failure the daemon may still be there.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// An instance, what it acknowledged and what it refused.
struct World {
    instance: Instance,
    producer: Producer,
    mirror: Mirror,
    kept: BTreeSet<i64>,
    refused: BTreeSet<i64>,
    next: i64,
}

impl World {
    fn new(instance: Instance) -> Self {
        let options = Options::new().socket(instance.socket());
        let producer = Producer::attach(&options).unwrap().with_timeout(PATIENCE);
        let mirror = Mirror::attach(&options).unwrap();
        producer.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, raw BLOB)").unwrap();
        let (kept, refused) = Default::default();
        let mut world = Self { instance, producer, mirror, kept, refused, next: 0 };
        for _ in 0..20 {
            assert!(world.put());
        }
        world
    }

    /// One more row; whether it was taken.
    fn put(&mut self) -> bool {
        let id = self.next;
        self.next += 1;
        let raw = vec![id as u8; 4000];
        match self.producer.sql("INSERT INTO t VALUES (?1, ?2)", &[id.into(), raw.into()]) {
            Ok(_) => self.kept.insert(id),
            Err(Error::Rejected { code: RejectCode::Store, message }) => {
                if self.refused.is_empty() {
                    println!("refused: {message}");
                }
                self.refused.insert(id);
                false
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Puts until one is refused; then sees what still works.
    fn runs_full(&mut self) {
        while self.put() {
            assert!(self.next < 5_000, "it never ran full");
        }
        let revision = self.mirror.revision();
        // Several under way at once, as one group or many; small ones, and schema changes.
        let tickets: Vec<_> = (0..10)
            .map(|n| {
                let row = json!({"id": 1_000_000 + n, "raw": "x".repeat(3000)});
                self.producer.begin().insert("t", &row).unwrap().submit().unwrap()
            })
            .collect();
        for (n, ticket) in (0..).zip(tickets) {
            match ticket.wait() {
                Ok(_) => drop(self.kept.insert(1_000_000 + n)),
                Err(Error::Rejected { code: RejectCode::Store, .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        // Readers go on, and see what was acknowledged and nothing else.
        assert!(self.mirror.is_live());
        assert!(self.mirror.revision() >= revision);
        self.complete();
        let count = self.mirror.query("SELECT count(*) FROM t", &[]).unwrap().1;
        assert_eq!(count[0].rows[0][0], (self.kept.len() as i64).into());
        // The command line says what is wrong.
        let ran = self.instance.run(&["put", "t", "2000000", &format!("raw={}", "x".repeat(9000))]);
        if ran.code == 0 {
            self.kept.insert(2_000_000);
        } else {
            println!("{}", ran.fails(1).trim_end());
        }
        calm(&self.instance);
    }

    /// There is room again: it goes on by itself.
    fn goes_on(&mut self) {
        assert!(self.put(), "refused though there is room");
        for _ in 0..20 {
            assert!(self.put(), "refused though there is room");
        }
        self.complete();
        sound(&mut self.instance);
    }

    fn complete(&self) {
        let scan = self.mirror.table("t").unwrap().scan().unwrap();
        let there: BTreeSet<i64> = scan.iter().map(|r| r.get("id").unwrap()).collect();
        assert!(there == self.kept, "{} rows, {} acknowledged", there.len(), self.kept.len());
    }

    /// All of it again, by the command line, and a stream from the beginning.
    fn ends(mut self) {
        let dumped = dump(&self.instance, "t", &["id"]);
        assert_eq!(dumped.len(), self.kept.len());
        let options = Options::new().socket(self.instance.socket());
        let mut stream = Subscriber::builder(&options).from_revision(1).subscribe().unwrap();
        let mut inserted = 0;
        while inserted < self.kept.len() {
            let event = stream.next(PATIENCE).unwrap().expect("as many as were acknowledged");
            inserted += usize::from(event.to_json()["operation"] == "insert");
        }
        assert!(stream.try_next().unwrap().is_none());
        println!("{} rows kept, {} refused", self.kept.len(), self.refused.len());
        assert_eq!(self.instance.stop(), 0);
        calm(&self.instance);
    }
}

#[test]
fn a_full_disk_is_told_and_recovered_from() {
    let directory = tempfile::Builder::new().prefix("sm-").tempdir().unwrap();
    let data = directory.path().join("data");
    let Some(_mounted) = Mounted::new(&data) else {
        println!(
            "NOT RUN: mounting a file system takes root; the limit on files is tested instead"
        );
        return;
    };
    let (daemon, greeting) = serve(&data, &directory.path().join("s"));
    let mut world = World::new(Instance { daemon, directory, greeting });
    let filler = data.join("log/filler");
    let fill = || {
        let mut file = File::create(&filler).unwrap();
        let page = [7; 4096];
        // Until there is no room.
        while file.write_all(&page).is_ok() {}
    };
    fill();
    world.runs_full();
    std::fs::remove_file(&filler).unwrap();
    world.goes_on();

    // Killed while it is full, and started while it is still full: it serves, or says why not.
    fill();
    world.runs_full();
    kill(&mut world.instance);
    let mut child = shmirror(&["serve", "--data"])
        .arg(&data)
        .arg("--socket")
        .arg(world.instance.socket())
        .stdout(Stdio::piped())
        .stderr(File::create(world.instance.path("data.stderr")).unwrap())
        .spawn()
        .unwrap();
    let lines = Lines::of(child.stdout.take().unwrap(), "ready");
    let mut second = Process(child);
    if lines.next().is_some() {
        println!("started on a full disk");
        second.signal(rustix::process::Signal::KILL);
        second.end();
    } else {
        let said = std::fs::read_to_string(world.instance.path("data.stderr")).unwrap();
        println!("not started on a full disk: {}", said.lines().last().unwrap_or_default());
        assert_eq!(second.end(), 2, "{said}");
    }
    calm(&world.instance);
    std::fs::remove_file(&filler).unwrap();
    let generation = world.mirror.generation();
    start(&mut world.instance);
    crate::common::until("moving over", || world.mirror.generation() > generation);
    world.goes_on();
    world.ends();
}

#[test]
fn a_limit_on_files_is_told_and_recovered_from() {
    let mut world = World::new(Instance::start());
    let pid = Pid::from_raw(world.instance.daemon.0.id() as i32).unwrap();
    let no_limit = prlimit(Some(pid), Resource::Fsize, Rlimit { current: None, maximum: None });
    let no_limit = no_limit.unwrap();
    let largest = std::fs::read_dir(world.instance.path("data"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .max()
        .unwrap();
    let limit = Rlimit { current: Some(largest + 100_000), maximum: no_limit.maximum };
    prlimit(Some(pid), Resource::Fsize, limit).unwrap();
    world.runs_full();
    prlimit(Some(pid), Resource::Fsize, no_limit).unwrap();
    world.goes_on();
    world.ends();
}
