use super::*;
use crate::image::Image;
use crate::value::ValueRef;

const SHAPE: SlotShape = SlotShape::new(2);
/// The slot stands at word 1, the blocks behind it.
const SLOT: u64 = 8;
const BLOCK: u64 = SLOT + SHAPE.span() as u64 * 8;

struct Row<'a> {
    birth: u64,
    revision: u64,
    text: &'a str,
}

fn memory() -> Vec<AtomicU64> {
    (0..1000).map(|_| AtomicU64::new(0)).collect()
}

fn write(memory: &[AtomicU64], row: Row<'_>, block_offset: u64) {
    let values = [ValueRef::Integer(row.revision as i64), ValueRef::Text(row.text)];
    let image = Image::encode(values.into_iter());
    let image = image.as_ref();
    let words = image.var_words().len();
    crate::words::store_words(memory.words(block_offset, words).unwrap(), image.var_words());
    latch_at(memory, &SHAPE, SLOT).unwrap().write(|v| {
        v[0].store(row.birth, Ordering::Relaxed);
        v[1].store(row.revision, Ordering::Relaxed);
        v[2].store(BlockRef::new(block_offset, image.var_bytes()).0, Ordering::Relaxed);
        crate::words::store_words(&v[3..], image.head());
    });
}

fn delete(memory: &[AtomicU64], birth: u64, revision: u64) {
    latch_at(memory, &SHAPE, SLOT).unwrap().write(|v| {
        v.iter().for_each(|w| w.store(0, Ordering::Relaxed));
        v[0].store(birth, Ordering::Relaxed);
        v[1].store(revision | FLAG_DELETED, Ordering::Relaxed);
    });
}

fn as_of(memory: &[AtomicU64], revision: u64, out: &mut RowBuf) -> AsOf {
    copy_as_of(memory, &SHAPE, SLOT, revision, out).unwrap()
}

fn text(row: &RowBuf) -> String {
    match row.image().get(1).unwrap() {
        ValueRef::Text(t) => t.to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_newest_version_comes_with_its_block() {
    let m = memory();
    let mut row = RowBuf::new();
    assert_eq!(copy_newest(&m[..], &SHAPE, SLOT, &mut row), Ok(Newest::Gone));
    write(&m, Row { birth: 9, revision: 3, text: "short" }, BLOCK);
    write(&m, Row { birth: 9, revision: 4, text: "a much longer text" }, BLOCK + 64);
    assert_eq!(copy_newest(&m[..], &SHAPE, SLOT, &mut row), Ok(Newest::Row));
    assert_eq!((row.birth(), row.revision()), (9, 4));
    assert_eq!(text(&row), "a much longer text");
    delete(&m, 9, 5);
    assert_eq!(copy_newest(&m[..], &SHAPE, SLOT, &mut row), Ok(Newest::Gone));
}

#[test]
fn each_revision_has_its_version_or_is_too_old() {
    let m = memory();
    let mut row = RowBuf::new();
    assert_eq!(as_of(&m, 9, &mut row), AsOf::Gone { newest: 0, is_newest: true });
    write(&m, Row { birth: 1, revision: 10, text: "ten" }, BLOCK);
    assert_eq!(as_of(&m, 9, &mut row), AsOf::Gone { newest: 1, is_newest: false });
    assert_eq!(as_of(&m, 10, &mut row), AsOf::Row { newest: 1, is_newest: true });
    write(&m, Row { birth: 1, revision: 20, text: "twenty" }, BLOCK + 64);
    assert_eq!(as_of(&m, 19, &mut row), AsOf::Row { newest: 2, is_newest: false });
    assert_eq!(text(&row), "ten");
    assert_eq!(as_of(&m, 25, &mut row), AsOf::Row { newest: 2, is_newest: true });
    assert_eq!(as_of(&m, 9, &mut row), AsOf::TooOld);
    delete(&m, 1, 30);
    assert_eq!(as_of(&m, 29, &mut row), AsOf::Row { newest: 3, is_newest: false });
    assert_eq!(as_of(&m, 30, &mut row), AsOf::Gone { newest: 3, is_newest: true });
    // The slot goes to another row.
    write(&m, Row { birth: 2, revision: 40, text: "other" }, BLOCK);
    assert_eq!(as_of(&m, 35, &mut row), AsOf::Gone { newest: 4, is_newest: false });
    assert_eq!(as_of(&m, 29, &mut row), AsOf::TooOld);
    assert_eq!(as_of(&m, 40, &mut row), AsOf::Row { newest: 4, is_newest: true });
    assert_eq!(row.birth(), 2);
}

#[test]
fn a_writer_that_stopped_in_the_middle_leaves_the_published_revision_readable() {
    let m = memory();
    write(&m, Row { birth: 1, revision: 10, text: "ten" }, BLOCK);
    write(&m, Row { birth: 1, revision: 20, text: "twenty" }, BLOCK + 64);
    let seq = &m[1];
    seq.store(2 * 4 + 1, Ordering::Relaxed); // the second is being kept, for a third
    let mut row = RowBuf::new();
    assert_eq!(as_of(&m, 20, &mut row), AsOf::Row { newest: 2, is_newest: true });
    assert_eq!(as_of(&m, 19, &mut row), AsOf::TooOld, "and 20 is published by then");
}

#[test]
fn a_block_outside_of_the_segment_is_not_followed() {
    let m = memory();
    write(&m, Row { birth: 1, revision: 1, text: "text" }, BLOCK);
    let block = &m[2 + VERSION_BLOCK];
    block.store(BlockRef::new(8 * 999, 16).0, Ordering::Relaxed);
    let mut row = RowBuf::new();
    let corrupt = ReadError::Corrupt { what: "block", offset: 8 * 999 };
    assert_eq!(copy_newest(&m[..], &SHAPE, SLOT, &mut row), Err(corrupt));
    row.image(); // whatever happened, the buffer is an image
    let outside = ReadError::Corrupt { what: "slot", offset: 8 * 990 };
    assert_eq!(copy_newest(&m[..], &SHAPE, 8 * 990, &mut row), Err(outside));
}
