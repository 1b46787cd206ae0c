//! Every function that follows changes, from C: `tests/c/following.c`.

use crate::{asking, program};

#[test]
fn every_following_function_through_restarts_and_lag() {
    let mut instance =
        asking::configured(&["events_bytes = \"256KiB\"", "log_keep_bytes = \"4MiB\""]);
    let flags: Vec<&str> = ["-std=c99"].iter().chain(program::SANITIZED).copied().collect();
    let following = program::build("ffi/tests/c/following.c", "following", &flags);
    asking::serve(&following, &mut instance);
}
