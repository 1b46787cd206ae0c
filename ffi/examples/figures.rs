//! What reads cost in Rust and in C, beside each other, in one process on one core.
//!
//! In: the socket of an instance, the shared object that `tests/c/figures.c` makes, and how many rounds.
//! Out: one line of JSON for each kind of read, in nanoseconds a read. `tests/capi/figures.rs` runs it;
//! `make test-figures` prints its table.
//!
//! Rounds alternate: Rust, C, Rust, C, … of the same keys. A round takes some tens of microseconds, so
//! that on a machine which does other things besides many rounds are left alone. Noise only ever adds:
//! the least of many rounds is what a read costs, the median what it cost that day.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::hint::black_box;
use std::time::Instant;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use shmirror::{Cell, Mirror, Options, Producer, Row, Table};

/// Reads in a round.
const READS: usize = 2048;
/// Rows of a table that stays in the caches, and of one that does not.
const SIZES: [i64; 2] = [64, 100_000];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, socket, object, rounds] = &arguments[..] else {
        eprintln!("figures SOCKET OBJECT ROUNDS");
        std::process::exit(2);
    };
    let rounds: usize = rounds.parse().expect("a number of rounds");
    stay_on_one_core();
    let c = C::load(object);
    let options = Options::new().socket(socket);
    for size in SIZES {
        let names = fill(&options, size);
        c.open(socket, &names);
        measure(&c, &options, &names, size, rounds);
        c.close();
    }
}

/// Moving to another core costs more than most reads.
fn stay_on_one_core() {
    let allowed = sched_getaffinity(None).expect("the cores of this process");
    let last = (0..CpuSet::MAX_CPU).rev().find(|cpu| allowed.is_set(*cpu));
    let mut one = CpuSet::new();
    one.set(last.expect("a core"));
    if let Err(error) = sched_setaffinity(None, &one) {
        eprintln!("not on one core: {error}");
    }
}

/// Makes two tables of this size, by integer and by text, and gives their names.
fn fill(options: &Options, size: i64) -> [String; 2] {
    let (by_integer, by_text) = (format!("by_integer_{size}"), format!("by_text_{size}"));
    let producer = Producer::attach(options).expect("a producer");
    let sql = format!(
        "CREATE TABLE IF NOT EXISTS {by_integer} (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER,
             c INTEGER, d REAL, e REAL, f REAL, g REAL);
         CREATE TABLE IF NOT EXISTS {by_text} (name TEXT PRIMARY KEY, a INTEGER, d REAL)"
    );
    producer.execute(&sql).expect("tables");
    let sql = format!(
        "WITH RECURSIVE r(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM r WHERE i < {size} - 1)
             INSERT OR IGNORE INTO {by_integer} SELECT i, i, i, i, i, i, i, i FROM r;
         INSERT OR IGNORE INTO {by_text} SELECT printf('tag.%06d', id), a, d FROM {by_integer}"
    );
    producer.execute(&sql).expect("rows");
    [by_integer, by_text]
}

/// xorshift64 (Marsaglia).
fn keys(size: i64) -> Vec<i64> {
    let mut n = 88_172_645_463_325_252_u64;
    let mut next = || {
        n ^= n << 13;
        n ^= n >> 7;
        n ^= n << 17;
        (n % size as u64) as i64
    };
    (0..READS).map(|_| next()).collect()
}

