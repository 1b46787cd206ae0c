//! The functions that read, as a C program has them.

use std::process::Command;

use crate::program;

#[test]
fn every_function_that_reads_says_what_its_header_says() {
    let instance = program::instance();
    let flags = [&["-std=c99"], program::SANITIZED].concat();
    let program = program::build("ffi/tests/c/reading.c", "reading", &flags);
    program::run(Command::new(program).env("SHMIRROR_SOCKET", instance.socket()));
}
