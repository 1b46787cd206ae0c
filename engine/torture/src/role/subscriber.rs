//! A subscriber: every event that comes, said in its order.

use std::time::{Duration, Instant};

use shmirror::{Event, Subscriber, Value};

use super::{Stop, say};
use crate::checker::Said;
use crate::instance::PATIENCE;

/// Follows from the first revision on until it is stopped and has heard all up to `until`, which it is then
/// told. With `resumes` it gets what it lagged behind for; without, it says so and goes on.
pub fn follow(options: &shmirror::Options, to: u32, resumes: bool, slow: Duration, stop: &Stop) {
    let mut changes = Subscriber::builder(options)
        .tables(&["part"])
        .from_revision(1)
        .subscribe()
        .expect("a daemon");
    let integer = |v: &Value| match v {
        Value::Integer(i) => *i,
        _ => i64::MIN,
    };
    let (mut newest, mut patience) = (0, None);
    loop {
        match changes.next(Duration::from_millis(50)) {
            Ok(Some(Event::Change(e))) => {
                newest = e.revision;
                let id = e.key.first().map_or(i64::MIN, integer);
                let of = |name| e.row.as_ref().and_then(|r| r.get::<i64>(name).ok());
                let (who, n) = (of("who").unwrap_or(i64::MIN), of("n"));
                say(&Said::Change { to, revision: e.revision, id, who, n });
                std::thread::sleep(slow);
            }
            Ok(Some(Event::Lagged { first_revision, .. })) if resumes => {
                if let Err(error) = changes.resume_from(first_revision) {
                    say(&Said::Hung { what: format!("subscriber {to}: {error}"), micros: 0 });
                    return;
                }
            }
            Ok(Some(Event::Lagged { first_revision, .. })) => {
                say(&Said::Lagged { to, first_revision });
            }
            Ok(_) => {}
            Err(error) => {
                say(&Said::Hung { what: format!("subscriber {to}: {error}"), micros: 0 });
                return;
            }
        }
        let Some(until) = stop.told() else { continue };
        if newest >= until {
            say(&Said::Through { to, revision: until });
            return;
        }
        let deadline = *patience.get_or_insert_with(|| Instant::now() + PATIENCE);
        if Instant::now() > deadline {
            let what = format!("subscriber {to} has heard up to {newest}, not {until}");
            say(&Said::Hung { what, micros: PATIENCE.as_micros() as u64 });
            return;
        }
    }
}
