//! Parts of two namespaces with a table each: memory is taken in all or in none, and readers who look in
//! the order that the module's opening draws find what it says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use shmirror_shm::catalogue::{Affinity, Collation, ColumnDef, Generated, KeyKind};
use shmirror_shm::image::Image;
use shmirror_shm::record::{Operation, RecordHeader, RecordRef, RowRecord};
use shmirror_shm::value::ValueRef;

use super::*;

const MAIN_TABLE: u32 = 1;
const PLANT_TABLE: u32 = 2;
const PLANT: u16 = 7;

fn column(id: u32, key_position: u16) -> ColumnDef {
    ColumnDef {
        id,
        name: format!("c{id}"),
        decl_type: String::new(),
        affinity: Affinity::Integer,
        not_null: false,
        default_sql: None,
        key_position,
        generated: Generated::No,
        hidden: false,
        collation: Collation::Binary,
    }
}

fn table(id: u32, namespace: &str) -> TableDef {
    TableDef {
        id,
        namespace: namespace.to_owned(),
        name: "t".to_owned(),
        shape: 1,
        sql: String::new(),
        key: KeyKind::Integer,
        key_columns: vec![0],
        columns: vec![column(0, 1), column(1, 0)],
        without_rowid: false,
        strict: false,
        past_shapes: Vec::new(),
    }
}

fn catalogue(schema_version: u64) -> Catalogue {
    let namespace = shmirror_shm::catalogue::Namespace { id: PLANT, name: "plant".to_owned() };
    Catalogue {
        schema_version,
        namespaces: vec![namespace],
        tables: vec![table(MAIN_TABLE, "main"), table(PLANT_TABLE, "plant")],
        ..Catalogue::default()
    }
}

fn delta(catalogue: Catalogue, created: &[u32], parts: &[u16]) -> SchemaDelta {
    SchemaDelta {
        catalogue: Arc::new(catalogue),
        parts: parts.to_vec(),
        created: created.to_vec(),
        reshaped: vec![],
        dropped: vec![],
    }
}

fn change(table: u32, id: i64, bytes: usize, revision: u64) -> RowChange {
    let values = [ValueRef::Integer(id), ValueRef::Blob(&vec![7; bytes])];
    RowChange {
        table,
        shape: 1,
        key: Key::Int(id),
        birth: id as u64,
        revision,
        image: Some(Image::encode(values.into_iter())),
    }
}

/// Main with 64 MiB, plant with 1 MiB, and a table in each at revision 1.
fn two() -> Segments {
    let mut segments = Segments::default();
    for (id, name, reserve) in [(PLANT, "plant", 1 << 20), (0, "main", 64 << 20)] {
        let segment = SegmentWriter::create([1; 16], 1, reserve).unwrap();
        segments.add(Part::new((id, name), segment, 0, 0).unwrap());
    }
    let schema = delta(catalogue(1), &[MAIN_TABLE, PLANT_TABLE], &[0, PLANT]);
    segments.learn(&schema.catalogue);
    let none = segments.sort(vec![]).unwrap();
    let Ok(reserved) = segments.take(none, Some(&schema)) else { panic!("no memory") };
    segments.publish(reserved, Some(&schema.catalogue), 1);
    segments
}

fn take(segments: &mut Segments, changes: Vec<RowChange>) -> Result<Reserved, Short> {
    let sorted = segments.sort(changes).unwrap();
    segments.take(sorted, None)
}

fn reader(segments: &Segments, namespace: u16) -> Arc<Segment> {
    segments.part(namespace).unwrap().descriptors().unwrap().segment
}

