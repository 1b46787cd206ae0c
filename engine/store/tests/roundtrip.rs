//! What goes in comes out: commits, reopening, checkpoint, a full disk, backup, snapshot.
#![allow(missing_docs, reason = "tests")]

mod common;

use std::os::unix::fs::PermissionsExt;

use common::*;
use shmirror_store::{Group, Store, StoreError, StoreOptions, Synchronous};

fn put(table: u32, birth: u64, text: &str) -> Change {
    Change::Put { table, birth, key: birth as i64, text: text.into() }
}

fn checkpoint_all(store: &mut Store) {
    while store.checkpoint_step(3).unwrap() > 0 {}
}

#[test]
fn a_new_store_has_its_files_and_modes() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("a/b");
    let (store, recovered, rows) = open(&dir).unwrap();
    assert!(recovered.new && rows.is_empty());
    assert_eq!((recovered.newest_revision, recovered.next_birth, recovered.generation), (0, 1, 1));
    let mode = |name: &str| std::fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(""), 0o700);
    for name in ["key", "lock", "store.db", "store.db-wal", "store.db-shm"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    store.close().unwrap();
    let left: Vec<String> = contents(&dir).into_keys().collect();
    assert_eq!(left, ["key", "lock", "store.db"]);
    let (_store, again, _) = open(&dir).unwrap();
    assert_eq!((again.instance, again.new, again.generation), (recovered.instance, false, 2));
}

#[test]
fn rows_come_back_whether_checkpointed_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, ..) = open(dir.path()).unwrap();
    let mut model = Model::default();
    model.commit(&mut store, &[vec![Change::Schema(vec![1])]]);
    for i in 0..20 {
        model.put(&mut store, 1, &"x".repeat(i * 300));
    }
    assert_eq!(store.dirty_rows(), 20);
    assert!(store.dirty_bytes() > 0);
    assert!(store.checkpoint_step(7).unwrap() > 0);
    model.commit(
        &mut store,
        &[vec![put(1, 3, "three"), Change::Delete { table: 1, birth: 4, key: 4 }]],
    );
    model.commit(
        &mut store,
        &[vec![put(1, 3, "3")], vec![Change::Delete { table: 1, birth: 19, key: 19 }]],
    );
    drop(store);

    let (mut store, recovered, rows) = open(dir.path()).unwrap();
    model.assert_recovered(&recovered, &rows);
    checkpoint_all(&mut store);
    assert_eq!((store.dirty_rows(), store.dirty_bytes()), (0, 0));
    let figures = store.figures();
    assert_eq!(figures.checkpoint, figures.newest);
    assert_eq!(figures.rows, 18);
    drop(store);
    let (_store, recovered, rows) = open(dir.path()).unwrap();
    model.assert_recovered(&recovered, &rows);
}

#[test]
fn commits_before_loading_are_refused_and_bad_groups_always() {
    let dir = tempfile::tempdir().unwrap();
    let mut model = small_store(dir.path());
    let good = model.clone().build(1, &[vec![put(1, 1, "new")]]);
    let (mut store, _) = Store::open(dir.path(), StoreOptions::default()).unwrap();
    assert!(matches!(store.commit(&good.group()), Err(StoreError::NotRecovered)));
    assert!(matches!(store.checkpoint_step(1), Err(StoreError::NotRecovered)));
    assert!(matches!(store.trim_step(), Err(StoreError::NotRecovered)));
    assert!(matches!(store.reader(), Err(StoreError::NotRecovered)));
    store.load_rows(|_| Ok::<(), StoreError>(())).unwrap();

    let group = good.group();
    let elided = {
        let mut words = good.records.clone();
        words[0] |= 1 << 56; // flags
        words
    };
    let bad: Vec<(&str, Group<'_>)> = vec![
        ("begins later", Group { first_revision: group.first_revision + 1, ..group }),
        ("ends before", Group { last_revision: group.first_revision - 1, ..group }),
        ("ends late", Group { last_revision: group.last_revision + 1, ..group }),
        ("no records", Group { records: &[], ..group }),
        ("cut record", Group { records: &good.records[..good.records.len() - 1], ..group }),
        ("birth counter back", Group { next_birth: 1, ..group }),
        ("elided", Group { records: &elided, ..group }),
        ("sequences twice", Group { sequences: Some(&[(2, 1), (2, 3)]), ..group }),
    ];
    for (name, group) in bad {
        let refused = store.commit(&group);
        assert!(matches!(refused, Err(StoreError::BadGroup { .. })), "{name}: {refused:?}");
    }
    store.commit(&group).unwrap();
    model.build(1, &[vec![put(1, 1, "new")]]);
    drop(store);
    let (_store, recovered, rows) = open(dir.path()).unwrap();
    model.assert_recovered(&recovered, &rows);
}

