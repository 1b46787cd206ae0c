//! Rights that are taken from a user and given back, under a mirror and a subscriber of theirs: what they
//! may no longer see they are told at once, the rest goes on, and what comes back works again.
//!
//! The user is a process of another uid, which only root can start.

#[path = "client_common/mod.rs"]
mod common;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use common::{LONG, Place, until};
use serde_json::json;
use shmirror::{CellError, Error, Event, Mirror, Options, Subscriber};
use shmirror_daemon::{Config, Daemon};

/// A user that no rule but these means.
const USER: u32 = 61_301;
/// Environment variable with the socket for [`child`].
const SOCKET: &str = "SHMIRROR_TEST_WITHDRAWN";
/// Longest that a denial may take to be said, once it holds: nobody waits for a segment.
const AT_ONCE: Duration = Duration::from_millis(1_500);

/// `main`, `desk` and `plant`, of which the user reads these.
fn rules(place: &Place, readable: &[&str]) -> Config {
    let mut config = place.config();
    for name in ["main", "desk", "plant"] {
        let rule = config.namespaces.entry(name.to_owned()).or_default();
        rule.readers.clear();
        if readable.contains(&name) {
            rule.readers.push(format!("user:{USER}").parse().unwrap());
        }
    }
    config
}

fn said<T>(result: Result<T, Error>, show: impl FnOnce(T) -> String) -> String {
    result.map_or_else(|e| e.code().to_owned(), show)
}

fn event(event: Option<Event>) -> String {
    match event {
        None => "nothing".to_owned(),
        Some(Event::Change(c)) => {
            format!("{} {}", c.table, c.row.unwrap().get::<i64>("v").unwrap())
        }
        Some(Event::Schema(e)) => format!("schema {:?}", e.created),
        Some(Event::Lagged { .. }) => "lagged".to_owned(),
        Some(other) => format!("{other:?}"),
    }
}

/// Not a test: what the other user's process does. It is told by lines what to do, and says what came.
#[test]
fn child() {
    let Some(socket) = std::env::var_os(SOCKET) else { return };
    let options = Options::new().socket(socket);
    let mirror = Mirror::attach(&options).unwrap();
    let (t, plant) = (mirror.table("t").unwrap(), mirror.table("plant.t").unwrap());
    let cells = [t.cell(1, "v").unwrap(), plant.cell(1, "v").unwrap()];
    let mut changes = Subscriber::builder(&options).subscribe().unwrap();
    println!("@ready");
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let (what, name) = line.split_once(' ').unwrap_or((&line, ""));
        let start = Instant::now();
        let table = if name == "t" { &t } else { &plant };
        let answer = match what {
            "tables" => said(mirror.tables(), |names| names.join(" ")),
            "namespaces" => said(mirror.namespaces(), |all| {
                all.iter()
                    .map(|s| format!("{}{}", s.name, if s.writable { "!" } else { "" }))
                    .collect::<Vec<_>>()
                    .join(" ")
            }),
            "open" => match mirror.table(name) {
                Err(error @ Error::UnknownTable { .. }) => error.to_string(),
                other => said(other, |t| format!("{} rows", t.len())),
            },
            "get" => said(table.get(1), |row| row.unwrap().get::<i64>("v").unwrap().to_string()),
            "scan" => said(table.scan(), |rows| format!("{} rows", rows.len())),
            "cell" => match cells[usize::from(name != "t")].i64() {
                Err(CellError::Denied) => "denied".to_owned(),
                other => other.unwrap().to_string(),
            },
            "revision" => mirror.revision().to_string(),
            "live" => mirror.is_live().to_string(),
            "attach" => said(Mirror::attach(&options), |_| "attached".to_owned()),
            "next" => said(changes.next(LONG), event),
            "now" => said(changes.next(Duration::from_millis(50)), event),
            other => panic!("{other:?}"),
        };
        assert!(what == "next" || start.elapsed() < AT_ONCE, "{line}: {:?}", start.elapsed());
        println!("@{answer}");
    }
    std::process::exit(0);
}

/// The other user's process.
struct User {
    process: Child,
    input: ChildStdin,
    output: std::io::Lines<BufReader<ChildStdout>>,
}

