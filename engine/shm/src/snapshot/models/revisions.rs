//! Reads as of one revision: lists of keys and scans, while rows change, come and go.

use super::{beside, delete, prepare, publish, put, segment, values};
use crate::key::Key;
use crate::models::{Seen, explore, seen, weaken_each};
use crate::pillar::Pillar;
use crate::snapshot::{ScanBuf, TableView};

/// The values of rows 1 and 2 as of the revision that is returned with them.
fn list(view: &TableView) -> (u64, Vec<Option<i64>>) {
    let mut out = ScanBuf::new();
    let revision = view.get_many_into(&[Key::Int(1), Key::Int(2)], &mut out);
    let revision = revision.expect("a writer that is soon done");
    let value = |at| out.row(at).map(|row| values(row.image).1);
    (revision, vec![value(0), value(1)])
}

/// The same of all rows, by a scan.
fn scan(view: &TableView) -> (u64, Vec<Option<i64>>) {
    let mut out = ScanBuf::new();
    let revision = view.scan_into(&mut out).expect("a writer that is soon done");
    let mut rows: Vec<_> = out.rows().map(|row| values(row.image)).collect();
    rows.sort_unstable();
    let value = |key| rows.iter().find(|(k, _)| *k == key).map(|(_, value)| *value);
    (revision, vec![value(1), value(2)])
}

type Read = fn(&TableView) -> (u64, Vec<Option<i64>>);

/// Both rows change with revision 2.
fn rows_change(read: Read) {
    let (mut writer, view) = segment(&[1, 2]);
    let second = prepare(&mut writer, vec![put(1, 2, 2), put(2, 2, 2)]);
    let look = move |view: &TableView, _: bool| {
        let (revision, found) = read(view);
        assert_eq!(found, [Some(revision as i64); 2], "of no revision");
    };
    beside(view, look, || writer.publish(second, 2));
}

/// Row 1 changes with revision 2, and again with revision 3, so that one pass over it can meet two versions that
/// are too young. (With the passes that follow there are too many behaviours to go through.)
fn a_row_changes_twice() {
    let (mut writer, view) = segment(&[1]);
    let second = prepare(&mut writer, vec![put(1, 2, 2)]);
    let look = |view: &TableView, done: bool| {
        let (revision, mut out) = (view.segment().revision(), ScanBuf::new());
        let known = view.scan_as_of(revision, &mut out).expect("there");
        let values: Vec<_> = out.rows().map(|row| values(row.image).1).collect();
        assert!(known || !done, "nobody writes any more");
        assert!(!known || values == [revision as i64], "of no revision: {values:?}");
    };
    beside(view, look, || {
        writer.publish(second, 2);
        publish(&mut writer, vec![put(1, 3, 3)], 3);
    });
}

fn change_list() {
    rows_change(list);
}

fn change_scan() {
    rows_change(scan);
}

/// Row 1 is deleted with revision 2.
fn a_row_goes(read: Read) {
    let (mut writer, view) = segment(&[1]);
    let second = prepare(&mut writer, vec![delete(1, 2)]);
    let look = move |view: &TableView, _: bool| {
        let (revision, found) = read(view);
        assert_eq!(found, [(revision == 1).then_some(1), None], "of no revision");
    };
    beside(view, look, || writer.publish(second, 2));
}

fn goes_list() {
    a_row_goes(list);
}

fn goes_scan() {
    a_row_goes(scan);
}

/// Row 1 leaves the index after the revision without it: a daemon that stops between the two leaves a
/// revision that can be read.
fn an_entry_goes() {
    let (mut writer, view) = segment(&[1]);
    let second = prepare(&mut writer, vec![delete(1, 2)]);
    let look = |view: &TableView, _: bool| {
        let met = view.lookup(&Key::Int(1), |_| Ok(Some(()))).expect("there");
        assert!(met.is_some() || view.segment().revision() == 2, "gone before the revision");
    };
    beside(view, look, || writer.publish(second, 2));
}

/// Row 2 comes with revision 2, into a chunk of its own.
fn a_row_comes(read: Read) {
    let (mut writer, view) = segment(&[1]);
    let look = move |view: &TableView, _: bool| {
        let (revision, found) = read(view);
        assert_eq!(found, [Some(1), (revision == 2).then_some(2)], "of no revision");
    };
    beside(view, look, || publish(&mut writer, vec![put(2, 2, 2)], 2));
}

fn comes_list() {
    a_row_comes(list);
}

fn comes_scan() {
    a_row_comes(scan);
}

/// The table's first row comes, into its first chunk.
fn first_comes_scan() {
    let (mut writer, view) = segment(&[]);
    let look = |view: &TableView, _: bool| {
        let (revision, found) = scan(view);
        assert_eq!(found, [(revision == 2).then_some(2), None], "of no revision");
    };
    beside(view, look, || publish(&mut writer, vec![put(1, 2, 2)], 2));
}

pub const SEEN: &[Seen] = &[
    seen(Pillar::PublishRevision, 0, change_list, "of no revision"),
    seen(Pillar::PublishRevision, 0, change_scan, "of no revision"),
    seen(Pillar::AsOfRevision, 0, change_list, "of no revision"),
    seen(Pillar::PublishRemoves, 0, an_entry_goes, "gone before the revision"),
    seen(Pillar::PublishRemovedFence, 0, goes_list, "of no revision"),
    seen(Pillar::AsOfRemoved, 0, goes_list, "of no revision"),
    seen(Pillar::ChunkLink, 0, comes_scan, "slot chunk"),
    seen(Pillar::ChunkFollow, 0, first_comes_scan, "slot chunk"),
];

#[test]
fn a_list_is_of_one_revision() {
    explore(0, change_list);
    explore(0, goes_list);
    explore(0, comes_list);
}

#[test]
fn a_pass_over_a_row_that_changes_twice_is_of_one_revision() {
    explore(0, a_row_changes_twice);
}

#[test]
fn a_scan_is_of_one_revision() {
    explore(0, change_scan);
    explore(0, goes_scan);
    explore(0, comes_scan);
    explore(0, first_comes_scan);
}

#[test]
fn a_row_leaves_the_index_after_the_revision_without_it() {
    explore(0, an_entry_goes);
}

#[test]
fn each_weakening_is_seen() {
    weaken_each(SEEN);
}
