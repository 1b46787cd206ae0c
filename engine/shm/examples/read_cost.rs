//! What reads cost, and what a million rows take: `cargo run --release -p shmirror-shm --example
//! read_cost`. Not a test: it prints, and judges nothing.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use shmirror_shm::Region;
use shmirror_shm::catalogue::{
    Affinity, Catalogue, Collation, ColumnDef, Generated, KeyKind, TableDef,
};
use shmirror_shm::image::Image;
use shmirror_shm::key::Key;
use shmirror_shm::snapshot::{RowBuf, RowChange, ScanBuf, Segment, SegmentWriter, TableView};
use shmirror_shm::value::ValueRef;

fn column(id: u32, affinity: Affinity) -> ColumnDef {
    ColumnDef {
        id,
        name: format!("c{id}"),
        decl_type: String::new(),
        affinity,
        not_null: false,
        default_sql: None,
        key_position: u16::from(id == 0),
        generated: Generated::No,
        hidden: false,
        collation: Collation::Binary,
    }
}

fn table(id: u32, columns: &[Affinity]) -> TableDef {
    TableDef {
        id,
        namespace: "main".to_owned(),
        name: format!("t{id}"),
        shape: 1,
        sql: String::new(),
        key: KeyKind::Integer,
        key_columns: vec![0],
        columns: columns.iter().zip(0..).map(|(a, id)| column(id, *a)).collect(),
        without_rowid: false,
        strict: false,
        past_shapes: Vec::new(),
    }
}

fn load(
    writer: &mut SegmentWriter,
    table: u32,
    keys: core::ops::Range<i64>,
    image: impl Fn(i64) -> Image,
) -> Result<(), Box<dyn Error>> {
    for start in keys.clone().step_by(10_000) {
        let changes = (start..(start + 10_000).min(keys.end)).map(|key| RowChange {
            table,
            shape: 1,
            key: Key::Int(key),
            birth: key as u64 + 1,
            revision: 1,
            image: Some(image(key)),
        });
        let prepared = writer.prepare(changes.collect())?;
        writer.publish(prepared, 1);
    }
    Ok(())
}

fn view(writer: &mut SegmentWriter, def: &TableDef) -> Result<TableView, Box<dyn Error>> {
    let catalogue =
        Catalogue { schema_version: 1, tables: vec![def.clone()], ..Catalogue::default() };
    let prepared = writer.prepare_catalogue(&catalogue)?;
    writer.publish_catalogue(prepared, writer.revision());
    let descriptor = writer.region().read_only_descriptor()?;
    let region = Region::map_read_only(descriptor, writer.region().len())?;
    let segment = Segment::open(Arc::new(region))?;
    let place = segment.catalogue()?.place(def.id).ok_or("no place")?;
    Ok(TableView::new(segment, def, place)?)
}

/// The least of several rounds: other work on the machine only ever adds.
fn ns(rounds: usize, each: usize, mut f: impl FnMut()) -> f64 {
    (0..rounds)
        .map(|_| {
            let start = Instant::now();
            f();
            start.elapsed().as_nanos() as f64 / each as f64
        })
        .fold(f64::INFINITY, f64::min)
}

fn shuffled(rows: i64) -> Vec<i64> {
    let mut keys: Vec<i64> = (0..rows).collect();
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    for i in (1..keys.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        keys.swap(i, (state >> 33) as usize % (i + 1));
    }
    keys
}

