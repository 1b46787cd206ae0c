//! The life of a segment, step by step: what readers find after each, and what is refused.

mod rows;

use std::sync::Arc;

use rows::*;
use shmirror_shm::catalogue::Affinity::{Blob, Integer, Real, Text};
use shmirror_shm::catalogue::TableDef;
use shmirror_shm::key::Key;
use shmirror_shm::snapshot::{
    CellError, ReadError, RowBuf, ScanBuf, Segment, SegmentError, SegmentWriter, TableCopy,
    TableView,
};
use shmirror_shm::value::{StorageClass, Value, ValueRef};
use shmirror_shm::{Region, ShmError};

fn values(id: i64, text: &str) -> Vec<Value> {
    vec![id.into(), text.into(), (id as f64 / 2.0).into()]
}

fn three() -> TableDef {
    table(7, 1, &[Integer, Text, Real], 1)
}

fn with_three_rows() -> (SegmentWriter, TableView) {
    let def = three();
    let mut w = SegmentWriter::create([3; 16], 5, 4 << 20).unwrap();
    w.create_table(&def, 0).unwrap();
    let rows = (1..=3).map(|i| put(&def, &values(i, "text"), i as u64 + 10, i as u64));
    publish(&mut w, rows.collect(), 3);
    publish_catalogue(&mut w, &[&def], 3);
    let view = view(&open(&w), 7);
    (w, view)
}

#[test]
fn a_row_is_read_by_key_with_all_its_values() {
    let (w, view) = with_three_rows();
    let mut row = RowBuf::new();
    assert_eq!(view.get_int(2, &mut row), Ok(true));
    assert_eq!((row.birth(), row.revision()), (12, 2));
    assert_eq!(row.image().to_values().unwrap(), values(2, "text"));
    assert_eq!(view.get(&Key::Int(4), &mut row), Ok(false));
    assert_eq!((view.rows(), w.rows(7)), (3, 3));
    let located = w.find(7, &Key::Int(2)).unwrap();
    assert_eq!((located.birth, located.revision), (12, 2));
    assert!(w.read(7, &Key::Int(3), &mut row) && !w.read(7, &Key::Int(9), &mut row));
    assert!(w.find(8, &Key::Int(2)).is_none());
}

#[test]
fn the_header_is_what_was_asked_for() {
    let (mut w, view) = with_three_rows();
    let segment = view.segment();
    assert_eq!((segment.instance(), segment.generation()), ([3; 16], 5));
    assert_eq!((segment.revision(), segment.schema_version()), (3, 4));
    w.set_heartbeat(99);
    assert_eq!(segment.heartbeat(), 99);
    assert_eq!((segment.committed(), w.committed()), (0, 0));
    w.set_committed(77);
    assert_eq!((segment.committed(), w.committed()), (77, 77));
    assert_eq!(segment.populated(), w.populated_bytes());
    assert!(w.used_bytes() <= w.populated_bytes() && w.populated_bytes() <= w.reserve_bytes());
    publish(&mut w, Vec::new(), 8);
    assert_eq!((segment.revision(), segment.is_retired()), (8, false));
}

#[test]
fn an_instance_id_keeps_its_bytes() {
    let id: [u8; 16] = core::array::from_fn(|i| i as u8 * 7 + 1);
    let w = SegmentWriter::create(id, 1, 1 << 20).unwrap();
    assert_eq!(open(&w).instance(), id);
}

