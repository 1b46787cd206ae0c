//! `shmirror load`: a file into a table.

use std::path::PathBuf;

use clap::Args;
use shmirror_shm::request::OnConflict;

use crate::args::Place;
use crate::failure::Failure;
use crate::input::{Format, Input};
use crate::load::{self, Job};
use crate::output::Out;
use crate::table;

/// What `--help` says of it.
pub const HELP: &str = "\
Loads a file into a table, all of it or nothing. A bad line is named as FILE:LINE, with what was \
found and what was expected; a file for a table that is there is read and checked to its end before \
the first row is sent.

  csv      a header line names the columns (RFC 4180). An empty field is NULL, \"\" is empty
           text. A first column without a name that holds dates is named `timestamp`, any
           other without one `column` and its number
  json     one array of objects
  ndjson   one object a line
In JSON, a column that a row does not name takes its DEFAULT; what is nested stays JSON text; true \
and false are 1 and 0.

Values are typed by their columns: a text that is no number does not go into an INTEGER or REAL \
column, unless --any-type lets SQLite's own rules judge; 0x and hexadecimal digits are bytes in a \
BLOB column; a generated column of the file is left out. So what `shmirror dump` wrote comes back \
as it was.

--create makes the table. Types come from every row of the file: INTEGER, REAL, else TEXT; numbers \
that would not read back as they stand (007) stay TEXT. --key names the primary key.

How nothing is kept of a file that fails: rows that fit one transaction (about 4 MiB) are one. More \
rows go to a table of their own, _shmirror_load_PID, and one transaction moves them over. With \
--create, rows go into the new table, which is dropped if anything fails. A load that is killed \
(SIGKILL) can leave such a table behind; drop it by hand.";

const EXAMPLES: &str = "\
Examples:
  shmirror load temperature machine_temperature.csv --create
  shmirror load temperature machine_temperature.csv --create --key timestamp --on-conflict replace
  shmirror load pump pumps.json                       into a table that is there
  shmirror load pump pumps.csv --on-conflict skip     rows whose key is there stay as they are
  shmirror load pump pumps.csv --keep-good            bad lines are named and left out; status 1
  shmirror dump pump --format ndjson | shmirror load copy - --format ndjson --create --key id";

/// What to do with a key that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Conflict {
    /// The load fails
    Fail,
    /// The new row takes its place
    Replace,
    /// The old row stays
    Skip,
}

/// Arguments of `load`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The table
    table: String,
    /// The file; - reads standard input
    file: PathBuf,
    /// Make the table, its types inferred from the file
    #[arg(long)]
    create: bool,
    /// Primary key of the table that --create makes; several columns with commas between
    #[arg(long, value_name = "COLUMN", value_delimiter = ',', requires = "create")]
    key: Vec<String>,
    /// Where a row with that key is there already
    #[arg(long, value_enum, default_value_t = Conflict::Fail)]
    on_conflict: Conflict,
    /// Keep the good rows of a file that has bad ones
    #[arg(long)]
    keep_good: bool,
    /// Take values that do not fit the declared type, as SQLite does
    #[arg(long)]
    any_type: bool,
    /// The file's form [default: by its name; csv for standard input]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// What stands between the fields of CSV
    #[arg(long, value_name = "CHARACTER", default_value = ",", value_parser = separator)]
    separator: u8,
    /// Most rows in one batch
    #[arg(long, value_name = "N", default_value_t = 8192, value_parser = batch)]
    batch: usize,
}

fn separator(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"\\t" => Ok(b'\t'),
        [b] if b.is_ascii() && !matches!(b, b'"' | b'\r' | b'\n') => Ok(*b),
        _ => Err("expected one ASCII character, or \\t".into()),
    }
}

fn batch(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if (1..=100_000).contains(&n) => Ok(n),
        _ => Err("expected 1 to 100000".into()),
    }
}

/// Loads the file and prints how long it took.
pub fn run(place: &Place, arguments: Arguments) -> Result<(), Failure> {
    let job = Job {
        input: Input::new(&arguments.file, arguments.format, arguments.separator)?,
        table: arguments.table,
        create: arguments.create,
        key: arguments.key,
        on_conflict: match arguments.on_conflict {
            Conflict::Fail => OnConflict::Fail,
            Conflict::Replace => OnConflict::Replace,
            Conflict::Skip => OnConflict::Skip,
        },
        keep_good: arguments.keep_good,
        any_type: arguments.any_type,
        batch: arguments.batch,
        progress: true,
    };
    job.input.bytes()?;
    let loaded = load::run(&place.mirror()?, &place.producer()?, &job)?;
    let rate = loaded.rows as f64 / loaded.seconds.max(1e-9);
    let mut out = Out::new();
    out.line(&format!(
        "{} in {:.2} s, {} rows/s, revision {}",
        table::count(loaded.rows, "row"),
        loaded.seconds,
        table::thousands(rate as u64),
        loaded.revision
    ))?;
    out.flush()?;
    if loaded.bad > 0 {
        return Err(Failure::Refused(format!("{} left out", table::count(loaded.bad, "bad line"))));
    }
    Ok(())
}
