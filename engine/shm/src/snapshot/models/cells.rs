//! Cells, while their slot gets another row, and while their table goes and its memory is used anew.

use super::{Handles, REAL, beside, delete, drop_and_reuse, handles, prepare, publish, put};
use crate::models::{Seen, explore, seen, weaken_each};
use crate::pillar::Pillar;
use crate::snapshot::{CellError, CellValue};
use crate::value::StorageClass;

/// What is read is the row's value, 1, or nothing; in the end it is nothing.
fn alone(
    read: fn(&Handles) -> Option<u64>,
    else_it_is: &'static str,
) -> impl Fn(&Handles, bool) + Clone + Send {
    move |handles, done| {
        let found = read(handles);
        assert!(found.is_none() || found == Some(1) && !done, "{else_it_is}: {found:?}");
    }
}

/// Row 1 is deleted, and row 2 comes into its slot.
fn a_slot_is_reused(read: fn(&Handles) -> Option<u64>) {
    let (mut writer, handles) = handles();
    let gone = prepare(&mut writer, vec![delete(1, 2)]);
    beside(handles, alone(read, "a value of another row's"), || {
        writer.publish(gone, 2);
        publish(&mut writer, vec![put(2, 3, 3)], 3);
    });
}

fn a_row_goes(read: fn(&Handles) -> Option<u64>) {
    let (mut writer, handles) = handles();
    let gone = prepare(&mut writer, vec![delete(1, 2)]);
    beside(handles, alone(read, "a value of no row's"), || writer.publish(gone, 2));
}

/// The table goes while its row is copied, and the row's memory gets words that look like the sequence
/// of the version that was being copied.
fn a_table_goes(read: fn(&Handles) -> Option<u64>) {
    let (mut writer, handles) = handles();
    let look = move |handles: &Handles, done: bool| {
        let found = read(handles);
        assert!(found.is_none() || found == Some(1) && !done, "torn: {found:?}");
    };
    beside(handles, look, || drop_and_reuse(&mut writer));
}

fn value(value: CellValue) -> u64 {
    match (value.class, value.bits) {
        (StorageClass::Integer, bits) => bits,
        (StorageClass::Real, bits) if bits == REAL.to_bits() => 1,
        (class, bits) => panic!("torn: {class:?} {bits:#x}"),
    }
}

fn cell(handles: &Handles) -> Option<u64> {
    match handles.site.load(&handles.view, 1) {
        Ok(found) => Some(value(found)),
        Err(CellError::Deleted | CellError::Moved) => None,
        Err(error) => panic!("{error:?}"),
    }
}

fn pinned(handles: &Handles) -> Option<u64> {
    handles.cell.load().map(value)
}

fn reused_cell() {
    a_slot_is_reused(cell);
}

fn reused_pinned() {
    a_slot_is_reused(pinned);
}

fn deleted_cell() {
    a_row_goes(cell);
}

fn deleted_pinned() {
    a_row_goes(pinned);
}

fn dropped_cell() {
    a_table_goes(cell);
}

fn dropped_pinned() {
    a_table_goes(pinned);
}

pub const SEEN: &[Seen] = &[
    seen(Pillar::CellBirth, 0, reused_cell, "another row's"),
    seen(Pillar::CellBirth, 0, reused_pinned, "another row's"),
    seen(Pillar::CellDeleted, 0, deleted_cell, "torn"),
    seen(Pillar::CellDeleted, 0, deleted_pinned, "torn"),
    seen(Pillar::RetireFence, 0, dropped_cell, "torn"),
    seen(Pillar::RetireFence, 0, dropped_pinned, "torn"),
    seen(Pillar::MovedFence, 0, dropped_cell, "torn"),
    seen(Pillar::MovedFence, 0, dropped_pinned, "torn"),
    seen(Pillar::Moved, 0, dropped_cell, "torn"),
    seen(Pillar::Moved, 0, dropped_pinned, "torn"),
];

#[test]
fn a_cell_never_gives_another_row_that_has_its_slot() {
    explore(0, reused_cell);
    explore(0, reused_pinned);
}

#[test]
fn a_cell_of_a_deleted_row_gives_nothing() {
    explore(0, deleted_cell);
    explore(0, deleted_pinned);
}

#[test]
fn a_cell_of_a_dropped_table_gives_nothing_of_what_comes_there() {
    explore(0, dropped_cell);
    explore(0, dropped_pinned);
}

#[test]
fn each_weakening_is_seen() {
    weaken_each(SEEN);
}