#[test]
fn a_cell_follows_its_row_and_says_when_it_is_gone() {
    let (mut w, view) = with_three_rows();
    let def = three();
    let site = view.locate(&Key::Int(2)).unwrap().unwrap();
    assert_eq!(view.locate(&Key::Int(77)), Ok(None));
    let value = |c| site.load(&view, c).map(|v| (v.class, v.bits));
    assert_eq!(value(0), Ok((StorageClass::Integer, 2)));
    assert_eq!(value(2), Ok((StorageClass::Real, 1f64.to_bits())));
    assert_eq!(value(3), Err(CellError::NoColumn { index: 3, columns: 3 }));
    let mut bytes = vec![1, 2, 3];
    site.load_bytes(&view, 1, &mut bytes).unwrap();
    assert_eq!(bytes, b"text");
    let changed = vec![2.into(), "a longer text than before".into(), Value::Null];
    publish(&mut w, vec![put(&def, &changed, 12, 4)], 4);
    assert_eq!(value(2), Ok((StorageClass::Null, 0)));
    site.load_bytes(&view, 1, &mut bytes).unwrap();
    assert_eq!(bytes, b"a longer text than before");
    site.load_bytes(&view, 0, &mut bytes).unwrap();
    assert!(bytes.is_empty(), "an INTEGER has no bytes");
    let mut slice = [7; 25];
    let short = site.load_slice(&view, 1, &mut slice[..24]).unwrap();
    assert_eq!((short.bits >> 32, slice), (25, [7; 25]), "nothing of what does not fit");
    site.load_slice(&view, 1, &mut slice).unwrap();
    assert_eq!(&slice, b"a longer text than before");

    publish(&mut w, vec![delete(&def, Key::Int(2), 5)], 5);
    assert_eq!(value(0), Err(CellError::Deleted));
    // The same key again, in the same slot, is another row.
    publish(&mut w, vec![put(&def, &values(2, "new"), 50, 6)], 6);
    assert_eq!(value(0), Err(CellError::Deleted));
    assert_eq!(site.load_bytes(&view, 1, &mut bytes), Err(CellError::Deleted));
    let again = view.locate(&Key::Int(2)).unwrap().unwrap();
    assert_eq!(again.birth(), 50);
    w.retire();
    assert_eq!(again.load(&view, 0), Err(CellError::Moved));
}

#[test]
fn a_text_cell_may_begin_anywhere_in_the_variable_part() {
    let def = table(1, 1, &[Integer, Blob, Text], 1);
    let mut w = SegmentWriter::create([0; 16], 1, 1 << 20).unwrap();
    w.create_table(&def, 0).unwrap();
    let row = |i: i64| -> Vec<Value> {
        let bytes: Vec<u8> = (0..i as u8).collect();
        vec![i.into(), bytes.into(), "x".repeat(40 - i as usize).into()]
    };
    publish(&mut w, (0..40).map(|i| put(&def, &row(i), i as u64, 1)).collect(), 1);
    publish_catalogue(&mut w, &[&def], 1);
    let view = view(&open(&w), 1);
    let mut bytes = Vec::new();
    for i in 0..40 {
        let site = view.locate(&Key::Int(i)).unwrap().unwrap();
        site.load_bytes(&view, 1, &mut bytes).unwrap();
        let mut slice = [0; 64];
        site.load_slice(&view, 1, &mut slice).unwrap();
        assert_eq!(slice[..bytes.len()], bytes);
        assert_eq!(Value::Blob(bytes.clone()), row(i)[1]);
        site.load_bytes(&view, 2, &mut bytes).unwrap();
        assert_eq!(bytes.len(), 40 - i as usize);
    }
}

#[test]
fn keys_are_found_in_whatever_class_they_are_stored() {
    let def = table(1, 1, &[Real, Integer], 1);
    let words = table(2, 1, &[Text, Integer], 1);
    let pair = table(3, 1, &[Integer, Text, Integer], 2);
    let mut w = SegmentWriter::create([0; 16], 1, 1 << 20).unwrap();
    for t in [&def, &words, &pair] {
        w.create_table(t, 0).unwrap();
    }
    let changes = vec![
        put(&def, &[5.0.into(), 1.into()], 1, 1),
        put(&def, &[5.5.into(), 2.into()], 2, 1),
        put(&words, &["5".into(), 3.into()], 3, 1),
        put(&pair, &[1.into(), "a".into(), 4.into()], 4, 1),
        put(&pair, &[1.into(), "b".into(), 5.into()], 5, 1),
    ];
    publish(&mut w, changes, 1);
    publish_catalogue(&mut w, &[&def, &words, &pair], 1);
    let segment = open(&w);
    let mut row = RowBuf::new();
    let reals = view(&segment, 1);
    assert_eq!(reals.get_int(5, &mut row), Ok(true));
    assert_eq!(row.image().get(1), Ok(ValueRef::Integer(1)));
    let half = Key::new(reals.key_parts(), &[ValueRef::Real(5.5)]).unwrap();
    assert_eq!(reals.get(&half, &mut row), Ok(true));
    assert_eq!(view(&segment, 2).get_int(5, &mut row), Ok(true), "5 becomes '5'");
    let pairs = view(&segment, 3);
    assert_eq!(pairs.get_int(1, &mut row), Err(ReadError::KeyCount { expected: 2 }));
    let b = Key::new(pairs.key_parts(), &[ValueRef::Integer(1), ValueRef::Text("b")]).unwrap();
    assert_eq!(pairs.get(&b, &mut row), Ok(true));
    assert_eq!(row.birth(), 5);
}

