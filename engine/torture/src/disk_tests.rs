use std::path::Path;

use super::*;

const FILE: &str = "/d/file";

/// The disk after these, and what is left of the file in many outages; `None` where it is gone.
fn outages(ops: &[Op<'_>]) -> Vec<Option<Vec<u8>>> {
    let journal: Vec<u8> = ops.iter().flat_map(Op::encode).collect();
    let mut disk = Disk::default();
    while disk.follow(&journal, u64::MAX).is_some() {}
    assert_eq!(disk.read(), journal.len() as u64);
    let mut random = Random::of(7, "outages");
    (0..400).map(|_| disk.left(&mut random).files.remove(Path::new(FILE))).collect()
}

/// Where the n-th of these stands.
fn position(ops: &[Op<'_>], n: usize) -> u64 {
    ops[..n].iter().map(|op| op.encode().len() as u64).sum()
}

fn write(at: u64, bytes: &'static [u8]) -> Op<'static> {
    Op::Write { path: Path::new(FILE), at, bytes }
}

/// A file whose name is on the disk.
fn named() -> Vec<Op<'static>> {
    let path = Path::new(FILE);
    let mut ops = vec![Op::Open { path, length: 0 }];
    let before = position(&ops, 1);
    ops.push(Op::SyncDirectory { path: Path::new("/d"), before });
    ops
}

fn sync(ops: &mut Vec<Op<'_>>) {
    let before = position(ops, ops.len());
    ops.push(Op::Sync { path: Path::new(FILE), before });
}

#[test]
fn what_was_synced_is_there_and_what_was_not_may_be_in_any_part() {
    let mut ops = named();
    ops.push(write(0, &[1; 2_048]));
    sync(&mut ops);
    ops.push(write(512, &[2; 2_048]));
    let left: Vec<Vec<u8>> = outages(&ops).into_iter().map(Option::unwrap).collect();
    assert!(left.iter().all(|bytes| bytes[..512] == [1; 512] && bytes.len() >= 2_048));
    let sectors = |bytes: &Vec<u8>| bytes[512..2_048].chunks(512).map(|s| s[0]).collect::<Vec<_>>();
    for some in [[1, 1, 1], [2, 2, 2], [1, 2, 1], [2, 1, 2]] {
        assert!(left.iter().any(|bytes| sectors(bytes) == some), "{some:?} was never left");
    }
    assert!(left.iter().all(|bytes| bytes[512..2_048].chunks(512).all(|s| s == [s[0]; 512])));
    assert!(left.iter().any(|bytes| bytes.len() == 2_048));
    // Longer, and the last sector not written: a file with a hole.
    assert!(left.iter().any(|bytes| bytes.len() == 2_560 && bytes[2_048..] == [0; 512]));
}

#[test]
fn what_was_written_while_a_sync_ran_is_not_covered_by_it() {
    let mut ops = named();
    ops.push(write(0, &[1; 512]));
    let before = position(&ops, ops.len());
    ops.push(write(0, &[2; 512]));
    ops.push(Op::Sync { path: Path::new(FILE), before });
    let left: Vec<Vec<u8>> = outages(&ops).into_iter().map(Option::unwrap).collect();
    assert!(left.iter().any(|bytes| bytes[0] == 1) && left.iter().any(|bytes| bytes[0] == 2));
}

#[test]
fn a_sync_after_one_that_failed_covers_only_what_was_written_again() {
    let mut ops = named();
    ops.push(write(0, &[1; 1_024]));
    let before = position(&ops, ops.len());
    ops.push(Op::SyncFailed { path: Path::new(FILE), before });
    ops.push(write(512, &[1; 512]));
    sync(&mut ops);
    let left: Vec<Vec<u8>> = outages(&ops).into_iter().map(Option::unwrap).collect();
    assert!(left.iter().all(|bytes| bytes[512..] == [1; 512]));
    assert!(left.iter().any(|bytes| bytes[0] == 0) && left.iter().any(|bytes| bytes[0] == 1));
}

#[test]
fn a_name_is_there_for_certain_once_its_directory_was_synced() {
    let path = Path::new(FILE);
    let fresh = Path::new("/d/fresh");
    let mut ops = vec![Op::Open { path: fresh, length: 0 }];
    ops.push(Op::Write { path: fresh, at: 0, bytes: &[3; 512] });
    let before = position(&ops, ops.len());
    ops.push(Op::Sync { path: fresh, before });
    ops.push(Op::Rename { from: fresh, to: path });
    let left = outages(&ops);
    assert!(left.iter().any(Option::is_none) && left.iter().any(Option::is_some));
    assert!(left.iter().flatten().all(|bytes| *bytes == [3; 512]));
    let before = position(&ops, ops.len());
    ops.push(Op::SyncDirectory { path: Path::new("/d"), before });
    assert!(outages(&ops).iter().all(|bytes| bytes.as_deref() == Some(&[3; 512][..])));
    ops.push(Op::Remove { path });
    let left = outages(&ops);
    assert!(left.iter().any(Option::is_none) && left.iter().any(Option::is_some));
}

#[test]
fn a_directory_that_was_not_synced_into_its_own_takes_its_files_with_it() {
    let mut ops = vec![Op::MakeDirectory { path: Path::new("/d") }];
    ops.push(Op::Open { path: Path::new(FILE), length: 0 });
    let before = position(&ops, ops.len());
    ops.push(Op::SyncDirectory { path: Path::new("/d"), before });
    assert!(outages(&ops).iter().any(Option::is_none));
    ops.push(Op::SyncDirectory { path: Path::new("/"), before });
    assert!(outages(&ops).iter().all(Option::is_some));
}

#[test]
fn a_file_that_was_cut_may_have_any_length_that_it_had() {
    let mut ops = named();
    ops.push(write(0, &[1; 1_536]));
    sync(&mut ops);
    ops.push(Op::Length { path: Path::new(FILE), length: 0 });
    ops.push(write(0, &[2; 512]));
    let left: Vec<Vec<u8>> = outages(&ops).into_iter().map(Option::unwrap).collect();
    for length in [0, 512, 1_536] {
        assert!(left.iter().any(|bytes| bytes.len() == length), "{length} was never left");
    }
    sync(&mut ops);
    assert!(outages(&ops).iter().all(|bytes| bytes.as_deref() == Some(&[2; 512][..])));
}