fn small_rows() -> Result<(), Box<dyn Error>> {
    const ROWS: i64 = 10_000;
    let def = table(1, &[Affinity::Integer; 8]);
    let mut writer = SegmentWriter::create([7; 16], 1, 1 << 30)?;
    writer.create_table(&def, ROWS as usize)?;
    let image = |key: i64| {
        Image::encode((0..8).map(|c: i32| ValueRef::Integer(key + (i64::from(c) << 40))))
    };
    load(&mut writer, 1, 0..ROWS, image)?;
    let view = view(&mut writer, &def)?;
    let keys = shuffled(ROWS);
    let mut row = RowBuf::new();

    let independent = ns(40, keys.len(), || {
        for &key in &keys {
            assert_eq!(view.get_int(key, &mut row), Ok(true));
            black_box(row.image().words());
        }
    });
    // The next key depends on the row before, so that no two reads overlap.
    let dependent = ns(40, keys.len(), || {
        let mut at = 0usize;
        for _ in 0..keys.len() {
            assert_eq!(view.get_int(keys[at], &mut row), Ok(true));
            at = (row.image().words()[1] as usize + 1) % keys.len();
        }
    });
    let missing = ns(10, keys.len(), || {
        for &key in &keys {
            assert_eq!(view.get_int(key + ROWS, &mut row), Ok(false));
        }
    });
    println!("get of 64 bytes out of {ROWS} rows: {independent:.1} ns, chained {dependent:.1} ns");
    println!("get of a key that is not there:    {missing:.1} ns");

    // Half of the rows have their newest version in the other buffer.
    let changes = keys[..keys.len() / 2].iter().map(|&key| RowChange {
        table: 1,
        shape: 1,
        key: Key::Int(key),
        birth: key as u64 + 1,
        revision: 2,
        image: Some(image(key)),
    });
    let prepared = writer.prepare(changes.collect())?;
    writer.publish(prepared, 2);
    let mixed = ns(40, keys.len(), || {
        for &key in &keys {
            assert_eq!(view.get_int(key, &mut row), Ok(true));
            black_box(row.image().words());
        }
    });
    println!("get with half of the rows updated: {mixed:.1} ns");

    let site = view.locate(&Key::Int(77))?.ok_or("no row 77")?;
    let cell = ns(20, 1_000_000, || {
        for _ in 0..1_000_000 {
            assert_eq!(black_box(&site).load(&view, 3).map(|v| v.bits), Ok(77 + (3 << 40)));
        }
    });
    println!("cell of 8 bytes:                   {cell:.1} ns");

    let mut scan = ScanBuf::new();
    let each = ns(20, ROWS as usize, || {
        assert_eq!(view.scan_into(&mut scan), Ok(2));
        assert_eq!(scan.len(), ROWS as usize);
    });
    println!("scan, a row:                       {each:.1} ns");
    Ok(())
}

fn a_million_rows() -> Result<(), Box<dyn Error>> {
    use Affinity::{Integer, Real, Text};
    const ROWS: i64 = 1_000_000;
    let def = table(2, &[Integer, Integer, Real, Text, Text]);
    let text = "The quick brown fox jumps over the lazy dog, and then over the fence again";
    let image = |key: i64| {
        Image::encode(
            [
                ValueRef::Integer(key),
                ValueRef::Integer(key * 3),
                ValueRef::Real(key as f64),
                ValueRef::Text(&text[..25]),
                ValueRef::Text(&text[..50]),
            ]
            .into_iter(),
        )
    };
    let raw = (ROWS * (3 * 8 + 75)) as f64;
    for (what, expected) in [("size not known", 0), ("size known", ROWS as usize)] {
        let mut writer = SegmentWriter::create([7; 16], 1, 4 << 30)?;
        writer.create_table(&def, expected)?;
        let start = Instant::now();
        load(&mut writer, 2, 0..ROWS, image)?;
        let seconds = start.elapsed().as_secs_f64();
        let ratio = |bytes: u64| bytes as f64 / raw;
        println!(
            "{ROWS} rows of {} bytes, {what}: {:.2}x used, {:.2}x populated, {:.0} rows/s",
            raw as i64 / ROWS,
            ratio(writer.used_bytes()),
            ratio(writer.populated_bytes()),
            ROWS as f64 / seconds,
        );
        let view = view(&mut writer, &def)?;
        let keys = &shuffled(ROWS)[..200_000];
        let mut row = RowBuf::new();
        let get = ns(5, keys.len(), || {
            for &key in keys {
                assert_eq!(view.get_int(key, &mut row), Ok(true));
            }
        });
        println!("  get out of {ROWS} rows with text: {get:.1} ns");
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    small_rows()?;
    a_million_rows()
}
