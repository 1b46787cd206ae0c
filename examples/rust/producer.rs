//! Writes live values without pause: `producer [SECONDS] [ROWS]`. Each transaction changes both columns
//! of one row to the same number, so that a reader can tell a torn row.

use std::error::Error;
use std::time::{Duration, Instant};

use shmirror::{Options, Producer};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let seconds: f64 = arguments.next().map_or(Ok(5.0), |s| s.parse())?;
    let rows: i64 = arguments.next().map_or(Ok(100), |s| s.parse())?;

    let producer = Producer::attach(&Options::new().program("producer"))?;
    producer.execute(
        "CREATE TABLE IF NOT EXISTS live (id INTEGER PRIMARY KEY, a INTEGER NOT NULL, b INTEGER NOT NULL)",
    )?;

    // Submit first, ask for outcomes later: many transactions share one commit.
    let (start, mut in_flight) = (Instant::now(), std::collections::VecDeque::new());
    let (mut written, mut revision) = (0i64, 0);
    while start.elapsed() < Duration::from_secs_f64(seconds) {
        written += 1;
        let row = serde_json::json!({ "id": written % rows, "a": written, "b": written });
        in_flight.push_back(producer.begin().upsert("live", &row)?.submit()?);
        if in_flight.len() >= 256
            && let Some(ticket) = in_flight.pop_front()
        {
            revision = ticket.wait()?.revision;
        }
    }
    for ticket in in_flight {
        revision = ticket.wait()?.revision;
    }
    let rate = written as f64 / start.elapsed().as_secs_f64();
    println!("{written} transactions, {rate:.0} a second, newest revision {revision}");
    Ok(())
}
