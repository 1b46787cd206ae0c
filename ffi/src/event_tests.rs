//! Events of each kind, asked for everything.

use std::ffi::{CStr, c_char};
use std::ptr;

use shmirror::{ChangeEvent, Event, Operation, Row, SchemaEvent, Value};

use super::*;
use crate::error::last_message;
use crate::row::{shmirror_row_close, shmirror_row_new};
use crate::value::borrowed;

fn change() -> Event {
    Event::Change(ChangeEvent {
        revision: 7,
        sequence: 3,
        table: "tag".into(),
        operation: Operation::Update,
        key: vec!["p1".into(), 2i64.into(), Value::Blob(vec![0, 255])],
        changed: vec!["value".into(), "Einheit".into()],
        row: Some(Row::default()),
        uid: 1000,
        pid: 4711,
        at_us: -5,
        last_of_transaction: true,
    })
}

fn schema() -> Event {
    Event::Schema(SchemaEvent {
        revision: 8,
        created: vec!["a".into(), "b".into()],
        changed: Vec::new(),
        dropped: vec!["c".into()],
        uid: 1,
        pid: 2,
        at_us: 3,
    })
}

const LAGGED: Event = Event::Lagged { missed: 40, first_revision: 9 };

fn new() -> *mut shmirror_event {
    let mut event = ptr::null_mut();
    // SAFETY: an out parameter of this function's.
    assert_eq!(unsafe { shmirror_event_new(&mut event) } as i32, 0);
    event
}

fn fill(handle: *mut shmirror_event, event: Event) {
    // SAFETY: a handle of `new`, not closed yet.
    unsafe { handle::get(handle.cast_const()) }.ok().unwrap().turn().ok().unwrap().fill(event);
}

fn text<'a>(text: *const c_char) -> &'a str {
    // SAFETY: a terminated text of an event that is neither filled nor closed while it is looked at.
    unsafe { CStr::from_ptr(text) }.to_str().unwrap()
}

fn message() -> String {
    text(last_message()).to_owned()
}

/// The status of every question, in one order.
fn all(event: *const shmirror_event) -> [i32; 16] {
    let (mut number, mut long, mut small, mut size) = (0i32, 0u64, 0u32, 0usize);
    let (mut name, mut values, mut yes, mut at) = (ptr::null(), ptr::null(), false, 0i64);
    let mut row = ptr::null_mut();
    // SAFETY: a handle, and out parameters of this function's.
    let statuses = unsafe {
        assert_eq!(shmirror_row_new(&mut row) as i32, 0);
        let statuses = [
            shmirror_event_kind(event, &mut number),
            shmirror_event_revision(event, &mut long),
            shmirror_event_json(event, ptr::null_mut(), 0, &mut size),
            shmirror_event_uid(event, &mut small),
            shmirror_event_pid(event, &mut small),
            shmirror_event_at_us(event, &mut at),
            shmirror_event_sequence(event, &mut long),
            shmirror_event_table(event, &mut name),
            shmirror_event_operation(event, &mut number),
            shmirror_event_key(event, &mut values, &mut size),
            shmirror_event_row(event, row),
            shmirror_event_is_last(event, &mut yes),
            shmirror_event_names_count(event, 3, &mut size),
            shmirror_event_names_count(event, 0, &mut size),
            shmirror_event_name(event, 2, 0, &mut name),
            shmirror_event_lagged(event, &mut long, &mut long),
        ];
        assert_eq!(shmirror_row_close(row) as i32, 0);
        statuses
    };
    statuses.map(|s| s as i32)
}

#[test]
fn what_is_asked_of_an_event_of_another_kind_is_told() {
    let event = new();
    let no = [43; 16];
    let expected = |yes: &[(usize, i32)]| {
        let mut expected = no;
        yes.iter().for_each(|(i, status)| expected[*i] = *status);
        expected
    };
    assert_eq!(all(event), expected(&[(0, 0)]));
    fill(event, change());
    let of_change = [0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12].map(|i| (i, 0));
    assert_eq!(all(event), expected(&[&of_change[..], &[(2, 18)]].concat()));
    fill(event, schema());
    let of_schema = [0, 1, 3, 4, 5, 13, 14].map(|i| (i, 0));
    assert_eq!(all(event), expected(&[&of_schema[..], &[(2, 18)]].concat()));
    fill(event, LAGGED);
    assert_eq!(all(event), expected(&[(0, 0), (1, 0), (2, 18), (15, 0)]));
    // SAFETY: a handle of `new`; NULL where there is nothing to be written.
    unsafe {
        let mut name = ptr::null();
        assert_eq!(shmirror_event_table(event, &mut name) as i32, 43);
        assert_eq!(message(), "event: found that changes were missed, expected a change");
        assert_eq!(shmirror_event_close(event) as i32, 0);
    }
    assert_eq!(all(event), [17; 16]);
    assert_eq!(all(ptr::null()), [16; 16]);
}