#[test]
fn rows_of_a_dropped_table_go() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, ..) = open(dir.path()).unwrap();
    let mut model = Model::default();
    model.commit(&mut store, &[vec![Change::Schema(vec![1, 2])]]);
    for i in 0..10 {
        model.put(&mut store, 1 + i % 2, "text");
    }
    checkpoint_all(&mut store);
    model.put(&mut store, 2, "not checkpointed when its table goes");
    model.commit(&mut store, &[vec![Change::Schema(vec![1])]]);
    let crashed = crash_copy(dir.path());
    checkpoint_all(&mut store);
    assert_eq!(store.figures().rows, 5);
    drop(store);
    for dir in [dir.path(), crashed.path()] {
        let (mut store, recovered, rows) = open(dir).unwrap();
        model.assert_recovered(&recovered, &rows);
        checkpoint_all(&mut store);
        assert_eq!(store.figures().rows, 5, "swept after a crash too");
    }
}

#[test]
fn a_full_disk_is_an_error_that_passes() {
    let dir = tempfile::tempdir().unwrap();
    for synchronous in [Synchronous::Full, Synchronous::Normal] {
        let dir = dir.path().join(format!("{synchronous:?}"));
        let options = StoreOptions { synchronous, ..StoreOptions::default() };
        let (mut store, ..) = open_with(&dir, options).unwrap();
        let mut model = Model::default();
        model.commit(&mut store, &[vec![Change::Schema(vec![1])]]);
        model.put(&mut store, 1, "before");
        let pages = store.limit_pages(1).unwrap(); // SQLite takes the present size then
        let before = model.clone();
        let birth = model.next_birth;
        let built = model.build(1, &[vec![put(1, birth, &"x".repeat(100_000))]]);
        for _ in 0..3 {
            match store.commit(&built.group()) {
                Err(StoreError::DiskFull { file, .. }) => assert!(file.ends_with("store.db")),
                other => panic!("{other:?}"),
            }
            assert_eq!(store.figures().newest, before.newest);
        }
        assert_eq!(store.reader().unwrap().span().unwrap().1, before.newest);
        let crashed = crash_copy(&dir);
        let (_store, recovered, rows) = open(crashed.path()).unwrap();
        before.assert_recovered(&recovered, &rows);

        // The checkpoint fails alike, and begins anew.
        store.limit_pages(pages + 1_000).unwrap();
        store.commit(&built.group()).unwrap();
        let full = store.limit_pages(1).unwrap();
        let refused = store.checkpoint_step(100);
        assert!(matches!(refused, Err(StoreError::DiskFull { .. })), "{refused:?}");
        store.limit_pages(full + 1_000).unwrap();
        checkpoint_all(&mut store);
        assert_eq!(store.figures().rows, 2);
        drop(store);
        let (_store, recovered, rows) = open(&dir).unwrap();
        model.assert_recovered(&recovered, &rows);
    }
}

#[test]
fn a_backup_is_one_file_that_a_store_starts_from() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, first, _) = open(dir.path()).unwrap();
    let mut model = Model::default();
    model.commit(&mut store, &[vec![Change::Schema(vec![1])]]);
    for _ in 0..50 {
        model.put(&mut store, 1, &"y".repeat(2_000));
    }
    store.checkpoint_step(10).unwrap();
    let away = tempfile::tempdir().unwrap();
    let path = away.path().join("copy.db");
    let mut reader = store.reader().unwrap();
    // Pinned: what is committed afterwards is not in the copy.
    assert_eq!(reader.pin().unwrap(), model.newest);
    let then = model.clone();
    for _ in 0..20 {
        model.put(&mut store, 1, "later");
    }
    let report = reader.backup_to(&path).unwrap();
    reader.unpin().unwrap();
    assert_eq!(report.revision, then.newest);
    assert_eq!(report.bytes, std::fs::metadata(&path).unwrap().len());
    let names: Vec<String> = contents(away.path()).into_keys().collect();
    assert_eq!(names, ["copy.db"]);
    assert!(matches!(reader.backup_to(&path), Err(StoreError::Exists { .. })));
    assert!(matches!(
        reader.backup_to(&away.path().join("no/such/dir.db")),
        Err(StoreError::Io { .. })
    ));

    std::fs::rename(&path, away.path().join("store.db")).unwrap();
    std::fs::copy(dir.path().join("key"), away.path().join("key")).unwrap();
    let (_copy, recovered, rows) = open(away.path()).unwrap();
    assert_eq!(recovered.instance, first.instance);
    then.assert_recovered(&recovered, &rows);
}

