//! What the segment's tests share: table definitions, images and readers over a read-only mapping.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::sync::Arc;

use shmirror_shm::Region;
use shmirror_shm::catalogue::{
    Affinity, Catalogue, Collation, ColumnDef, Generated, KeyKind, TableDef,
};
use shmirror_shm::image::Image;
use shmirror_shm::key::{Key, KeyPart};
use shmirror_shm::snapshot::{RowChange, Segment, SegmentWriter, TableView};
use shmirror_shm::value::{Value, ValueRef};

pub fn column(id: u32, affinity: Affinity, key_position: u16) -> ColumnDef {
    ColumnDef {
        id,
        name: format!("c{id}"),
        decl_type: String::new(),
        affinity,
        not_null: false,
        default_sql: None,
        key_position,
        generated: Generated::No,
        hidden: false,
        collation: Collation::Binary,
    }
}

/// A table of these columns, the first `keys` of which are its key.
pub fn table(id: u32, shape: u32, columns: &[Affinity], keys: u16) -> TableDef {
    let kind = if keys == 1 && columns[0] == Affinity::Integer {
        KeyKind::Integer
    } else {
        KeyKind::Columns
    };
    TableDef {
        id,
        namespace: "main".to_owned(),
        name: format!("t{id}"),
        shape,
        sql: String::new(),
        key: kind,
        key_columns: (0..keys).collect(),
        columns: columns
            .iter()
            .zip(0u16..)
            .map(|(a, i)| column(u32::from(i), *a, if i < keys { i + 1 } else { 0 }))
            .collect(),
        without_rowid: false,
        strict: false,
        past_shapes: Vec::new(),
    }
}

pub fn image(values: &[Value]) -> Image {
    Image::encode(values.iter().map(Value::as_ref))
}

pub fn parts(def: &TableDef) -> Vec<KeyPart> {
    def.key_columns.iter().map(|&i| KeyPart::of(i.into(), &def.columns[usize::from(i)])).collect()
}

pub fn key(def: &TableDef, values: &[Value]) -> Key {
    let values: Vec<ValueRef<'_>> =
        def.key_columns.iter().map(|&i| values[usize::from(i)].as_ref()).collect();
    Key::new(&parts(def), &values).unwrap()
}

pub fn put(def: &TableDef, values: &[Value], birth: u64, revision: u64) -> RowChange {
    RowChange {
        table: def.id,
        shape: def.shape,
        key: key(def, values),
        birth,
        revision,
        image: Some(image(values)),
    }
}

pub fn delete(def: &TableDef, key: Key, revision: u64) -> RowChange {
    RowChange { table: def.id, shape: def.shape, key, birth: 0, revision, image: None }
}

pub fn publish(writer: &mut SegmentWriter, changes: Vec<RowChange>, revision: u64) {
    let prepared = writer.prepare(changes).unwrap();
    writer.publish(prepared, revision);
}

pub fn catalogue(tables: &[&TableDef], schema_version: u64) -> Catalogue {
    Catalogue {
        schema_version,
        next_table_id: 100,
        tables: tables.iter().map(|t| (*t).clone()).collect(),
        objects: Vec::new(),
        ..Catalogue::default()
    }
}

pub fn publish_catalogue(writer: &mut SegmentWriter, tables: &[&TableDef], revision: u64) {
    let version = revision + 1;
    let prepared = writer.prepare_catalogue(&catalogue(tables, version)).unwrap();
    writer.publish_catalogue(prepared, revision);
}

/// The segment as another process would map it.
pub fn open(writer: &SegmentWriter) -> Arc<Segment> {
    let descriptor = writer.region().read_only_descriptor().unwrap();
    let region = Region::map_read_only(descriptor, writer.region().len()).unwrap();
    Segment::open(Arc::new(region)).unwrap()
}

/// A view of the table of this id, as the published catalogue has it.
pub fn view(segment: &Arc<Segment>, id: u32) -> TableView {
    let found = segment.catalogue().unwrap();
    let def = found.catalogue.table_by_id(id).unwrap();
    TableView::new(segment.clone(), def, found.place(id).unwrap()).unwrap()
}