#[test]
fn memory_is_taken_in_all_parts_or_in_none() {
    let mut segments = two();
    let used = |segments: &Segments| -> Vec<u64> {
        segments.parts().iter().map(|part| part.segment.used_bytes()).collect()
    };
    // What was used once is not given back to the rest of the segment, but used again.
    let first = take(&mut segments, vec![change(MAIN_TABLE, 1, 100_000, 2)]);
    segments.give_back(first.ok().unwrap());
    let before = used(&segments);
    let far_too_much = 2 << 20;
    let changes = vec![change(MAIN_TABLE, 1, 100_000, 2), change(PLANT_TABLE, 1, far_too_much, 2)];
    for _ in 0..50 {
        let Err(Short { namespace, error }) = take(&mut segments, changes.clone()) else {
            panic!("there is no room for it")
        };
        assert_eq!(namespace, PLANT);
        assert!(matches!(error, SegmentError::Full { .. }), "{error}");
    }
    assert_eq!(used(&segments)[0], before[0]);
    assert!(segments.find(MAIN_TABLE, &Key::Int(1)).is_none());
    // The next is taken and published as if nothing had been.
    let changes = vec![change(MAIN_TABLE, 1, 100, 2), change(PLANT_TABLE, 2, 100, 2)];
    let reserved = take(&mut segments, changes).ok().unwrap();
    segments.publish(reserved, None, 2);
    assert_eq!((segments.rows(MAIN_TABLE), segments.rows(PLANT_TABLE)), (1, 1));
    assert_eq!(segments.find(PLANT_TABLE, &Key::Int(2)).unwrap().revision, 2);
    assert!(segments.find(PLANT_TABLE, &Key::Int(1)).is_none());
    assert!(segments.parts().iter().all(|part| part.segment.revision() == 2));
}

#[test]
fn storage_of_a_schema_that_does_not_come_is_given_back() {
    let mut segments = two();
    let with = |namespace: &str| {
        let mut next = catalogue(2);
        next.tables.push(TableDef { name: "u".to_owned(), ..table(3, namespace) });
        next
    };
    for (namespace, id) in [("plant", PLANT), ("main", 0)] {
        // The same id, for a table in another namespace: the first did not come to be.
        let schema = delta(with(namespace), &[3], &[id]);
        segments.learn(&schema.catalogue);
        let rows = segments.sort(vec![change(3, 1, 8, 2)]).unwrap();
        let reserved = segments.take(rows, Some(&schema)).ok().unwrap();
        if namespace == "plant" {
            segments.give_back(reserved);
            assert!(segments.part(PLANT).unwrap().segment.find(3, &Key::Int(1)).is_none());
            assert_eq!(segments.part(PLANT).unwrap().segment.slot_bytes(3), 0);
        } else {
            segments.publish(reserved, Some(&schema.catalogue), 2);
        }
    }
    assert_eq!((segments.namespace_of(3), segments.rows(3)), (Some(0), 1));
    // The catalogue of the part that did not change stays as it was.
    let versions = [0, PLANT].map(|id| reader(&segments, id).schema_version());
    assert_eq!(versions, [2, 1]);
    let listed = |id: u16| -> Vec<u32> {
        let found = reader(&segments, id).catalogue().unwrap().catalogue;
        found.tables.iter().map(|t| t.id).collect()
    };
    assert_eq!((listed(0), listed(PLANT)), (vec![MAIN_TABLE, 3], vec![PLANT_TABLE]));
    // What a catalogue no more lists is forgotten.
    let schema = delta(catalogue(3), &[], &[0]);
    let none = segments.sort(vec![]).unwrap();
    let reserved = segments.take(none, Some(&schema)).ok().unwrap();
    segments.publish(reserved, Some(&schema.catalogue), 3);
    assert_eq!((segments.namespace_of(3), segments.rows(3)), (None, 0));
    assert!(segments.sort(vec![change(3, 1, 8, 4)]).is_err());
}

/// Records of `revision`, one in each of these namespaces.
fn group(revision: u64, namespaces: &[u16]) -> (Vec<u64>, Vec<(u16, u32)>) {
    let key = Image::encode([ValueRef::Integer(1)].into_iter());
    let (mut out, mut touched) = (Vec::new(), Vec::new());
    for &namespace in namespaces {
        let table = if namespace == 0 { MAIN_TABLE } else { PLANT_TABLE };
        RowRecord {
            operation: Operation::Delete,
            table: (table, 1),
            birth: 1,
            revision,
            origin: RecordHeader { namespace, ..RecordHeader::default() },
            changed: &[0],
            key: key.as_ref(),
            row: None,
            columns: 2,
        }
        .encode(&mut out);
        touched.push((namespace, table));
    }
    (out, touched)
}

