//! Models of the snapshot segment: the product's writer and readers over some 150 words.
//!
//! Chunks of one slot and indexes of two entries make growth and reuse a matter of a few stores; the
//! allocator hands out again at once what was given back.

mod cells;
mod growth;
mod revisions;

use std::sync::Arc;

use loom::thread;

use super::layout::{CHUNK_WORDS, SlotShape, VERSION_BIRTH, VERSION_META, VERSION_REVISION};
use super::storage::Storage;
use super::{CellSite, PinnedCell, Prepared, RowChange, Segment, SegmentWriter, TableView};
use crate::catalogue::{Affinity, Collation, ColumnDef, Generated, KeyKind, TableDef};
use crate::image::Image;
use crate::key::Key;
use crate::models::Seen;
use crate::sync::Ordering;
use crate::value::ValueRef;

/// All of them.
pub const SEEN: &[&[Seen]] = &[cells::SEEN, growth::SEEN, revisions::SEEN];

/// A table of a key and a value, both INTEGER.
fn table(id: u32) -> TableDef {
    let column = |id: u32| ColumnDef {
        id,
        name: String::new(),
        decl_type: String::new(),
        affinity: Affinity::Integer,
        not_null: false,
        default_sql: None,
        key_position: u16::from(id == 0),
        generated: Generated::No,
        hidden: false,
        collation: Collation::Binary,
    };
    TableDef {
        id,
        namespace: String::new(),
        name: String::new(),
        shape: 1,
        sql: String::new(),
        key: KeyKind::Integer,
        key_columns: vec![0],
        columns: vec![column(0), column(1)],
        without_rowid: false,
        strict: false,
        past_shapes: Vec::new(),
    }
}

fn image(key: i64, value: i64) -> Image {
    Image::encode([ValueRef::Integer(key), ValueRef::Integer(value)].into_iter())
}

/// Row `key` of table 1 gets a value; its birth is ten times its key.
fn put(key: i64, value: i64, revision: u64) -> RowChange {
    let birth = key as u64 * 10;
    let image = Some(image(key, value));
    RowChange { table: 1, shape: 1, key: Key::Int(key), birth, revision, image }
}

fn delete(key: i64, revision: u64) -> RowChange {
    RowChange { image: None, ..put(key, 0, revision) }
}

fn prepare(writer: &mut SegmentWriter, changes: Vec<RowChange>) -> Prepared {
    writer.prepare(changes).expect("room")
}

fn publish(writer: &mut SegmentWriter, changes: Vec<RowChange>, revision: u64) {
    let prepared = prepare(writer, changes);
    writer.publish(prepared, revision);
}

/// A segment with table 1, whose rows have the values that are their revision: 1.
fn segment(keys: &[i64]) -> (SegmentWriter, TableView) {
    let mut writer = SegmentWriter::create([0; 16], 1, 0).expect("memory");
    writer.create_table(&table(1), keys.len()).expect("room");
    let storage = storage(&writer);
    storage.store_span(&writer.arena, true, 1);
    let place = storage.place;
    publish(&mut writer, keys.iter().map(|key| put(*key, 1, 1)).collect(), 1);
    let segment = Segment::open(writer.region().clone()).expect("a segment");
    let view = TableView::new(segment, &table(1), place).expect("a table");
    (writer, view)
}

fn storage(writer: &SegmentWriter) -> &Storage {
    writer.tables[0].as_ref().expect("table 1")
}

/// The value in a copied row, with its key.
fn values(image: crate::image::ImageRef<'_>) -> (i64, i64) {
    let value = |i| match image.get(i) {
        Ok(ValueRef::Integer(value)) => value,
        Ok(ValueRef::Real(REAL)) => 1,
        other => panic!("a torn row: {other:?}"),
    };
    (value(0), value(1))
}

/// Runs `read` beside what the model's own thread does, and then once more.
fn beside<T: Send + Sync + 'static>(
    handles: T,
    read: impl Fn(&T, bool) + Clone + Send + 'static,
    write: impl FnOnce(),
) {
    let handles = Arc::new(handles);
    let (theirs, again) = (handles.clone(), read.clone());
    let reader = thread::spawn(move || read(&theirs, false));
    write();
    reader.join().expect("no panic");
    again(&handles, true);
}

/// A segment with row 1, and the handles that a reader has of it.
struct Handles {
    view: TableView,
    site: CellSite,
    cell: PinnedCell,
}

fn handles() -> (SegmentWriter, Handles) {
    let (writer, view) = segment(&[1]);
    let site = view.locate(&Key::Int(1)).expect("there").expect("a row");
    let cell = PinnedCell::new(&view, &site, 1).expect("a column");
    (writer, Handles { view, site, cell })
}

/// Writes a row as a table of as many columns has it.
fn write_row(writer: &SegmentWriter, slot: u64, key: i64, birth: u64, value: i64) {
    writer.arena.latch(&SlotShape::new(2), slot).write(|version| {
        version[VERSION_BIRTH].store(birth, Ordering::Relaxed);
        version[VERSION_REVISION].store(1, Ordering::Relaxed);
        crate::words::store_words(&version[VERSION_META..], image(key, value).as_ref().head());
    });
}

/// Row 1 becomes a REAL, so that its first version is overwritten; then its table is dropped, and its memory is
/// used for bytes that look like the first one's sequence.
fn drop_and_reuse(writer: &mut SegmentWriter) {
    let words = CHUNK_WORDS + SlotShape::new(2).bytes(1) as usize / 8;
    publish(writer, vec![RowChange { image: Some(real(1)), ..put(1, 0, 2) }], 2);
    let seq = CHUNK_WORDS;
    writer.drop_table(1, 1);
    let chunk = writer.arena.take(words).expect("what was given back");
    writer.arena.own(chunk, words)[seq].store(4, Ordering::Relaxed);
}

/// A value that means 1, with another tag than the others.
const REAL: f64 = 2.5;

fn real(key: i64) -> Image {
    Image::encode([ValueRef::Integer(key), ValueRef::Real(REAL)].into_iter())
}
