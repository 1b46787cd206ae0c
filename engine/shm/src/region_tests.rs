//! Regions against the real kernel: seals, read-only descriptors, bounds, populating, vacating.

use super::*;
use crate::sync::Ordering;
use rustix::io::{pwrite, write};

/// What every attempt to write through `descriptor` gets; each must be refused.
fn attempts_to_write(descriptor: &OwnedFd, bytes: u64) -> Vec<(&'static str, bool)> {
    let map = |prot| {
        // SAFETY: a new mapping at an address of the kernel's choice; should it succeed, it is leaked.
        unsafe { mm::mmap(ptr::null_mut(), bytes as usize, prot, MapFlags::SHARED, descriptor, 0) }
    };
    // SAFETY: our own new mapping, which nobody uses.
    let upgrade = |p| unsafe {
        mm::mprotect(p, bytes as usize, mm::MprotectFlags::READ | mm::MprotectFlags::WRITE)
    };
    vec![
        ("map writable", map(ProtFlags::READ | ProtFlags::WRITE).is_ok()),
        ("map, then mprotect", map(ProtFlags::READ).and_then(upgrade).is_ok()),
        ("write", write(descriptor, b"x").is_ok()),
        ("pwrite", pwrite(descriptor, b"x", 0).is_ok()),
        ("shrink", fs::ftruncate(descriptor, bytes - PAGE).is_ok()),
        ("grow", fs::ftruncate(descriptor, bytes + PAGE).is_ok()),
        (
            "punch a hole",
            fs::fallocate(
                descriptor,
                FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
                0,
                PAGE,
            )
            .is_ok(),
        ),
        ("add a seal", fs::fcntl_add_seals(descriptor, SealFlags::WRITE).is_ok()),
    ]
}

#[test]
fn who_may_only_read_cannot_write_by_any_way() {
    let region = Region::create("test", 3 * PAGE, false).expect("a small region");
    region.populate(0, region.len()).expect("three pages");
    let read_only = region.read_only_descriptor().expect("reopening");
    for (attempt, worked) in attempts_to_write(&read_only, region.len()) {
        assert!(!worked, "{attempt} through the read-only descriptor");
    }
    // As root, reopening for writing succeeds (mode 0400 stops all others); the seal must hold.
    let path = format!("/proc/self/fd/{}", read_only.as_raw_fd());
    match fs::open(path, OFlags::RDWR, Mode::empty()) {
        Ok(reopened) => {
            for (attempt, worked) in attempts_to_write(&reopened, region.len()) {
                assert!(!worked, "{attempt} through a descriptor reopened for writing");
            }
        }
        Err(e) => assert_eq!(e, Errno::ACCESS),
    }
    assert!(Region::map_read_write(read_only, region.len()).is_err());
    // Our own mapping, older than the seal, writes on.
    region.word(8).expect("inside").store(7, Ordering::Release);
    let reader = region.read_only_descriptor().expect("reopening");
    let reader = Region::map_read_only(reader, region.len()).expect("mapping");
    assert_eq!(reader.word(8).expect("inside").load(Ordering::Acquire), 7);
    assert!(!reader.is_writable());
}

#[test]
fn a_lane_can_be_written_but_not_resized() {
    let region = Region::create("test", 2 * PAGE, true).expect("a small region");
    let descriptor = region.read_write_descriptor().expect("dup");
    assert!(fs::ftruncate(&descriptor, PAGE).is_err());
    assert!(fs::ftruncate(&descriptor, 3 * PAGE).is_err());
    assert!(fs::fcntl_add_seals(&descriptor, SealFlags::FUTURE_WRITE).is_err());
    let other = Region::map_read_write(descriptor, region.len()).expect("mapping");
    other.word32(12).expect("inside").store(5, Ordering::Release);
    assert_eq!(region.word32(12).expect("inside").load(Ordering::Acquire), 5);
    assert_eq!(region.word(8).expect("inside").load(Ordering::Acquire), 5 << 32);
}

