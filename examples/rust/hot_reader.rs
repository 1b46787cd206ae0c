//! Reads at full speed while another process writes: `hot_reader [SECONDS]`, with `producer` beside it.
//! Its loop makes no system call: rows and cells come straight from shared memory.

use std::error::Error;
use std::time::{Duration, Instant};

use shmirror::{Mirror, Options, Row};

fn main() -> Result<(), Box<dyn Error>> {
    let seconds: f64 = std::env::args().nth(1).map_or(Ok(5.0), |s| s.parse())?;

    let options = Options::new().program("hot_reader").attach_timeout(Duration::from_secs(10));
    let mirror = Mirror::attach(&options)?;
    let start = Instant::now();
    let table = loop {
        match mirror.table("live") {
            Ok(table) if !table.is_empty() => break table,
            Err(error) if start.elapsed() > Duration::from_secs(10) => return Err(error.into()),
            _ => std::thread::yield_now(),
        }
    };
    let keys: Vec<i64> =
        table.scan()?.sorted().map(|row| row.get("id")).collect::<Result<_, _>>()?;
    let cells: Vec<_> = keys.iter().map(|key| table.cell(*key, "a")).collect::<Result<_, _>>()?;

    let (mut reads, mut torn, mut backwards) = (0u64, 0u64, 0u64);
    let mut newest = vec![i64::MIN; keys.len()];
    let mut row = Row::default();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs_f64(seconds) {
        // The clock is asked once for many reads.
        for _ in 0..100 {
            for (i, key) in keys.iter().enumerate() {
                if table.read(*key, &mut row)? {
                    let (a, b): (i64, i64) = (row.get_at(1)?, row.get_at(2)?);
                    torn += u64::from(a != b);
                    backwards += u64::from(a < newest[i]);
                    newest[i] = a;
                }
                let cell = cells[i].i64()?;
                backwards += u64::from(cell < newest[i]);
                newest[i] = cell;
                reads += 2;
            }
        }
    }
    let rate = reads as f64 / start.elapsed().as_secs_f64() / 1e6;
    println!(
        "{reads} reads, {rate:.1} million a second, {torn} torn, {backwards} older than one before, \
         revision {}",
        mirror.revision()
    );
    if torn + backwards > 0 {
        return Err("a read was wrong".into());
    }
    Ok(())
}
