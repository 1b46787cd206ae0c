//! Reading allocates nothing once the buffers have grown.

use std::process::Command;

use crate::program;

#[test]
fn reading_allocates_nothing_once_buffers_have_grown() {
    let instance = program::instance();
    let program = program::build("ffi/tests/c/allocation.c", "allocation", &["-std=c99", "-O1"]);
    let told = program::run(Command::new(program).env("SHMIRROR_SOCKET", instance.socket()));
    let (control, reads): (Vec<_>, Vec<_>) =
        told.lines().partition(|line| line.ends_with("in 3 turns"));
    // The counter counts, also what the library asks for.
    assert_eq!(control[0], "malloc: 3 in 3 turns");
    assert!(control[1].starts_with("library: ") && control[1] != "library: 0 in 3 turns", "{told}");
    let allocating: Vec<_> = reads.iter().filter(|r| !r.ends_with(": 0 in 10000 turns")).collect();
    assert!(allocating.is_empty(), "{allocating:#?}");
    assert!(reads.len() >= 30, "{told}");
}