#[test]
fn a_descriptor_that_can_be_truncated_is_refused() {
    let open = memfd("test").expect("a memfd");
    fs::ftruncate(&open, PAGE).expect("a page");
    fs::fcntl_add_seals(&open, SealFlags::GROW).expect("sealing");
    let expected = SealFlags::SHRINK.bits();
    match Region::map_read_only(open, PAGE) {
        Err(ShmError::NotSealed { found, expected: e }) => {
            assert_eq!((found & expected, e), (0, expected));
        }
        other => panic!("{other:?}"),
    }
    let file = fs::open("/proc/self/exe", OFlags::RDONLY, Mode::empty()).expect("our own file");
    assert!(matches!(Region::map_read_only(file, PAGE), Err(ShmError::NotSealed { found: 0, .. })));
    let region = Region::create("test", PAGE, false).expect("a page");
    for bytes in [0, 4, PAGE + 8, u64::MAX - 7] {
        let descriptor = region.read_only_descriptor().expect("reopening");
        assert!(
            matches!(Region::map_read_only(descriptor, bytes), Err(ShmError::TooSmall { .. })),
            "{bytes} bytes"
        );
    }
}

#[test]
fn nothing_outside_is_given_out() {
    let region = Region::create("test", 5000, false).expect("two pages");
    assert_eq!(region.len(), 2 * PAGE);
    assert!(region.word(region.len() - 8).is_some());
    assert!(region.word32(region.len() - 4).is_some());
    for offset in [1, 4, region.len(), region.len() + 8, u64::MAX, u64::MAX - 7] {
        assert!(region.word(offset).is_none(), "{offset}");
    }
    for offset in [2, region.len(), u64::MAX, u64::MAX - 3] {
        assert!(region.word32(offset).is_none(), "{offset}");
    }
    assert_eq!(region.words(0, 1024).map(<[_]>::len), Some(1024));
    assert_eq!(region.words(region.len(), 0).map(<[_]>::len), Some(0));
    for (offset, count) in [(0, 1025), (8, 1024), (0, usize::MAX), (4, 1), (u64::MAX - 7, 1)] {
        assert!(region.words(offset, count).is_none(), "{offset} {count}");
    }
    for (offset, len) in [(0, region.len() + 1), (u64::MAX, 2), (region.len(), 1)] {
        assert!(matches!(region.populate(offset, len), Err(ShmError::Bounds { .. })));
    }
}

#[test]
fn a_sparse_region_takes_memory_only_as_it_is_populated() {
    let region = Region::create("test", 1 << 40, false).expect("address space");
    let blocks = || fs::fstat(&region).expect("fstat").st_blocks;
    assert_eq!(blocks(), 0);
    region.populate(PAGE, 10 * PAGE).expect("ten pages");
    assert_eq!(blocks() as u64 * 512, 10 * PAGE);
    region.populate(3 * PAGE + 8, 16).expect("memory that is there already");
    assert_eq!(blocks() as u64 * 512, 10 * PAGE);
    // More than there is: refused before anything is taken. (Were it tried, the machine would be out
    // of memory; so look first that this is not a machine which has that much.)
    assert!(!room_for(region.len()), "a machine with a tebibyte free");
    assert!(matches!(region.populate(0, region.len()), Err(ShmError::NoMemory { offset: 0, .. })));
    assert_eq!(blocks() as u64 * 512, 10 * PAGE);
}

#[test]
fn a_vacated_region_reads_zeros_and_its_memory_goes_back() {
    let region = Region::create("test", 4 * PAGE, false).expect("four pages");
    let descriptor = region.read_only_descriptor().expect("reopening");
    let reader = Region::map_read_only(descriptor, region.len()).expect("mapping");
    let word = reader.word(PAGE).expect("inside");
    region.word(PAGE).expect("inside").store(1, Ordering::Release);
    assert_eq!(word.load(Ordering::Acquire), 1);
    reader.vacate();
    assert_eq!(word.load(Ordering::Acquire), 0);
    assert_eq!(region.word(PAGE).expect("inside").load(Ordering::Acquire), 1);
    region.vacate();
    region.word(PAGE).expect("inside").store(2, Ordering::Release);
    assert_eq!(word.load(Ordering::Acquire), 0);
}
