//! Every function that writes, from C: `tests/c/writing.c`.

use crate::{asking, program};

#[test]
fn every_writing_function_with_right_and_wrong_arguments() {
    let mut instance =
        asking::configured(&["requests_bytes = \"1MiB\"", "transaction_time = \"2s\""]);
    let flags: Vec<&str> = ["-std=c99"].iter().chain(program::SANITIZED).copied().collect();
    let writing = program::build("ffi/tests/c/writing.c", "writing", &flags);
    asking::serve(&writing, &mut instance);
}