fn measure(c: &C, options: &Options, names: &[String; 2], size: i64, rounds: usize) {
    let mirror = Mirror::attach(options).expect("a mirror");
    let [by_integer, by_text] = names.each_ref().map(|n| mirror.table(n).expect("a table"));
    let keys = keys(size);
    let texts: Vec<String> = keys.iter().map(|k| format!("tag.{k:06}")).collect();
    let texts: Vec<Text> =
        texts.iter().map(|t| Text { data: t.as_ptr(), size: t.len() }).collect::<Vec<_>>();
    let strings: Vec<String> = keys.iter().map(|k| format!("tag.{k:06}")).collect();
    let (a, d) = (by_integer.cell(1, "a").unwrap(), by_integer.cell(1, "d").unwrap());
    let mut row = Row::default();
    let count = keys.len();
    let row = &mut row;

    let compare = |what, reads, rust: &mut dyn FnMut() -> f64, in_c: &mut dyn FnMut() -> f64| {
        compare(what, size, rounds, reads, rust, in_c);
    };
    if size == SIZES[0] {
        compare("cell i64", count, &mut || cell_i64(&a), &mut || {
            c.turns(c"figures_cell_i64", count)
        });
        compare("cell f64", count, &mut || cell_f64(&d), &mut || {
            c.turns(c"figures_cell_f64", count)
        });
    }
    compare("row", count, &mut || read(&by_integer, &keys, row), &mut || {
        c.keyed(c"figures_row", &keys)
    });
    compare("row, two getters", count, &mut || getters(&by_integer, &keys, row), &mut || {
        c.keyed(c"figures_row_getters", &keys)
    });
    compare("row into a struct", count, &mut || getters(&by_integer, &keys, row), &mut || {
        c.keyed(c"figures_fetch", &keys)
    });
    compare(
        "row by text, two getters",
        count,
        &mut || by_name(&by_text, &strings, row),
        &mut || c.keyed(c"figures_text", &texts),
    );
    let rows = size as usize;
    // A scan of many rows is a long round.
    let compare = |what, in_c: &mut dyn FnMut() -> f64| {
        let rounds = if size == SIZES[0] { rounds } else { (rounds / 20).max(5) };
        self::compare(what, size, rounds, rows, &mut || scan(&by_integer), in_c);
    };
    compare("scan, two getters a row", &mut || c.whole(c"figures_scan"));
    compare("each, two getters a row", &mut || c.whole(c"figures_each"));
}

/// Times both, round by round, and prints what came out.
fn compare(
    what: &str,
    size: i64,
    rounds: usize,
    reads: usize,
    rust: &mut dyn FnMut() -> f64,
    in_c: &mut dyn FnMut() -> f64,
) {
    let time = |run: &mut dyn FnMut() -> f64| {
        let start = Instant::now();
        let sum = black_box(run());
        (start.elapsed().as_nanos() as f64 / reads as f64, sum)
    };
    let mut times = [Vec::with_capacity(rounds), Vec::with_capacity(rounds)];
    for _ in 0..rounds {
        let (in_rust, in_c) = (time(rust), time(in_c));
        assert_eq!(in_rust.1, in_c.1, "{what}: Rust and C read different things");
        times[0].push(in_rust.0);
        times[1].push(in_c.0);
    }
    let [rust, c] = times.map(|mut t| {
        t.sort_by(f64::total_cmp);
        (t[0], t[t.len() / 2])
    });
    println!(
        "{{\"what\":\"{what}\",\"rows\":{size},\"rust\":{:.3},\"c\":{:.3},\"rust_median\":{:.3},\
         \"c_median\":{:.3}}}",
        rust.0, c.0, rust.1, c.1
    );
}

// ---- the loops in Rust ----

#[inline(never)]
fn cell_i64(cell: &Cell) -> f64 {
    let mut sum = 0i64;
    for _ in 0..READS {
        sum += cell.i64().expect("a value");
    }
    sum as f64
}

#[inline(never)]
fn cell_f64(cell: &Cell) -> f64 {
    (0..READS).fold(0.0, |sum, _| sum + cell.f64().expect("a value"))
}

#[inline(never)]
fn read(table: &Table, keys: &[i64], row: &mut Row) -> f64 {
    for key in keys {
        assert!(table.read(*key, row).expect("a row"));
    }
    black_box(row);
    keys.len() as f64
}

#[inline(never)]
fn getters(table: &Table, keys: &[i64], row: &mut Row) -> f64 {
    let mut sum = 0.0;
    for key in keys {
        assert!(table.read(*key, row).expect("a row"));
        let (a, d): (i64, f64) = (row.get_at(1).expect("a"), row.get_at(4).expect("d"));
        sum += a as f64 + d;
    }
    sum
}

