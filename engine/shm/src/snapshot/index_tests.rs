use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn entries(log2: u32) -> Vec<AtomicU64> {
    (0..1usize << log2).map(|_| AtomicU64::new(0)).collect()
}

/// Few distinct homes and tags, so that rows of entries are long and collide.
fn hash_of(key: u64) -> u64 {
    ((key % 3) << 62) | (key % 5)
}

#[test]
fn sizes_are_half_full_at_most() {
    assert_eq!(size_for(0), 3);
    assert_eq!(size_for(8_192), 14);
    assert_eq!(size_for(8_193), 15);
    assert_eq!(size_for(10_000), 15);
    assert_eq!(size_for(1_000_000), 21);
    for rows in 1..3000 {
        assert!(!is_over(rows, 1 << size_for(rows)));
    }
}

#[test]
fn removing_the_last_of_a_row_of_entries_clears_the_tombstones_before_it() {
    let e = entries(3);
    for slot in 1..=3 {
        assert!(!insert(&e, 6, slot * 8));
    }
    let at = |slot: u64| find(&e, 6, |s| s == slot * 8).unwrap().0;
    assert_eq!(remove(&e, at(1)), 1);
    assert_eq!(remove(&e, at(2)), 1);
    assert_eq!(remove(&e, at(3)), -2);
    assert!(e.iter().all(|w| w.load(Ordering::Relaxed) == 0));
}

#[test]
fn an_index_word_that_changes_under_the_lookup_makes_it_begin_anew() {
    let words = entries(6);
    let word = AtomicU64::new(IndexRef::new(64, 3, 1).0);
    insert(&words[8..16], 1, 8);
    insert(&words[16..24], 1, 16);
    let mut seen = Vec::new();
    let found = lookup(&words[..], &word, 1, |slot| {
        seen.push(slot);
        word.store(IndexRef::new(128, 3, 2).0, Ordering::Relaxed);
        Ok(Some(slot))
    });
    assert_eq!((found, seen), (Ok(Some(16)), vec![8, 16]));
    word.store(0, Ordering::Relaxed);
    assert_eq!(lookup(&words[..], &word, 1, |s| Ok(Some(s))), Err(ReadError::Moved));
}

#[test]
fn an_index_outside_of_the_space_is_refused() {
    let words = entries(4);
    let word = AtomicU64::new(IndexRef::new(64, 30, 1).0);
    let found = lookup(&words[..], &word, 1, |s| Ok(Some(s)));
    assert_eq!(found, Err(ReadError::Corrupt { what: "index", offset: 64 }));
}

proptest! {
    #[test]
    fn it_is_a_map(ops in prop::collection::vec((0u64..40, any::<bool>()), 1..400)) {
        let e = entries(6);
        let word = AtomicU64::new(IndexRef::new(0, 6, 1).0);
        let mut model = HashMap::new();
        let mut tombs = 0isize;
        for (key, put) in ops {
            let slot = (key + 1) * 8;
            let place = find(&e, hash_of(key), |s| s == slot);
            prop_assert_eq!(place.is_some(), model.contains_key(&key));
            match (put, place) {
                (true, None) => {
                    tombs -= isize::from(insert(&e, hash_of(key), slot));
                    model.insert(key, slot);
                }
                (false, Some((at, _))) => {
                    tombs += remove(&e, at);
                    model.remove(&key);
                }
                _ => {}
            }
            let count = e.iter().filter(|w| w.load(Ordering::Relaxed) == TOMBSTONE).count();
            prop_assert_eq!(count as isize, tombs);
        }
        for key in 0..40 {
            let slot = (key + 1) * 8;
            let found = lookup(&e[..], &word, hash_of(key), |s| Ok((s == slot).then_some(s)));
            prop_assert_eq!(found, Ok(model.get(&key).copied()));
        }
    }
}
