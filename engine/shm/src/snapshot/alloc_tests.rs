use proptest::prelude::*;

use super::*;

#[test]
fn classes_are_fine_and_hold_what_they_say() {
    for words in 1..=512 {
        let class = class_of(words);
        let size = class_words(class);
        assert!(class < CLASSES && size >= words, "{words} words in class {class} of {size}");
        assert!((size - words) * 8 <= words, "{words} words waste more than an eighth in {size}");
        assert!(class == 0 || class_words(class - 1) < words, "{words} fit the class before");
    }
    assert_eq!(class_of(512), CLASSES - 1);
}

#[test]
fn rounding_wastes_at_most_an_eighth() {
    for bytes in (65..100_000).step_by(7) {
        let rounded = Allocator::rounded(bytes);
        assert!(rounded >= bytes && (rounded - bytes) * 8 <= bytes.max(64), "{bytes}: {rounded}");
    }
}

#[test]
fn the_reserve_is_a_bound() {
    let mut a = Allocator::new(4096, 4096 + (64 << 10));
    let big = a.alloc(60 << 10).unwrap();
    assert_eq!(a.alloc(8 << 10), Err(Exhausted { needed: 4096 + (68 << 10) }));
    a.free(big, 60 << 10);
    assert_eq!((a.used(), a.frontier()), (0, 4096));
    assert!(a.alloc(u64::MAX / 2).is_err());
}

#[test]
fn a_large_extent_serves_small_blocks_when_it_comes_back() {
    let mut a = Allocator::new(4096, 1 << 30);
    let index = a.alloc(8 << 20).unwrap();
    let behind = a.alloc(64 << 10).unwrap();
    let frontier = a.frontier();
    a.free(index, 8 << 20);
    for _ in 0..100_000 {
        a.alloc(80).unwrap();
    }
    assert_eq!(a.frontier(), frontier, "100,000 blocks of 80 bytes fit where the index was");
    a.free(behind, 64 << 10);
}

#[test]
fn an_empty_run_can_become_something_else() {
    let mut a = Allocator::new(4096, 4096 + 40 * RUN);
    let small: Vec<u64> = (0..30 * RUN / 64).map(|_| a.alloc(64).unwrap()).collect();
    small.iter().for_each(|&o| a.free(o, 64));
    assert_eq!(a.used(), 0);
    let large = a.alloc(28 * RUN).expect("all runs but one went back");
    a.free(large, 28 * RUN);
}

proptest! {
    /// Blocks never overlap, stay inside, keep alignment, and all memory comes back.
    #[test]
    fn blocks_never_overlap(ops in prop::collection::vec((any::<u8>(), 1u64..40_000), 1..600)) {
        let (start, limit) = (4096, 4096 + (2 << 20));
        let mut a = Allocator::new(start, limit);
        let mut live: BTreeMap<u64, u64> = BTreeMap::new();
        for (op, size) in ops {
            let bytes = if op & 1 == 0 { size % 300 + 1 } else { size };
            if op < 150 {
                let Ok(offset) = a.alloc(bytes) else { continue };
                prop_assert!(offset >= start && offset + bytes <= limit && offset % 8 == 0);
                prop_assert!(bytes <= SMALL || offset % GRAIN == 0);
                let before = live.range(..=offset).next_back();
                prop_assert!(before.is_none_or(|(o, b)| o + b <= offset));
                let after = live.range(offset..).next();
                prop_assert!(after.is_none_or(|(o, _)| offset + bytes <= *o));
                live.insert(offset, bytes);
            } else if let Some((&o, &b)) = live.range(size * 50..).next().or(live.iter().next()) {
                live.remove(&o);
                a.free(o, b);
            }
            let rounded: u64 = live.values().map(|b| Allocator::rounded(*b)).sum();
            prop_assert_eq!(a.used(), rounded);
        }
        for (o, b) in live {
            a.free(o, b);
        }
        prop_assert_eq!(a.used(), 0);
        let runs = a.runs.iter().flatten().count() as u64;
        prop_assert!(runs <= CLASSES as u64);
        let free: u64 = a.by_offset.values().sum();
        prop_assert_eq!(free + runs * RUN, a.frontier() - start);
    }
}
