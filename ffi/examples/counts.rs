//! The work whose instructions `tests/counts.rs` has callgrind count.
//!
//! In: the socket of an instance, and the process id of its daemon. Out: for each kind of operation in turn
//! a line, how many of them one call of [`counted`] does and their name; and [`CALLS`] such calls, of which
//! callgrind makes a dump each. What is around the calls is not counted.

use std::hint::black_box;

use rustix::process::{Pid, Signal, kill_process};
use shmirror::{Action, Change, Mirror, Options, Producer, Row, Rows, Ticket, Value};

/// Rows of a table.
const ROWS: i64 = 10_000;
/// Operations of a call.
const OPERATIONS: usize = 2048;
/// Requests of a call: fewer, so that the lane has room for all of them.
const REQUESTS: usize = 512;
/// Calls of an operation. The first one warms up.
const CALLS: usize = 3;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, socket, daemon] = &arguments[..] else {
        eprintln!("counts SOCKET PID");
        std::process::exit(2);
    };
    let daemon = daemon.parse().ok().and_then(Pid::from_raw).expect("a process id");
    let options = Options::new().socket(socket);
    let producer = Producer::attach(&options).expect("a producer");
    fill(&producer);
    let mirror = Mirror::attach(&options).expect("a mirror");
    let [numbers, names] = ["numbers", "names"].map(|t| mirror.table(t).expect("a table"));
    let keys = keys();
    let texts: Vec<String> = keys.iter().map(|key| format!("plant.{key:08}")).collect();
    let mut row = Row::default();

    repeat("Table::read, a row of 64 B", OPERATIONS, || {
        keys.iter()
            .for_each(|key| assert!(numbers.read(black_box(*key), &mut row).expect("a table")));
    });
    repeat("Table::get, a row of 64 B", OPERATIONS, || {
        keys.iter()
            .for_each(|key| assert!(numbers.get(black_box(*key)).expect("a table").is_some()));
    });
    repeat("Table::get, a text key of 14 B", OPERATIONS, || {
        let names = texts.iter().map(|key| names.get(black_box(key.as_str())));
        names.for_each(|row| assert!(row.expect("a table").is_some()));
    });
    let cell = numbers.cell(1, "a").expect("a cell");
    repeat("Cell::i64", OPERATIONS, || {
        (0..OPERATIONS).for_each(|_| assert_eq!(black_box(&cell).i64(), Ok(1)));
    });
    let mut rows = Rows::default();
    repeat("Table::scan_into, each of 10,000 rows of 64 B", ROWS as usize, || {
        numbers.scan_into(&mut rows).expect("a table");
    });
    assert_eq!(rows.len(), ROWS as usize);
    println!("{REQUESTS} Producer::submit, one value");
    (0..CALLS).for_each(|call| submit(&producer, daemon, &keys[..REQUESTS], call as i64));
}

/// What is counted.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
}

fn repeat(what: &str, operations: usize, mut work: impl FnMut()) {
    println!("{operations} {what}");
    (0..CALLS).for_each(|_| counted(&mut work));
}

/// Only the submitting is counted: neither what comes before it nor the outcomes. The daemon stands still
/// meanwhile: how often it has to be woken would depend on how fast it is.
fn submit(producer: &Producer, daemon: Pid, keys: &[i64], value: i64) {
    let change = |key: &i64| {
        vec![Change {
            table: "numbers".into(),
            action: Action::Update {
                key: vec![Value::Integer(*key)],
                columns: vec!["a".into()],
                values: vec![Value::Integer(value)],
                if_revision: None,
            },
        }]
    };
    let changes: Vec<Vec<Change>> = keys.iter().map(change).collect();
    let mut tickets: Vec<Ticket> = Vec::with_capacity(keys.len());
    let mut changes = changes.into_iter();
    kill_process(daemon, Signal::STOP).expect("the daemon stands still");
    counted(&mut || {
        let submitted = changes.by_ref().map(|change| producer.submit(change).expect("a ticket"));
        tickets.extend(submitted);
    });
    kill_process(daemon, Signal::CONT).expect("the daemon goes on");
    for ticket in tickets {
        ticket.wait().expect("a commit");
    }
}

/// Makes the tables: rows of eight numbers, and the same rows by a text.
fn fill(producer: &Producer) {
    let columns = "a INTEGER, b INTEGER, c INTEGER, d INTEGER, e INTEGER, f INTEGER, g INTEGER";
    let sql = format!(
        "CREATE TABLE numbers (id INTEGER PRIMARY KEY, {columns});
         CREATE TABLE names (name TEXT PRIMARY KEY, {columns});
         WITH RECURSIVE r(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM r WHERE i < {ROWS} - 1)
             INSERT INTO numbers SELECT i, i, i, i, i, i, i, i FROM r;
         INSERT INTO names SELECT printf('plant.%08d', id), a, b, c, d, e, f, g FROM numbers"
    );
    producer.execute(&sql).expect("tables");
}

/// Keys in an order that looks random and is always the same: xorshift64 (Marsaglia).
fn keys() -> Vec<i64> {
    let mut n = 88_172_645_463_325_252_u64;
    let mut next = || {
        n ^= n << 13;
        n ^= n >> 7;
        n ^= n << 17;
        (n % ROWS as u64) as i64
    };
    (0..OPERATIONS).map(|_| next()).collect()
}