#[test]
fn a_dropped_and_a_reshaped_table_send_readers_away() {
    let (mut w, old) = with_three_rows();
    let def = three();
    let site = old.locate(&Key::Int(1)).unwrap().unwrap();
    let used = w.used_bytes();
    let new = table(7, 2, &[Integer, Text], 1);
    w.create_table(&new, 3).unwrap();
    let rows: Vec<Vec<Value>> = (1..=3).map(|i| vec![i.into(), "new".into()]).collect();
    let changes = rows.iter().zip(11..).map(|(r, birth)| put(&new, r, birth, 4)).collect();
    let prepared = w.prepare(changes).unwrap();
    let catalogue = w.prepare_catalogue(&catalogue(&[&new], 9)).unwrap();
    w.publish_all(prepared, Some(catalogue), 4);

    let mut row = RowBuf::new();
    assert_eq!(old.get_int(1, &mut row), Err(ReadError::Moved));
    assert_eq!(old.get(&Key::Int(9), &mut row), Err(ReadError::Moved));
    assert_eq!(old.scan_into(&mut ScanBuf::new()), Err(ReadError::Moved));
    assert_eq!(old.get_many(&[Key::Int(1)], |_, _| ()), Err(ReadError::Moved));
    assert_eq!(site.load(&old, 0), Err(CellError::Moved));
    assert!(old.has_moved());
    let now = view(old.segment(), 7);
    assert_eq!(now.identity(), (7, 2));
    assert_eq!(now.get_int(1, &mut row), Ok(true));
    assert_eq!(row.image().to_values().unwrap(), rows[0]);
    let mut scan = ScanBuf::new();
    assert_eq!(now.scan_as_of(3, &mut scan), Ok(false), "of revision 3 the old shape told");
    assert_eq!(now.scan_as_of(4, &mut scan), Ok(true));
    assert!(matches!(
        w.prepare(vec![put(&def, &values(1, ""), 1, 5)]),
        Err(SegmentError::UnknownTable { table: 7, shape: 1 })
    ));
    publish_catalogue(&mut w, &[], 5);
    assert_eq!(now.get_int(1, &mut row), Err(ReadError::Moved));
    assert!(w.used_bytes() < used, "rows and index of both shapes went back");
    assert_eq!(old.segment().catalogue().unwrap().catalogue.tables, []);
}

#[test]
fn a_catalogue_holds_from_its_revision_on() {
    let (mut w, view) = with_three_rows();
    let segment = view.segment();
    let other = table(8, 1, &[Integer], 1);
    w.create_table(&other, 0).unwrap();
    publish_catalogue(&mut w, &[&three(), &other], 4);
    assert_eq!((segment.schema_version(), segment.catalogue().unwrap().places.len()), (5, 2));
    // As a daemon leaves it that dies before the last store of the publication.
    let revision = w.region().word(64).unwrap();
    revision.store(3, core::sync::atomic::Ordering::Relaxed);
    assert_eq!((segment.schema_version(), segment.catalogue().unwrap().places.len()), (4, 1));
    assert_eq!(view.scan_into(&mut ScanBuf::new()), Ok(3));
    revision.store(2, core::sync::atomic::Ordering::Relaxed);
    assert!(matches!(segment.catalogue(), Err(ReadError::Contended { .. })));
}

#[test]
fn a_spoilt_catalogue_is_refused() {
    let (w, view) = with_three_rows();
    let segment = view.segment();
    let latch = 256;
    let front = w.region().word(latch + 8).unwrap();
    let block = front.load(core::sync::atomic::Ordering::Relaxed);
    let word = w.region().word((block & ((1 << 38) - 1)) * 8 + 64).unwrap();
    let old = word.fetch_xor(1 << 20, core::sync::atomic::Ordering::Relaxed);
    assert!(matches!(segment.catalogue(), Err(ReadError::Corrupt { what: "catalogue", .. })));
    word.store(old, core::sync::atomic::Ordering::Relaxed);
    assert!(segment.catalogue().is_ok());
}

