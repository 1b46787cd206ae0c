//! Every function that follows changes, from C: `tests/c/following.c` and `tests/c/waking.c`.

use crate::asking;

#[test]
fn every_following_function_and_lag() {
    asking::test("following", &["events_bytes = \"256KiB\"", "log_keep_bytes = \"4MiB\""]);
}

#[test]
fn a_descriptor_threads_and_forks_through_restarts() {
    asking::test("waking", &[]);
}
