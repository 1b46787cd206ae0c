//! Reads by key, while the index grows, memory is used anew, and tables go.

use super::{beside, drop_and_reuse, publish, put, segment, storage, table, values, write_row};
use crate::key::Key;
use crate::models::{Seen, explore, seen, weaken_each};
use crate::pillar::Pillar;
use crate::snapshot::layout::CHUNK_WORDS;
use crate::snapshot::{ReadError, RowBuf, SegmentWriter, TableView, index};
use crate::sync::Ordering;

/// The value of row `key`, by the straight way and the general one behind it.
fn get(view: &TableView, key: i64) -> Result<Option<i64>, ReadError> {
    let mut row = RowBuf::new();
    Ok(view.get_int(key, &mut row)?.then(|| {
        let (found, value) = values(row.image());
        assert_eq!((found, row.birth()), (key, key as u64 * 10), "torn");
        value
    }))
}

/// The same by the general way alone.
fn general(view: &TableView, key: i64) -> Result<Option<i64>, ReadError> {
    let mut row = RowBuf::new();
    Ok(view.find(&Key::Int(key), &mut row)?.map(|_| {
        let (found, value) = values(row.image());
        assert_eq!((found, row.birth()), (key, key as u64 * 10), "torn");
        value
    }))
}

type Read = fn(&TableView, i64) -> Result<Option<i64>, ReadError>;

/// A bigger index comes, and the old one's memory is used for another table's, whose rows look like
/// ours, or for nothing.
fn the_index_grows(read: Read, other_rows: bool) {
    let (mut writer, view) = segment(&[1]);
    let other = writer.arena.take_zeroed(storage(&writer).slot.span()).expect("room");
    write_row(&writer, other, 1, 77, 5);
    let hash = storage(&writer).hash(&Key::Int(1));
    let look = move |view: &TableView, _: bool| {
        assert_eq!(read(view, 1), Ok(Some(1)), "row 1 was there all the time");
    };
    beside(view, look, || {
        let SegmentWriter { arena, tables, .. } = &mut writer;
        let storage = tables[0].as_mut().expect("table 1");
        let new = storage.prepare_index(arena, 1).expect("room").expect("two rows are too many");
        storage.swap_index(arena, new);
        let old = arena.take_zeroed(2).expect("what was given back");
        if other_rows {
            index::insert(arena.own(old, 2), hash, other);
            index::insert(arena.own(old, 2), hash, other);
        }
    });
}

fn grows_get() {
    the_index_grows(get, true);
}

fn grows_general() {
    the_index_grows(general, true);
}

fn empties_get() {
    the_index_grows(get, false);
}

fn empties_general() {
    the_index_grows(general, false);
}

/// A row comes into a chunk whose memory had words that look like the sequence of its first version.
fn a_row_is_inserted(read: Read) {
    let (mut writer, view) = segment(&[1, 3, 4]);
    let slot = storage(&writer).slot;
    let words = CHUNK_WORDS + slot.bytes(1) as usize / 8;
    let old = writer.arena.take(words).expect("room");
    let seq = CHUNK_WORDS;
    writer.arena.own(old, words)[seq].store(4, Ordering::Relaxed);
    writer.arena.give(old, words);
    let look = move |view: &TableView, done: bool| {
        let found = read(view, 2).expect("there");
        assert!(found == Some(1) || !done && found.is_none(), "torn: {found:?}");
    };
    beside(view, look, || publish(&mut writer, vec![put(2, 1, 2)], 2));
}

fn inserted_get() {
    a_row_is_inserted(get);
}

fn inserted_general() {
    a_row_is_inserted(general);
}

/// The table is dropped while its row is copied: what is found is the row, or that it has moved.
fn a_table_is_dropped(read: Read) {
    let (mut writer, view) = segment(&[1]);
    let look = move |view: &TableView, done: bool| match read(view, 1) {
        Ok(found) => assert!(found == Some(1) && !done, "torn: {found:?}"),
        Err(error) => assert_eq!(error, ReadError::Moved),
    };
    beside(view, look, || drop_and_reuse(&mut writer));
}

/// The generation is over: who finds its table gone finds that too.
fn the_generation_is_over() {
    let (writer, view) = segment(&[1]);
    let look = |view: &TableView, done: bool| match general(view, 1) {
        Ok(found) => assert!(found == Some(1) && !done),
        Err(error) => {
            assert_eq!(error, ReadError::Moved);
            assert!(view.segment().is_retired(), "moved, and nobody says why");
        }
    };
    beside(view, look, || writer.retire());
}

fn dropped_get() {
    a_table_is_dropped(get);
}

fn dropped_general() {
    a_table_is_dropped(general);
}

/// A view is made while the mapping goes: first its tables' index words, then all else.
fn a_view_is_made() {
    let (writer, view) = segment(&[1]);
    let place = storage(&writer).place;
    let look = move |view: &TableView, done: bool| match TableView::new(
        view.segment().clone(),
        &table(1),
        place,
    ) {
        Ok(_) => assert!(!done),
        Err(error) => assert_eq!(error, ReadError::Moved, "torn"),
    };
    beside(view, look, || {
        storage(&writer).retire(&writer.arena);
        writer.arena.table(place).iter().for_each(|word| word.store(0, Ordering::Relaxed));
    });
}

pub const SEEN: &[Seen] = &[
    seen(Pillar::IndexSwap, 0, grows_get, "row 1 was there"),
    seen(Pillar::IndexSwap, 0, grows_general, "row 1 was there"),
    seen(Pillar::IndexWord, 0, grows_get, "row 1 was there"),
    seen(Pillar::IndexWord, 0, grows_general, "row 1 was there"),
    seen(Pillar::IndexSwapFence, 0, empties_get, "row 1 was there"),
    seen(Pillar::IndexSwapFence, 0, empties_general, "row 1 was there"),
    seen(Pillar::IndexStill, 0, empties_get, "row 1 was there"),
    seen(Pillar::IndexStill, 0, empties_general, "row 1 was there"),
    seen(Pillar::IndexProbe, 0, inserted_get, "torn"),
    seen(Pillar::IndexProbe, 0, inserted_general, "torn"),
    seen(Pillar::IndexFence, 0, dropped_get, "torn"),
    seen(Pillar::IndexFence, 0, dropped_general, "torn"),
    seen(Pillar::RetireFence, 0, dropped_get, "torn"),
    seen(Pillar::RetireFence, 0, dropped_general, "torn"),
    seen(Pillar::RetireFence, 0, a_view_is_made, "torn"),
    seen(Pillar::MovedFence, 0, a_view_is_made, "torn"),
    seen(Pillar::RetireTold, 0, the_generation_is_over, "nobody says why"),
];

#[test]
fn a_key_is_found_while_its_index_is_replaced_and_reused() {
    explore(0, grows_get);
    explore(0, grows_general);
    explore(0, empties_get);
    explore(0, empties_general);
}

#[test]
fn an_inserted_row_is_seen_whole_or_not() {
    explore(0, inserted_get);
    explore(0, inserted_general);
}

#[test]
fn a_dropped_table_says_so() {
    explore(0, dropped_get);
    explore(0, dropped_general);
}

#[test]
fn a_view_of_a_mapping_that_goes_has_moved() {
    explore(0, a_view_is_made);
}

#[test]
fn a_table_that_went_with_its_generation_says_so() {
    explore(0, the_generation_is_over);
}

#[test]
fn each_weakening_is_seen() {
    weaken_each(SEEN);
}
