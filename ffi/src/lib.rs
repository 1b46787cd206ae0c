//! `libshmirror`: the client library for C and C++.
//!
//! In: pointers and numbers of a program that Rust knows nothing of. Out: a status for every call, and
//! the client crate's own objects behind opaque handles. There is no logic here: what a function does,
//! the client crate does; what this crate adds is that nothing which comes in is believed and that no
//! panic goes out.
//!
//! ```text
//! status   the numbers that calls return, append-only      error    from Rust's errors to them, and
//! handle   what is behind a handle, stale ones included             this thread's last message
//! call     the funnel that every function goes through     argument pointers and texts that come in
//! value    SQL values, both ways                           output   texts that go out
//! ```
//!
//! `include/shmirror.h` is made from this source (`make header`), comments included: they are written
//! for the C programmer. Items have the names that C sees.

#![allow(non_camel_case_types)]
#![allow(
    clippy::missing_safety_doc,
    reason = "one contract holds for every function: header/prologue.h, on pointers and handles"
)]

mod argument;
mod binding;
mod call;
mod catalogue;
mod cell;
mod change;
mod error;
mod event;
mod fetch;
mod handle;
mod history;
mod json;
mod library;
mod member;
mod mirror;
mod options;
mod output;
mod producer;
mod result;
mod row;
mod row_get;
mod row_json;
mod rows;
mod schema;
mod status;
mod subscriber;
mod table;
mod ticket;
mod told;
mod transaction;
mod turn;
mod value;
mod write;
