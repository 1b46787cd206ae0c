//! `get`, `read` and the typed getters of a cell do not allocate: counted, for this thread alone, by
//! the allocator itself.

#[path = "client_common/mod.rs"]
mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::Place;
use shmirror::Row;

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes on to the system's allocator as it is; the count is a plain thread-local.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|c| c.set(c.get() + 1));
        // SAFETY: the caller's promises are System's.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.with(|c| c.set(c.get() + 1));
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> u64 {
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

#[test]
fn reads_do_not_allocate() {
    let place = Place::served();
    place
        .producer()
        .execute(
            "CREATE TABLE r (id INTEGER PRIMARY KEY, a, b, c, d, e, f, name TEXT);
             CREATE TABLE n (name TEXT PRIMARY KEY, v);
             CREATE TABLE p (a TEXT, b INTEGER, v, PRIMARY KEY (a, b));
             CREATE TABLE wide (id INTEGER PRIMARY KEY, text TEXT);
             WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
             INSERT INTO r SELECT i, i, i, i, i, i, i, 'row ' || i FROM n;
             INSERT INTO n SELECT name, a FROM r;
             INSERT INTO p SELECT name, id, a FROM r;
             INSERT INTO wide SELECT id, printf('%.*c', 5000, 'x') FROM r LIMIT 10",
        )
        .unwrap();
    let mirror = place.mirror();
    let (r, n, p) =
        (mirror.table("r").unwrap(), mirror.table("n").unwrap(), mirror.table("p").unwrap());
    let cell = r.cell(7, "c").unwrap();
    let names: Vec<String> = (0..1000).map(|i| format!("row {i}")).collect();
    assert!(allocations(|| drop(std::hint::black_box(names.clone()))) > 1000, "the count counts");

    let mut row = Row::default();
    let count = allocations(|| {
        for (i, name) in (0i64..).zip(&names) {
            let found = r.get(i).unwrap().unwrap();
            assert_eq!(found.get_at::<i64>(3).unwrap(), i);
            assert_eq!(found.get::<&str>("name").unwrap(), name);
            assert!(r.read(i, &mut row).unwrap() && !r.read(-1 - i, &mut row).unwrap());
            assert_eq!(n.get(name.as_str()).unwrap().unwrap().get::<i64>("v").unwrap(), i);
            assert!(p.read((name.as_str(), i), &mut row).unwrap());
            assert_eq!((cell.i64(), cell.f64(), cell.is_null()), (Ok(7), Ok(7.0), Ok(false)));
            assert!(mirror.revision() > 0);
        }
    });
    assert_eq!(count, 0);

    // Another thread: its first row gets the buffer that serves all its later ones.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert!(allocations(|| assert!(r.get(0).unwrap().is_some())) <= 3);
            let get = || (0..1000).for_each(|i| assert!(r.get(i).unwrap().is_some()));
            assert_eq!(allocations(get), 0);
        });
    });

    // Rows over 320 bytes: into one's own buffer, once it has grown.
    let (wide, text) = (mirror.table("wide").unwrap(), r.cell(7, "name").unwrap());
    let mut buffer = String::new();
    let mut warm = || {
        assert!(wide.read(1, &mut row).unwrap());
        text.text(&mut buffer).unwrap();
    };
    warm();
    assert_eq!(allocations(|| (0..1000).for_each(|_| warm())), 0);
}