#[test]
fn a_table_undone_before_anybody_saw_it_leaves_the_old_one() {
    let (mut w, old) = with_three_rows();
    w.create_table(&table(7, 2, &[Integer], 1), 100).unwrap();
    assert_eq!(w.rows(7), 0, "the newest storage is asked");
    w.drop_table(7, 2);
    w.drop_table(7, 2);
    assert_eq!(w.rows(7), 3);
    assert_eq!(old.get_int(1, &mut RowBuf::new()), Ok(true));
    let again = w.create_table(&three(), 0);
    assert!(matches!(again, Err(SegmentError::BadTable { table: 7, shape: 1, .. })));
}

#[test]
fn bad_changes_change_nothing() {
    let (mut w, view) = with_three_rows();
    let def = three();
    let used = w.used_bytes();
    let mut wrong = put(&def, &values(8, "x"), 1, 4);
    wrong.image = Some(image(&[8.into()]));
    let good = || put(&def, &values(9, "taken and given back"), 1, 4);
    assert!(matches!(
        w.prepare(vec![good(), wrong]),
        Err(SegmentError::Columns { table: 7, found: 1, expected: 3 })
    ));
    let huge = vec![8.into(), Value::Text("x".repeat(33 << 20)), Value::Null];
    assert!(matches!(
        w.prepare(vec![good(), put(&def, &huge, 1, 4)]),
        Err(SegmentError::TooLarge { table: 7, .. })
    ));
    let mut unknown = good();
    unknown.table = 70;
    assert!(matches!(
        w.prepare(vec![good(), unknown]),
        Err(SegmentError::UnknownTable { table: 70, shape: 1 })
    ));
    let absent = table(90, 1, &[Integer], 1);
    assert!(matches!(
        w.prepare_catalogue(&catalogue(&[&absent], 1)),
        Err(SegmentError::UnknownTable { table: 90, shape: 1 })
    ));
    let mut keyless = table(91, 1, &[Integer], 1);
    keyless.key_columns = vec![4];
    assert!(matches!(w.create_table(&keyless, 0), Err(SegmentError::BadTable { .. })));
    assert_eq!(w.used_bytes(), used);
    assert_eq!(view.get_int(9, &mut RowBuf::new()), Ok(false));
}

#[test]
fn what_is_abandoned_comes_back() {
    let (mut w, view) = with_three_rows();
    let def = three();
    let many = || (100..5000).map(|i| put(&def, &values(i, &"y".repeat(300)), 1, 4)).collect();
    let prepared = w.prepare(many()).unwrap();
    w.abandon(prepared); // slots stay with the table, blocks and the new index go back
    let used = w.used_bytes();
    let prepared = w.prepare(many()).unwrap();
    assert!(w.used_bytes() > used);
    w.abandon(prepared);
    assert_eq!(w.used_bytes(), used);
    let prepared = w.prepare_catalogue(&catalogue(&[&def], 1)).unwrap();
    w.abandon_catalogue(prepared);
    assert_eq!(w.used_bytes(), used);
    let mut scan = ScanBuf::new();
    assert_eq!(view.scan_into(&mut scan), Ok(3));
    assert_eq!(scan.len(), 3, "slots that were taken and given back have no row");
    publish(&mut w, many(), 4);
    assert_eq!(view.scan_into(&mut scan), Ok(4));
    assert_eq!((scan.len(), scan.revision()), (4903, 4));
}

#[test]
fn a_full_reserve_is_an_error_and_room_that_deleted_rows_held_is_found() {
    let def = table(1, 1, &[Integer, Text], 1);
    let mut w = SegmentWriter::create([0; 16], 1, 2 << 20).unwrap();
    w.create_table(&def, 0).unwrap();
    let text = "z".repeat(1000);
    let row = |i: i64| -> Vec<Value> { vec![i.into(), text.as_str().into()] };
    let (mut rows, mut revision) = (0, 0);
    let full = loop {
        revision += 1;
        let batch = (rows..rows + 100).map(|i| put(&def, &row(i), i as u64, revision)).collect();
        match w.prepare(batch) {
            Ok(prepared) => w.publish(prepared, revision),
            Err(error) => break error,
        }
        rows += 100;
    };
    let reserve = w.reserve_bytes();
    assert!(
        matches!(full, SegmentError::Full { needed, reserve: r } if needed > r && r == reserve)
    );
    assert!(rows > 1000, "{rows} rows of 1,000 bytes fit into 2 MiB");
    let gone = (0..rows).map(|i| delete(&def, Key::Int(i), revision)).collect();
    publish(&mut w, gone, revision);
    // Their blocks are still held by the versions before the deletions, until they are needed.
    let batch = (rows..rows + 1000).map(|i| put(&def, &row(i), i as u64, revision + 1)).collect();
    publish(&mut w, batch, revision + 1);
    assert_eq!(w.rows(1), 1000);
}

