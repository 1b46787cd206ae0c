//! Records rendered to events: names of their revision, followed tables, changes of the schema.

use shmirror_shm::catalogue::Catalogue;
use shmirror_shm::image::Image;
use shmirror_shm::record::{
    FLAG_LAST, Operation, RecordHeader, RecordRef, RowRecord, encode_schema,
};
use shmirror_shm::value::Value;

use super::Renderer;
use crate::event::{ChangeEvent, Event};
use crate::schema::tests::table;

fn catalogue(version: u64, tables: &[(u32, &str, u32)]) -> Catalogue {
    let tables: Vec<_> = tables
        .iter()
        .map(|(id, name, shape)| {
            let mut def = table(name, &["id", "v"]);
            (def.id, def.shape) = (*id, *shape);
            if *shape == 1 {
                def.past_shapes.clear();
            }
            def
        })
        .collect();
    Catalogue { schema_version: version, next_table_id: 9, tables, ..Catalogue::default() }
}

fn row(table: (u32, u32), operation: Operation, changed: u64, values: &[Value]) -> Vec<u64> {
    let image = Image::encode(values.iter().map(Value::as_ref));
    let key = Image::encode(values[..1].iter().map(Value::as_ref));
    let mut words = Vec::new();
    RowRecord {
        operation,
        table,
        birth: 3,
        revision: 7,
        origin: RecordHeader { at_us: 5, uid: 1, pid: 2, ..Default::default() },
        changed: &[changed],
        key: key.as_ref(),
        row: (operation != Operation::Delete).then(|| image.as_ref()),
        columns: values.len(),
    }
    .encode(&mut words);
    words
}

fn schema(catalogue: &Catalogue, table: u32) -> Vec<u64> {
    let mut words = Vec::new();
    let origin = RecordHeader { revision: 8, flags: FLAG_LAST, ..Default::default() };
    encode_schema(&catalogue.to_bytes().unwrap(), table, origin, &mut words);
    words
}

fn render(renderer: &mut Renderer, words: &[u64]) -> Option<Event> {
    renderer.render(&RecordRef::parse(words).unwrap()).unwrap()
}

fn change(event: Option<Event>) -> ChangeEvent {
    match event {
        Some(Event::Change(change)) => change,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_row_record_becomes_a_change() {
    let mut renderer = Renderer::new(vec![], catalogue(1, &[(4, "tag", 2)]));
    let values = [Value::from(5), Value::from("x")];
    let e = change(render(&mut renderer, &row((4, 2), Operation::Update, 0b10, &values)));
    assert_eq!((e.table.as_str(), e.key, e.changed), ("tag", vec![5.into()], vec!["v".to_owned()]));
    assert_eq!(e.row.unwrap().get::<&str>("v").unwrap(), "x");
    assert_eq!((e.revision, e.uid, e.pid, e.at_us), (7, 1, 2, 5));
    let e = change(render(&mut renderer, &row((4, 2), Operation::Delete, 0, &values)));
    assert!(e.row.is_none() && e.changed.is_empty());
    // A past shape has its own names; one that nobody knows has none.
    let e = change(render(&mut renderer, &row((4, 1), Operation::Insert, 0b11, &values)));
    assert_eq!(e.changed, ["gone", "was_id"]);
    let e = change(render(&mut renderer, &row((77, 1), Operation::Insert, 0b11, &values)));
    assert_eq!((e.table.as_str(), e.changed[1].as_str()), ("#77", "column2"));
}

#[test]
fn tables_are_followed_by_name_through_creation_and_renaming() {
    let mut renderer = Renderer::new(vec!["A".into()], catalogue(3, &[(1, "b", 1)]));
    assert_eq!(renderer.ids(), None, "it is not there yet");
    let record = |table| row((table, 1), Operation::Delete, 0, &[Value::from(1), Value::Null]);
    assert!(render(&mut renderer, &record(1)).is_none());
    let created = render(&mut renderer, &schema(&catalogue(4, &[(1, "b", 1), (2, "a", 1)]), 2));
    assert!(matches!(created, Some(Event::Schema(e)) if e.created == ["a"]));
    assert_eq!(renderer.ids(), Some(vec![2]));
    assert_eq!(change(render(&mut renderer, &record(2))).table, "a");
    assert!(
        render(&mut renderer, &schema(&catalogue(5, &[(1, "b", 2), (2, "a", 1)]), 1)).is_none()
    );
    render(&mut renderer, &schema(&catalogue(6, &[(1, "b", 2), (2, "c", 1)]), 2));
    assert_eq!(change(render(&mut renderer, &record(2))).table, "c", "followed all the same");
    let dropped = render(&mut renderer, &schema(&catalogue(7, &[(3, "A", 1)]), 0));
    assert!(
        matches!(dropped, Some(Event::Schema(e)) if e.created == ["A"] && e.dropped == ["b", "c"])
    );
    assert_eq!(change(render(&mut renderer, &record(2))).table, "c", "dropped, but told before");
}

#[test]
fn history_from_its_middle_tells_what_can_be_told() {
    let told = |now: &[(u32, &str, u32)], then: &[(u32, &str, u32)], about| {
        let mut renderer = Renderer::new(vec![], catalogue(9, now));
        match render(&mut renderer, &schema(&catalogue(5, then), about)) {
            Some(Event::Schema(e)) => (e.created, e.changed, e.dropped),
            other => panic!("{other:?}"),
        }
    };
    let names = |n: &[&str]| n.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let now = [(1, "a", 2)];
    assert_eq!(told(&now, &[(1, "a", 1)], 1), (names(&["a"]), vec![], vec![]));
    assert_eq!(told(&now, &[(1, "a", 2)], 1), (vec![], names(&["a"]), vec![]));
    assert_eq!(told(&now, &[], 1), (vec![], vec![], names(&["a"])));
    assert_eq!(told(&now, &[], 5), (vec![], vec![], names(&["#5"])));
    assert_eq!(told(&now, &[], 0), (vec![], vec![], vec![]));
}