impl User {
    fn start(place: &Place) -> Self {
        // Anybody may run the copy; the socket is for whom the rules admit.
        let open = |mode| PermissionsExt::from_mode(mode);
        std::fs::set_permissions(place.dir.path(), open(0o711)).unwrap();
        let copy = place.dir.path().join("child");
        std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
        std::fs::set_permissions(&copy, open(0o755)).unwrap();
        let mut process = Command::new(copy)
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(SOCKET, place.socket())
            .current_dir("/")
            .uid(USER)
            .gid(USER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut user = Self { process, input, output };
        assert_eq!(user.hear(), "ready");
        user
    }

    fn hear(&mut self) -> String {
        loop {
            let line = self.output.next().expect("the other process ended").unwrap();
            // The harness begins the line with the test's name.
            if let Some((_, said)) = line.split_once('@') {
                return said.to_owned();
            }
        }
    }

    fn ask(&mut self, what: &str) -> String {
        writeln!(self.input, "{what}").unwrap();
        self.hear()
    }

    fn until(&mut self, what: &str, answer: &str) {
        until(&format!("{answer:?} to {what:?}"), || self.ask(what) == answer);
    }

    fn end(mut self) {
        drop(self.input);
        assert!(self.process.wait().unwrap().success());
    }
}

#[test]
fn what_is_withdrawn_is_denied_and_what_comes_back_lives_again() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED, as this is not root and cannot start a process of another user");
        return;
    }
    let mut place = Place::new(|_| ());
    place.daemon = Some(Daemon::start(rules(&place, &["main", "plant"])).unwrap());
    let producer = place.producer();
    let tables = ["t", "plant.t", "desk.t"];
    for name in tables {
        producer.execute(&format!("CREATE TABLE {name} (id INTEGER PRIMARY KEY, v)")).unwrap();
        producer.insert(name, &json!({"id": 1, "v": 0})).unwrap();
    }
    let put = |v: i64| {
        for name in tables {
            producer.update(name, 1, &json!({"v": v})).unwrap();
        }
    };
    let change = |place: &Place, readable: &[&str]| {
        place.daemon.as_ref().unwrap().reload_rules(&rules(place, readable)).unwrap();
    };
    let mut user = User::start(&place);
    assert_eq!(user.ask("tables"), "t plant.t");
    assert_eq!(user.ask("namespaces"), "main plant");
    // What may not be seen is as what is not there, also where it is named.
    for name in ["desk.t", "dusk.t", "desk.u"] {
        assert_eq!(
            user.ask(&format!("open {name}")),
            format!("no table {name:?}; tables: t, plant.t")
        );
    }
    put(1);
    assert_eq!(
        [user.ask("next"), user.ask("next"), user.ask("now")],
        ["t 1", "plant.t 1", "nothing"]
    );
    assert_eq!([user.ask("get t"), user.ask("cell plant.t")], ["1", "1"]);

    // The second namespace is withdrawn. What is committed in it from then on nobody there sees.
    change(&place, &["main"]);
    put(2);
    user.until("get plant.t", "denied");
    for what in ["get plant.t", "scan plant.t", "cell plant.t", "open plant.t", "open plant.u"] {
        assert_eq!(user.ask(what), "denied", "{what}");
    }
    user.until("get t", "2");
    user.until("live", "true");
    assert_eq!([user.ask("scan t"), user.ask("cell t"), user.ask("tables")], ["1 rows", "2", "t"]);
    assert_eq!(user.ask("namespaces"), "main");
    let told = [user.ask("next"), user.ask("next")];
    assert!(told.contains(&"denied".to_owned()) && told.contains(&"t 2".to_owned()), "{told:?}");
    put(3);
    assert_eq!([user.ask("next"), user.ask("now")], ["t 3", "nothing"]);

    // It comes back: the same handles, and in the stream first that something is missing.
    change(&place, &["main", "plant"]);
    user.until("get plant.t", "3");
    assert_eq!([user.ask("scan plant.t"), user.ask("cell plant.t")], ["1 rows", "3"]);
    user.until("tables", "t plant.t");
    user.until("now", "lagged");
    put(4);
    assert_eq!(
        [user.ask("next"), user.ask("next"), user.ask("now")],
        ["t 4", "plant.t 4", "nothing"]
    );

    // The first goes; the second is there as before.
    let revision = user.ask("revision");
    change(&place, &["plant"]);
    put(5);
    user.until("get t", "denied");
    assert_eq!([user.ask("live"), user.ask("revision")], ["false".to_owned(), revision]);
    user.until("get plant.t", "5");
    assert_eq!([user.ask("tables"), user.ask("open t")], ["plant.t", "denied"]);
    let told = [user.ask("next"), user.ask("next")];
    assert!(
        told.contains(&"denied".to_owned()) && told.contains(&"plant.t 5".to_owned()),
        "{told:?}"
    );

    // Nothing is left, and everything comes back.
    change(&place, &[]);
    user.until("get plant.t", "denied");
    for what in ["tables", "get t", "namespaces", "attach"] {
        assert_eq!(user.ask(what), "denied", "{what}");
    }
    user.until("now", "denied");
    assert_eq!([user.ask("now"), user.ask("now")], ["denied", "denied"]);
    change(&place, &["main", "plant"]);
    for what in ["get t", "get plant.t", "cell t", "cell plant.t"] {
        user.until(what, "5");
    }
    user.until("live", "true");
    user.until("now", "lagged");
    put(6);
    let mut told = Vec::new();
    while told.iter().filter(|t: &&String| t.ends_with('6')).count() < 2 {
        told.push(user.ask("next"));
    }
    assert!(told.iter().all(|t| t == "lagged" || t.ends_with('6')), "{told:?}");

    // The next daemon has other rules. Of the last one's memory nobody says that it was retired.
    place.stop();
    place.daemon = Some(Daemon::start(rules(&place, &["main"])).unwrap());
    user.until("get plant.t", "denied");
    assert_eq!(user.ask("cell plant.t"), "denied");
    user.until("live", "true");
    put(7);
    user.until("cell t", "7");
    user.end();
}
