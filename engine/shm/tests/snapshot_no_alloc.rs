//! Keyed reads and cells take no memory from the heap, counted by the allocator itself.

mod rows;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use rows::*;
use shmirror_shm::catalogue::Affinity::{Integer, Text};
use shmirror_shm::key::Key;
use shmirror_shm::snapshot::{RowBuf, ScanBuf, SegmentWriter};
use shmirror_shm::value::{Value, ValueRef};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: everything is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|n| n.set(n.get() + 1));
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: `at` came from the system's allocator, with this layout.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations(f: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    f();
    ALLOCATIONS.get() - before
}

#[test]
fn reads_do_not_allocate() {
    assert_eq!(allocations(|| drop(std::hint::black_box(vec![1]))), 1, "the counter counts");
    let numbers = table(1, 1, &[Integer; 8], 1);
    let words = table(2, 1, &[Text, Integer, Text], 1);
    let mut w = SegmentWriter::create([0; 16], 1, 8 << 20).unwrap();
    for def in [&numbers, &words] {
        w.create_table(def, 0).unwrap();
    }
    let number = |i: i64| -> Vec<Value> { (0..8).map(|c| (i + c).into()).collect() };
    let word = |i: i64| -> Vec<Value> {
        vec![format!("key number {i}").into(), i.into(), "x".repeat(200).into()]
    };
    let rows =
        (0..1000).flat_map(|i| [put(&numbers, &number(i), 1, 1), put(&words, &word(i), 1, 1)]);
    publish(&mut w, rows.collect(), 1);
    publish_catalogue(&mut w, &[&numbers, &words], 1);
    let segment = open(&w);
    let (numbers, words) = (view(&segment, 1), view(&segment, 2));
    let keys: Vec<Key> = (0..1000)
        .map(|i| {
            let text = format!("key number {i}");
            Key::new(words.key_parts(), &[ValueRef::Text(&text)]).unwrap()
        })
        .collect();
    let count = allocations(|| {
        for i in 0..1000 {
            let mut row = RowBuf::new(); // a new buffer, and rows of up to 320 bytes
            assert_eq!(numbers.get_int(i, &mut row), Ok(true));
            assert_eq!(numbers.get_int(i + 5000, &mut row), Ok(false));
            assert_eq!(words.get(&keys[i as usize], &mut row), Ok(true));
            assert_eq!(row.image().get(1), Ok(ValueRef::Integer(i)));
            let site = numbers.locate(&Key::Int(i)).unwrap().unwrap();
            assert_eq!(site.load(&numbers, 3).map(|v| v.bits), Ok(i as u64 + 3));
        }
    });
    assert_eq!(count, 0, "gets and cells");
    let (mut scan, mut bytes) = (ScanBuf::new(), Vec::new());
    let mut warm = || {
        words.scan_into(&mut scan).unwrap();
        let site = words.locate(&keys[0]).unwrap().unwrap();
        site.load_bytes(&words, 2, &mut bytes).unwrap();
    };
    warm();
    assert_eq!(allocations(warm), 0, "buffers that are used again");
}