#[inline(never)]
fn by_name(table: &Table, keys: &[String], row: &mut Row) -> f64 {
    let mut sum = 0.0;
    for key in keys {
        assert!(table.read(key.as_str(), row).expect("a row"));
        let (a, d): (i64, f64) = (row.get_at(1).expect("a"), row.get_at(2).expect("d"));
        sum += a as f64 + d;
    }
    sum
}

#[inline(never)]
fn scan(table: &Table) -> f64 {
    let mut sum = 0.0;
    for row in table.scan().expect("a scan").iter() {
        let (a, d): (i64, f64) = (row.get_at(1).expect("a"), row.get_at(4).expect("d"));
        sum += a as f64 + d;
    }
    sum
}

// ---- the loops in C ----

/// `text_key` of figures.c.
#[repr(C)]
struct Text {
    data: *const u8,
    size: usize,
}

/// The shared object.
struct C(*mut c_void);

unsafe extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(object: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlerror() -> *const c_char;
}
const RTLD_NOW: c_int = 2;

impl C {
    fn load(path: &str) -> Self {
        let path = CString::new(path).expect("a path");
        // SAFETY: a terminated path; what is loaded has nothing that runs by itself but libshmirror,
        // which has nothing of the kind either.
        let object = unsafe { dlopen(path.as_ptr(), RTLD_NOW) };
        if object.is_null() {
            // SAFETY: after a failure it is a terminated text, until the next call.
            panic!("{}", unsafe { CStr::from_ptr(dlerror()) }.to_string_lossy());
        }
        Self(object)
    }

    fn symbol(&self, name: &CStr) -> *mut c_void {
        // SAFETY: the object is loaded, and stays so.
        let found = unsafe { dlsym(self.0, name.as_ptr()) };
        assert!(!found.is_null(), "{name:?} is not in the object");
        found
    }

    fn open(&self, socket: &str, names: &[String; 2]) {
        type Open = unsafe extern "C" fn(*const c_char, *const c_char, *const c_char) -> c_int;
        // SAFETY: that is what figures.c declares.
        let open: Open = unsafe { std::mem::transmute(self.symbol(c"figures_open")) };
        let [socket, by_integer, by_text] =
            [socket, &names[0], &names[1]].map(|s| CString::new(s).expect("no NUL"));
        // SAFETY: three terminated texts.
        let failed = unsafe { open(socket.as_ptr(), by_integer.as_ptr(), by_text.as_ptr()) };
        assert_eq!(failed, 0, "figures_open failed");
    }

    fn close(&self) {
        // SAFETY: that is what figures.c declares.
        let close: unsafe extern "C" fn() =
            unsafe { std::mem::transmute(self.symbol(c"figures_close")) };
        // SAFETY: it was opened, and nothing is read meanwhile.
        unsafe { close() };
    }

    /// A function that reads one thing so many times.
    fn turns(&self, name: &CStr, count: usize) -> f64 {
        // SAFETY: that is what figures.c declares.
        let run: unsafe extern "C" fn(usize) -> f64 =
            unsafe { std::mem::transmute(self.symbol(name)) };
        // SAFETY: it was opened.
        unsafe { run(count) }
    }

    /// A function that reads the rows with these keys.
    fn keyed<K>(&self, name: &CStr, keys: &[K]) -> f64 {
        // SAFETY: that is what figures.c declares, for the keys that the function takes.
        let run: unsafe extern "C" fn(*const K, usize) -> f64 =
            unsafe { std::mem::transmute(self.symbol(name)) };
        // SAFETY: it was opened; pointer and count are of one slice.
        unsafe { run(keys.as_ptr(), keys.len()) }
    }

    /// A function that reads the whole table.
    fn whole(&self, name: &CStr) -> f64 {
        // SAFETY: that is what figures.c declares.
        let run: unsafe extern "C" fn() -> f64 = unsafe { std::mem::transmute(self.symbol(name)) };
        // SAFETY: it was opened.
        unsafe { run() }
    }
}