#[test]
fn a_snapshot_is_of_one_moment_and_a_sound_store_has_no_faults() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, ..) = open(dir.path()).unwrap();
    let mut model = Model::default();
    model.commit(&mut store, &[vec![Change::Schema(vec![1, 2])]]);
    for i in 0..30 {
        model.put(&mut store, 1 + i % 2, "text");
    }
    store.checkpoint_step(12).unwrap();
    model
        .commit(&mut store, &[vec![Change::Delete { table: 1, birth: 1, key: 1 }, put(2, 2, "2")]]);
    let mut reader = store.reader().unwrap();
    assert_eq!(reader.pin().unwrap(), model.newest);
    let then = model.clone();
    model.put(&mut store, 1, "later");
    checkpoint_all(&mut store);

    let (report, rows) = snapshot(&mut reader);
    assert_eq!((report.revision, report.fault_count), (then.newest, 0), "{:?}", report.faults);
    assert_eq!((report.groups, report.rows), (32, 29));
    assert_eq!(rows, then.rows);
    reader.unpin().unwrap();
    let (report, rows) = snapshot(&mut reader);
    assert_eq!((report.revision, report.fault_count), (model.newest, 0));
    assert_eq!(report.sealed_rows, 30);
    assert_eq!(rows, model.rows);
}

#[test]
fn the_longest_value_passes_through_every_stage() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, ..) = open(dir.path()).unwrap();
    let mut model = Model::default();
    model.commit(&mut store, &[vec![Change::Schema(vec![1])]]);
    model.put(&mut store, 1, &"w".repeat(shmirror_shm::limits::VALUE_BYTES));
    model.put(&mut store, 1, "");
    drop(store);
    let (mut store, recovered, rows) = open(dir.path()).unwrap();
    model.assert_recovered(&recovered, &rows);
    checkpoint_all(&mut store);
    drop(store);
    let (store, recovered, rows) = open(dir.path()).unwrap();
    model.assert_recovered(&recovered, &rows);
    let mut words = Vec::new();
    store.reader().unwrap().history(2, &[], None, 1, &mut words).unwrap();
    assert!(words == model.log[1].1, "one transaction, however long");
}

fn snapshot(reader: &mut shmirror_store::LogReader) -> (shmirror_store::Snapshot, Rows) {
    let mut rows = Rows::new();
    let report = reader.snapshot(|row| {
        let values = row.image.to_values().unwrap();
        rows.insert(row.birth, (row.table, row.revision, values));
    });
    (report.unwrap(), rows)
}

#[test]
fn sequences_come_back_with_and_without_a_revision() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, recovered, _) = open(dir.path()).unwrap();
    assert!(recovered.sequences.is_empty());
    let mut model = Model::default();
    model.commit(&mut store, &[vec![Change::Schema(vec![1, 2])]]);
    let built = model.build(1, &[vec![put(1, 1, "one")]]);
    let group = Group { sequences: Some(&[(1, 7), (2, i64::MAX)]), ..built.group() };
    store.commit(&group).unwrap();
    // A group that says nothing of them leaves them; so does a checkpoint.
    model.put(&mut store, 1, "two");
    checkpoint_all(&mut store);
    drop(store);

    let (mut store, recovered, _) = open(dir.path()).unwrap();
    assert_eq!(recovered.sequences, [(1, 7), (2, i64::MAX)]);
    let newest = recovered.newest_revision;
    assert!(store.keep_sequences(&[(2, 1), (1, 1)]).is_err());
    store.keep_sequences(&[(1, 9)]).unwrap();
    assert_eq!(store.sequences(), [(1, 9)]);
    let mut reader = store.reader().unwrap();
    let copy = dir.path().join("copy");
    reader.backup_to(&copy).unwrap();
    let seen = reader.snapshot(|_| ()).unwrap();
    assert_eq!((seen.fault_count, &seen.sequences[..]), (0, &[(1, 9)][..]));
    drop((reader, store)); // not closed: as after kill -9

    let (_store, recovered, rows) = open(dir.path()).unwrap();
    assert_eq!((recovered.newest_revision, &recovered.sequences[..]), (newest, &[(1, 9)][..]));
    model.assert_recovered(&recovered, &rows);

    let restored = tempfile::tempdir().unwrap();
    std::fs::copy(&copy, restored.path().join("store.db")).unwrap();
    std::fs::copy(dir.path().join("key"), restored.path().join("key")).unwrap();
    let (_store, recovered, _) = open(restored.path()).unwrap();
    assert_eq!(recovered.sequences, [(1, 9)]);
}
