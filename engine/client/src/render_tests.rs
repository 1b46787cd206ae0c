//! Records rendered to events: names of their revision, followed tables, changes of the schema.

use shmirror_shm::catalogue::Catalogue;
use shmirror_shm::image::Image;
use shmirror_shm::record::{
    FLAG_LAST, Operation, RecordHeader, RecordRef, RowRecord, encode_schema,
};
use shmirror_shm::value::Value;
use zerocopy::IntoBytes;

use super::Renderer;
use crate::event::{ChangeEvent, Event};
use crate::name::Wanted;
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

fn wanted(namespace: &str, name: &str) -> Wanted {
    Wanted { namespace: namespace.to_owned(), name: name.to_owned() }
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
    let mut renderer = Renderer::new(vec![], [(0, catalogue(1, &[(4, "tag", 2)]))]);
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
    let mut renderer =
        Renderer::new(vec![wanted("main", "A")], [(0, catalogue(3, &[(1, "b", 1)]))]);
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
        let mut renderer = Renderer::new(vec![], [(0, catalogue(9, now))]);
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

#[test]
fn parts_are_of_their_namespace_and_names_are_full() {
    let part = |version, tables: &[(u32, &str, u32)]| {
        let mut part = catalogue(version, tables);
        part.tables.iter_mut().for_each(|t| t.namespace = "plant".to_owned());
        part
    };
    let in_plant = |mut words: Vec<u64>| {
        let mut header = *RecordRef::parse(&words).unwrap().header();
        header.namespace = 3;
        let bytes = header.as_bytes();
        for (word, bytes) in words.iter_mut().zip(bytes.chunks(8)) {
            *word = u64::from_ne_bytes(bytes.try_into().unwrap());
        }
        words
    };
    let parts = [(0, catalogue(4, &[(1, "t", 1)])), (3, part(4, &[(2, "t", 1)]))];
    let mut all = Renderer::new(vec![], parts.clone());
    let mut one = Renderer::new(vec![wanted("Plant", "T")], parts);
    assert_eq!(one.ids(), Some(vec![2]));
    let record = |table| row((table, 1), Operation::Delete, 0, &[Value::from(1), Value::Null]);
    assert_eq!(change(render(&mut all, &record(1))).table, "t");
    assert_eq!(change(render(&mut all, &in_plant(record(2)))).table, "plant.t");
    assert!(render(&mut one, &record(1)).is_none());
    assert!(render(&mut one, &in_plant(record(2))).is_some());
    // What is not in this part was not dropped by it.
    let words = in_plant(schema(&part(5, &[(3, "u", 1)]), 3));
    let Some(Event::Schema(e)) = render(&mut all, &words) else { panic!() };
    assert_eq!((e.created, e.dropped), (vec!["plant.u".to_owned()], vec!["plant.t".to_owned()]));
    assert!(matches!(render(&mut one, &words), Some(Event::Schema(e)) if e.dropped == ["plant.t"]));
    assert_eq!(change(render(&mut all, &record(1))).table, "t");
    let words = schema(&catalogue(6, &[(1, "t", 2)]), 1);
    assert!(matches!(render(&mut all, &words), Some(Event::Schema(e)) if e.changed == ["t"]));
    assert!(render(&mut one, &words).is_none());
}
