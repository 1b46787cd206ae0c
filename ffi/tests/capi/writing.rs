//! Every function that writes, from C: `tests/c/writing.c` and `tests/c/tickets.c`.

use crate::asking;

#[test]
fn every_writing_function_and_every_rejection() {
    asking::test("writing", &["transaction_time = \"2s\""]);
}

#[test]
fn tickets_through_full_lanes_forks_and_ends_of_the_daemon() {
    asking::test("tickets", &["requests_bytes = \"1MiB\""]);
}
