//! Changes of one row, each a transaction of its own.

use std::ffi::c_char;

use shmirror::OnConflict;

use crate::call::call;
use crate::change;
use crate::handle;
use crate::producer::{commit as committed, shmirror_commit, shmirror_producer};
use crate::status::shmirror_status;
use crate::value::shmirror_value;

/// A new row, with `count` columns and a value for each; other columns take their DEFAULT. Waits until
/// it is durable and every reader sees it; `commit` may be NULL. Costs one commit of the store, which
/// many that come at a time share.
///
/// Rejected, and nothing was done: SHMIRROR_UNKNOWN_TABLE, SHMIRROR_UNKNOWN_COLUMN,
/// SHMIRROR_PRIMARY_KEY (the key is there already), SHMIRROR_UNIQUE, SHMIRROR_NOT_NULL, SHMIRROR_CHECK,
/// SHMIRROR_FOREIGN_KEY, SHMIRROR_TRIGGER, SHMIRROR_DATATYPE, SHMIRROR_BAD_KEY, SHMIRROR_LIMIT,
/// SHMIRROR_STORE, SHMIRROR_STOPPING, SHMIRROR_DENIED.
/// Not submitted: SHMIRROR_ENCODE (a NaN), SHMIRROR_TOO_LARGE, SHMIRROR_FULL, SHMIRROR_NO_DAEMON,
/// SHMIRROR_FORKED.
/// Not known, and it may yet be committed: SHMIRROR_TIMED_OUT, SHMIRROR_DISCONNECTED. With a transaction
/// of one's own one can ask on: see shmirror_transaction_submit().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_insert(
    producer: *mut shmirror_producer,
    table: *const c_char,
    columns: *const *const c_char,
    values: *const shmirror_value,
    count: usize,
    commit: *mut shmirror_commit,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles, texts, values and out parameters.
    call(|| unsafe {
        let producer = handle::get(producer.cast_const())?;
        let change = change::insert(table, columns, values, count, OnConflict::Fail)?;
        committed(producer, change, commit)
    })
}

/// A new row or, where the key is there already, new values for the columns given; else as
/// shmirror_insert().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_upsert(
    producer: *mut shmirror_producer,
    table: *const c_char,
    columns: *const *const c_char,
    values: *const shmirror_value,
    count: usize,
    commit: *mut shmirror_commit,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles, texts, values and out parameters.
    call(|| unsafe {
        let producer = handle::get(producer.cast_const())?;
        let change = change::insert(table, columns, values, count, OnConflict::Update)?;
        committed(producer, change, commit)
    })
}

/// New values for `count` columns of the row with this key. As shmirror_insert(), and
/// SHMIRROR_NO_SUCH_ROW.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_update(
    producer: *mut shmirror_producer,
    table: *const c_char,
    key: *const shmirror_value,
    key_size: usize,
    columns: *const *const c_char,
    values: *const shmirror_value,
    count: usize,
    commit: *mut shmirror_commit,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles, texts, values and out parameters.
    call(|| unsafe {
        let producer = handle::get(producer.cast_const())?;
        let change = change::update(table, (key, key_size), columns, values, count)?;
        committed(producer, change, commit)
    })
}

/// The row with this key goes. As shmirror_insert(), and SHMIRROR_NO_SUCH_ROW.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_delete(
    producer: *mut shmirror_producer,
    table: *const c_char,
    key: *const shmirror_value,
    key_size: usize,
    commit: *mut shmirror_commit,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles, texts, values and out parameters.
    call(|| unsafe {
        let producer = handle::get(producer.cast_const())?;
        committed(producer, change::delete(table, (key, key_size))?, commit)
    })
}

/// A new row, given as a JSON object of columns and their values: null is NULL, true and false are 1 and
/// 0, a string is TEXT, a number is INTEGER where it is written without fraction and exponent, else REAL.
/// (There are no BLOBs in JSON.) As shmirror_insert(); SHMIRROR_ENCODE: the text is no such object.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_insert_json(
    producer: *mut shmirror_producer,
    table: *const c_char,
    json: *const c_char,
    commit: *mut shmirror_commit,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles, texts and out parameters.
    call(|| unsafe {
        let producer = handle::get(producer.cast_const())?;
        committed(producer, change::insert_json(table, json, OnConflict::Fail)?, commit)
    })
}

/// As shmirror_upsert(), with a row as shmirror_insert_json() takes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_upsert_json(
    producer: *mut shmirror_producer,
    table: *const c_char,
    json: *const c_char,
    commit: *mut shmirror_commit,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles, texts and out parameters.
    call(|| unsafe {
        let producer = handle::get(producer.cast_const())?;
        committed(producer, change::insert_json(table, json, OnConflict::Update)?, commit)
    })
}

/// As shmirror_update(), with columns as shmirror_insert_json() takes them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_update_json(
    producer: *mut shmirror_producer,
    table: *const c_char,
    key: *const shmirror_value,
    key_size: usize,
    json: *const c_char,
    commit: *mut shmirror_commit,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles, texts, values and out parameters.
    call(|| unsafe {
        let producer = handle::get(producer.cast_const())?;
        committed(producer, change::update_json(table, (key, key_size), json)?, commit)
    })
}