#[test]
fn a_change_comes_out_as_it_went_in() {
    let handle = new();
    fill(handle, change());
    let (mut name, mut again, mut values, mut size) = (ptr::null(), ptr::null(), ptr::null(), 0);
    let (mut missed, mut first, mut at) = (0, 0, 0);
    // SAFETY: a handle of `new`, and out parameters of this function's.
    unsafe {
        assert_eq!(shmirror_event_table(handle, &mut name) as i32, 0);
        assert_eq!(shmirror_event_key(handle, &mut values, &mut size) as i32, 0);
        let key = std::slice::from_raw_parts(values, size);
        let key: Vec<Value> =
            key.iter().map(|v| borrowed(v, "key").ok().unwrap().to_owned()).collect();
        assert_eq!(key, ["p1".into(), 2i64.into(), Value::Blob(vec![0, 255])]);
        for (index, column) in ["value", "Einheit"].into_iter().enumerate() {
            assert_eq!(shmirror_event_name(handle, 3, index, &mut again) as i32, 0);
            assert_eq!(text(again), column);
        }
        assert_eq!(shmirror_event_name(handle, 3, 2, &mut again) as i32, 20);
        assert_eq!(message(), "argument index: found 2, expected less than 2");
        assert_eq!(shmirror_event_name(handle, 4, 0, &mut again) as i32, 20);
        assert_eq!(shmirror_event_names_count(handle, -1, &mut size) as i32, 20);
        assert_eq!(shmirror_event_at_us(handle, &mut at) as i32, 0);
        assert_eq!(at, -5);
        // Whatever was asked meanwhile, what came out first is still there.
        assert_eq!(shmirror_event_table(handle, &mut again) as i32, 0);
        assert_eq!((text(name), name), ("tag", again));
        let mut json = [0; 512];
        assert_eq!(shmirror_event_json(handle, json.as_mut_ptr(), 512, &mut size) as i32, 0);
        assert_eq!(text(json.as_ptr()), change().to_json().to_string());

        // Another event: nothing of the one before.
        fill(handle, schema());
        assert_eq!(shmirror_event_json(handle, json.as_mut_ptr(), 512, &mut size) as i32, 0);
        assert_eq!(text(json.as_ptr()), schema().to_json().to_string());
        for (list, count) in [(0, 2), (1, 0), (2, 1)] {
            assert_eq!(shmirror_event_names_count(handle, list, &mut size) as i32, 0);
            assert_eq!(size, count);
        }
        assert_eq!(shmirror_event_name(handle, 0, 1, &mut name) as i32, 0);
        assert_eq!(text(name), "b");
        fill(handle, LAGGED);
        assert_eq!(shmirror_event_lagged(handle, &mut missed, &mut first) as i32, 0);
        assert_eq!((missed, first), (40, 9));
        assert_eq!(shmirror_event_close(handle) as i32, 0);
    }
}

#[test]
fn a_delete_has_no_row_and_a_second_thread_no_turn() {
    let handle = new();
    let Event::Change(mut gone) = change() else { unreachable!("it is a change") };
    (gone.operation, gone.row) = (Operation::Delete, None);
    fill(handle, Event::Change(gone));
    assert_eq!(all(handle)[10], 1, "SHMIRROR_NOT_FOUND");
    // SAFETY: a handle of `new`, which no thread closes before the end.
    let held = unsafe { handle::get(handle.cast_const()) }.ok().unwrap().turn().ok().unwrap();
    let address = handle.expose_provenance();
    let busy = std::thread::spawn(move || all(ptr::with_exposed_provenance(address)));
    assert_eq!(busy.join().unwrap(), [23; 16]);
    // SAFETY: a handle of `new`, which is not closed while it is in use.
    assert_eq!(unsafe { shmirror_event_close(handle) } as i32, 23);
    drop(held);
    // SAFETY: a handle of `new`.
    assert_eq!(unsafe { shmirror_event_close(handle) } as i32, 0);
}

#[test]
fn out_parameters_that_are_not_there_are_told() {
    let handle = new();
    fill(handle, change());
    let (mut size, mut values) = (0, ptr::null());
    // SAFETY: a handle of `new`, and NULL.
    unsafe {
        assert_eq!(shmirror_event_new(ptr::null_mut()) as i32, 16);
        assert_eq!(shmirror_event_kind(handle, ptr::null_mut()) as i32, 16);
        assert_eq!(shmirror_event_table(handle, ptr::null_mut()) as i32, 16);
        assert_eq!(shmirror_event_key(handle, ptr::null_mut(), &mut size) as i32, 16);
        assert_eq!(shmirror_event_key(handle, &mut values, ptr::null_mut()) as i32, 16);
        assert!(values.is_null(), "written, though the call failed");
        assert_eq!(shmirror_event_row(handle, ptr::null_mut()) as i32, 16);
        assert_eq!(shmirror_event_row(handle, handle.cast()) as i32, 17);
        assert_eq!(shmirror_event_close(handle) as i32, 0);
        assert_eq!(shmirror_event_close(handle) as i32, 17);
        assert_eq!(shmirror_event_close(ptr::null_mut()) as i32, 0);
    }
}