#[test]
fn updates_of_numbers_share_the_block_and_leak_nothing() {
    let (mut w, view) = with_three_rows();
    let def = three();
    let mut row = RowBuf::new();
    let mut used = 0;
    for revision in 4..200u64 {
        // Four updates of the number, then one of the text.
        let text = format!("text {}", revision / 5);
        let mut now = values(1, &text);
        now[2] = (revision as i64).into();
        publish(&mut w, vec![put(&def, &now, 11, revision)], revision);
        assert_eq!(view.get_int(1, &mut row), Ok(true));
        assert_eq!(row.image().to_values().unwrap(), now);
        if revision == 20 {
            used = w.used_bytes();
        }
    }
    assert!(w.used_bytes() <= used + 64, "{} after {used}", w.used_bytes());
}

#[test]
fn a_next_generation_has_the_same_rows() {
    let (mut w, view) = with_three_rows();
    let other = table(9, 4, &[Text, Integer], 1);
    w.create_table(&other, 0).unwrap();
    let rows = (0..10_000i64).map(|i| put(&other, &[format!("k{i}").into(), i.into()], 7, 4));
    publish(&mut w, rows.collect(), 4);
    publish(&mut w, vec![delete(&three(), Key::Int(1), 5)], 5);
    let mut next = SegmentWriter::create([3; 16], 6, 16 << 20).unwrap();
    w.rebuild_into(&mut next).unwrap();
    publish_catalogue(&mut next, &[&three(), &other], w.revision());
    w.retire();
    let mut row = RowBuf::new();
    assert_eq!(view.get_int(2, &mut row), Err(ReadError::Moved));
    assert!(view.segment().is_retired());
    let segment = open(&next);
    assert_eq!((segment.revision(), segment.generation()), (5, 6));
    let now = rows::view(&segment, 7);
    assert_eq!(now.get_int(1, &mut row), Ok(false));
    assert_eq!(now.get_int(2, &mut row), Ok(true));
    assert_eq!((row.birth(), row.revision()), (12, 2));
    assert_eq!(rows::view(&segment, 9).rows(), 10_000);
    let mut small = SegmentWriter::create([3; 16], 7, 1 << 20).unwrap();
    assert!(matches!(next.rebuild_into(&mut small), Err(SegmentError::Full { .. })));
}

#[test]
fn a_vacated_mapping_says_moved_everywhere() {
    let (w, view) = with_three_rows();
    let site = view.locate(&Key::Int(1)).unwrap().unwrap();
    let segment = view.segment().clone();
    segment.region().vacate();
    let mut row = RowBuf::new();
    assert_eq!(view.get_int(1, &mut row), Err(ReadError::Moved));
    assert_eq!(view.get(&Key::Int(99), &mut row), Err(ReadError::Moved));
    assert_eq!(view.scan_into(&mut ScanBuf::new()), Err(ReadError::Moved));
    assert_eq!(site.load(&view, 0), Err(CellError::Moved));
    assert_eq!(site.load_bytes(&view, 1, &mut Vec::new()), Err(CellError::Moved));
    assert_eq!(segment.catalogue(), Err(ReadError::Moved));
    assert!(segment.is_retired() && segment.revision() == 0 && view.rows() == 0);
    assert_eq!(w.rows(7), 3, "the daemon's own mapping is another");
}

