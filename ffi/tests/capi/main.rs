//! The library as C and C++ programs have it: installed, compiled against, run beside a real daemon.

mod asking;
#[path = "../../../engine/cli/tests/common/mod.rs"]
mod common;
mod declared;
mod program;

mod abi;
mod allocation;
mod conformance;
mod examples;
mod following;
mod golden;
mod header;
mod install;
mod killed;
mod misuse;
mod namespaces;
mod reading;
mod schema;
mod wrapper;
mod writing;
