//! `shmirror dump`: a whole table of one revision, in key order.

use clap::Args;
use shmirror_shm::catalogue::KeyKind;

use crate::args::Place;
use crate::failure::Failure;
use crate::input::Format;
use crate::output::Out;
use crate::text;

/// What `--help` says of it.
pub const HELP: &str = "\
Writes out a whole table from shared memory: every row of one revision, in key order, while writers \
go on.

  json     an array of objects, columns in their order
  ndjson   one object a line
  csv      a header line; NULL is an empty field, empty TEXT is \"\"; TEXT that looks like a
           number is in quotes
In all of them a BLOB is 0x and hexadecimal digits, and an infinite REAL is inf or -inf. `shmirror \
load` reads each of them back as the same rows.";

const EXAMPLES: &str = "\
Examples:
  shmirror dump pump                               JSON
  shmirror dump pump --format csv > pump.csv
  shmirror dump pump --format ndjson | jq .flow
  shmirror dump event --rowid                      a table without a key, with its rowids";

/// Arguments of `dump`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The table
    table: String,
    /// The form to write
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
    /// Write the rowid of a table without a key, as a last column
    #[arg(long)]
    rowid: bool,
}

/// Writes the table.
pub fn run(place: &Place, arguments: Arguments) -> Result<(), Failure> {
    let table = place.mirror()?.table(&arguments.table)?;
    let scan = table.scan()?;
    let schema = table.schema();
    let with_rowid = arguments.rowid && schema.key == KeyKind::Rowid;
    let mut out = Out::new();
    let mut line = String::new();
    let mut rows = scan.sorted().peekable();
    if arguments.format == Format::Csv {
        // The rows' own names: the table may have changed its columns since they were read.
        let mut names: Vec<&str> = match rows.peek() {
            Some(row) => row.columns().collect(),
            None => schema.visible().map(|(_, c)| c.name.as_str()).collect(),
        };
        names.extend(with_rowid.then_some("rowid"));
        for (i, name) in names.iter().enumerate() {
            line.push_str(if i > 0 { "," } else { "" });
            text::csv_text(&mut line, name, false);
        }
        line.push('\n');
    }
    let mut first = true;
    for row in rows {
        let rowid = if with_rowid { row.key() } else { Vec::new() };
        let values = row.values().chain(rowid.iter().map(|v| ("rowid", v.as_ref())));
        match arguments.format {
            Format::Json => {
                line.push_str(if first { "[" } else { ",\n " });
                text::json_object(&mut line, values);
            }
            Format::Ndjson => {
                text::json_object(&mut line, values);
                line.push('\n');
            }
            Format::Csv => {
                for (i, (_, value)) in values.enumerate() {
                    line.push_str(if i > 0 { "," } else { "" });
                    text::csv(&mut line, value);
                }
                line.push('\n');
            }
        }
        first = false;
        out.text(&line)?;
        line.clear();
    }
    if arguments.format == Format::Json {
        line.push_str(if first { "[]\n" } else { "]\n" });
    }
    out.text(&line)?;
    out.flush()
}