#[test]
fn the_revision_of_main_is_there_in_all_others_and_a_record_is_ahead_of_nothing() {
    const REVISIONS: u64 = 30_000;
    let mut segments = two();
    let [main, plant] = [0, PLANT].map(|id| reader(&segments, id));
    let lane = |id: u16| {
        let found = segments.part(id).unwrap().descriptors().unwrap();
        let memory = found.events_fd.try_clone().unwrap();
        let memory = Region::map_read_only(memory, found.events_bytes).unwrap();
        EventsReader::open(Arc::new(memory)).unwrap()
    };
    let (main_lane, plant_lane) = (lane(0), lane(PLANT));
    let (started, ended) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut looks = 0u64;
            while !ended.load(Ordering::Acquire) {
                let of_main = main.revision();
                let of_plant = plant.revision();
                assert!(of_main <= of_plant, "main is at {of_main}, plant at {of_plant}");
                // Every group has a record in plant's lane alone.
                let of_plant = plant_lane.newest_revision();
                let of_main = main_lane.newest_revision();
                assert!(of_plant <= of_main, "plant's lane is at {of_plant}, main's at {of_main}");
                looks += 1;
                started.store(true, Ordering::Release);
            }
            looks
        });
        let since = Instant::now();
        while !started.load(Ordering::Acquire) {
            assert!(since.elapsed().as_secs() < 20 && !looking.is_finished());
            std::thread::yield_now();
        }
        for revision in 2..REVISIONS {
            let changes =
                vec![change(MAIN_TABLE, 1, 0, revision), change(PLANT_TABLE, 1, 0, revision)];
            let reserved = take(&mut segments, changes).ok().unwrap();
            segments.publish(reserved, None, revision);
            let (records, touched) = group(revision, &[PLANT]);
            segments.announce(&records, &touched, revision);
        }
        ended.store(true, Ordering::Release);
        assert!(looking.join().unwrap() > 0);
    });
    assert_eq!((main.revision(), main_lane.newest_revision()), (REVISIONS - 1, REVISIONS - 1));
}

/// The lane of a namespace, as a reader maps it.
fn lane_of(segments: &Segments, id: u16) -> EventsReader {
    let found = segments.part(id).unwrap().descriptors().unwrap();
    let memory = found.events_fd.try_clone().unwrap();
    let memory = Region::map_read_only(memory, found.events_bytes).unwrap();
    EventsReader::open(Arc::new(memory)).unwrap()
}

/// What it tells next: sequence, namespace, revision.
fn told(lane: &mut EventsReader) -> Vec<(u64, u16, u64)> {
    let (mut words, mut found) = (Vec::new(), Vec::new());
    while lane.next(&mut words).unwrap().is_some() {
        let header = *RecordRef::parse(&words).unwrap().header();
        found.push((header.sequence, header.namespace, header.revision));
    }
    found
}

#[test]
fn a_group_that_was_not_committed_is_never_told_of() {
    let mut segments = two();
    let mut lanes = [0, PLANT].map(|id| lane_of(&segments, id));
    let (refused, _) = group(2, &[0, PLANT]);
    segments.write_ahead(&refused);
    assert!(lanes.iter_mut().all(|lane| told(lane).is_empty()));
    segments.take_back();
    for (revision, ahead) in [(2, false), (3, true), (4, true)] {
        let (records, touched) = group(revision, &[PLANT]);
        if ahead {
            segments.write_ahead(&records);
        }
        segments.announce(&records, &touched, revision);
    }
    let [main, plant] = &mut lanes;
    assert_eq!(told(main), []);
    assert_eq!(told(plant), [(1, PLANT, 2), (2, PLANT, 3), (3, PLANT, 4)]);
}

#[test]
fn a_record_goes_into_the_lane_of_its_namespace_alone() {
    let mut segments = two();
    let mut lanes = [0, PLANT].map(|id| lane_of(&segments, id));
    for (revision, namespaces) in [(2, &[0, PLANT][..]), (3, &[PLANT]), (4, &[0])] {
        let (records, touched) = group(revision, namespaces);
        segments.announce(&records, &touched, revision);
    }
    assert!(lanes.iter().all(|lane| lane.newest_revision() == 4));
    let [main, plant] = &mut lanes;
    assert_eq!(told(main), [(1, 0, 2), (2, 0, 4)]);
    assert_eq!(told(plant), [(1, PLANT, 2), (2, PLANT, 3)]);
}