#[test]
fn a_table_copy_has_every_row_and_cut_short_says_so() {
    let (w, _) = with_three_rows();
    let mut bytes = vec![0xEE]; // so that nothing is aligned
    assert_eq!(w.copy_table(7, &mut bytes).unwrap(), 3);
    let bytes = &bytes[1..];
    let mut copy = TableCopy::new(bytes, 3).unwrap();
    let header = *copy.header();
    assert_eq!((header.revision, header.rows, header.table, header.shape), (3, 3, 7, 1));
    let (mut row, mut found) = (RowBuf::new(), Vec::new());
    while copy.next_row(&mut row).unwrap() {
        found.push((row.birth(), row.revision(), row.image().to_values().unwrap()));
    }
    found.sort_by_key(|r| r.0);
    let expected: Vec<_> = (1..=3).map(|i| (i as u64 + 10, i as u64, values(i, "text"))).collect();
    assert_eq!(found, expected);
    for cut in 0..bytes.len() {
        let read = TableCopy::new(&bytes[..cut], 3).and_then(|mut copy| {
            while copy.next_row(&mut row)? {}
            Ok(())
        });
        assert!(read.is_err(), "{cut} bytes of {}", bytes.len());
    }
    let mut lying = bytes.to_vec();
    lying[24 + 16..24 + 24].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(TableCopy::new(&lying, 3).unwrap().next_row(&mut row).is_err());
    assert!(matches!(w.copy_table(70, &mut Vec::new()), Err(SegmentError::UnknownTable { .. })));
}

#[test]
fn what_is_no_segment_is_refused_by_name() {
    let w = SegmentWriter::create([3; 16], 5, 1 << 20).unwrap();
    let copy = |spoil: &[(u64, u64)]| {
        let region = Region::create("spoilt", 1 << 20, true).unwrap();
        for offset in (0..4096).step_by(8) {
            let word = w.region().word(offset).unwrap();
            let value = word.load(core::sync::atomic::Ordering::Relaxed);
            region.word(offset).unwrap().store(value, core::sync::atomic::Ordering::Relaxed);
        }
        for (offset, value) in spoil {
            region.word(*offset).unwrap().store(*value, core::sync::atomic::Ordering::Relaxed);
        }
        Segment::open(Arc::new(region)).map(|_| ())
    };
    assert_eq!(copy(&[]), Ok(()));
    assert!(matches!(copy(&[(0, 1)]), Err(ShmError::BadMagic { found: 1, .. })));
    assert!(matches!(copy(&[(8, 99)]), Err(ShmError::LayoutMismatch { .. })));
    assert!(matches!(copy(&[(16, 99)]), Err(ShmError::LayoutMismatch { found: 99, .. })));
    assert!(matches!(copy(&[(48, 2 << 20)]), Err(ShmError::BadField { field: "reserve", .. })));
    assert!(matches!(copy(&[(200, 2 << 20)]), Err(ShmError::BadField { field: "populated", .. })));
    let short = Region::create("short", 8, true).map(Arc::new).unwrap();
    assert!(Segment::open(short).is_err());
    let huge = SegmentWriter::create([0; 16], 1, 1 << 50);
    assert!(matches!(huge, Err(ShmError::BadField { field: "reserve", .. })));
}

#[test]
fn a_view_is_refused_where_the_header_is_another_table() {
    let (mut w, old) = with_three_rows();
    let other = table(8, 1, &[Integer, Text, Real], 1);
    w.create_table(&other, 0).unwrap();
    publish_catalogue(&mut w, &[&three(), &other], 4);
    let segment = old.segment();
    let found = segment.catalogue().unwrap();
    let at = |id| found.place(id).unwrap();
    let new = |def: &TableDef, place| TableView::new(segment.clone(), def, place).map(|_| ());
    let corrupt = |offset| Err(ReadError::Corrupt { what: "table header", offset });
    assert_eq!(new(&three(), at(7)), Ok(()));
    assert_eq!(new(&other, at(7)), corrupt(at(7)));
    assert_eq!(new(&table(7, 1, &[Integer], 1), at(7)), corrupt(at(7)));
    assert_eq!(new(&three(), 1 << 60), corrupt(1 << 60));
    assert_eq!(new(&three(), 12), corrupt(12));
    w.drop_table(7, 1);
    assert_eq!(new(&three(), at(7)), Err(ReadError::Moved));
}

#[test]
fn tables_come_and_go_for_ever() {
    let mut w = SegmentWriter::create([0; 16], 1, 8 << 20).unwrap();
    let def = |shape| table(1, shape, &[Integer, Text], 1);
    let mut used = 0;
    for shape in 1..300 {
        let def = def(shape);
        w.create_table(&def, 0).unwrap();
        let revision = shape.into();
        let row = |i: i64| put(&def, &[i.into(), "some text".into()], 1, revision);
        publish(&mut w, (0..500).map(row).collect(), revision);
        publish_catalogue(&mut w, &[&def], revision);
        if shape == 10 {
            used = w.used_bytes();
        }
    }
    // A table header each is never used again.
    assert_eq!(w.used_bytes(), used + 289 * 128);
}
