//! `shmirror put`: one row in, its revision out.

use clap::Args;
use shmirror_shm::request::{Action, Change, OnConflict};

use crate::args::Place;
use crate::failure::Failure;
use crate::input::{assign, key};
use crate::name::Name;
use crate::output::Out;

/// What `--help` says of it.
pub const HELP: &str = "\
Writes one row by its key and prints the revision. Where there is no such row it is inserted, and \
columns that are not named take their DEFAULT; else the named columns change and the others stay.

A VALUE is read by its column's type: numbers in INTEGER, REAL and NUMERIC columns, 0x and \
hexadecimal digits in BLOB columns, TEXT as it is. NULL is NULL, and 'NULL' (with the quotes) the \
text. What does not fit is judged by SQLite's rules.

--if-revision N writes only if the row is still at revision N (compare and set), 0 only if there is \
no such row.";

const EXAMPLES: &str = "\
Examples:
  shmirror put pump 7 state=run flow=12.5
  shmirror put pump 7 flow=NULL
  shmirror put pump 7 state=stop --update             the row must be there
  shmirror put pump 8 state=run --insert              the row must not be there
  shmirror put pump 7 state=stop --if-revision 41     only if nobody wrote it since";

/// Arguments of `put`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", key::HELP))]
pub struct Arguments {
    /// The table
    table: String,
    /// The row's key
    #[arg(allow_negative_numbers = true)]
    key: String,
    /// Columns and their new values
    #[arg(value_name = "COLUMN=VALUE")]
    values: Vec<String>,
    /// Only if the row's revision is N (0: only if there is no such row)
    #[arg(long, value_name = "N")]
    if_revision: Option<u64>,
    /// The row must not be there yet
    #[arg(long, conflicts_with = "update")]
    insert: bool,
    /// The row must be there
    #[arg(long)]
    update: bool,
}

/// Writes the row.
pub fn run(place: &Place, arguments: Arguments) -> Result<(), Failure> {
    let schema = place.mirror()?.table(&arguments.table)?.schema();
    let key = key::parse(&schema, &arguments.key)?;
    let (mut columns, mut values) = assign::parse(&schema, &arguments.values)?;
    let if_revision = arguments.if_revision;
    let action = if arguments.update {
        if columns.is_empty() {
            return Err(Failure::Usage("--update needs a COLUMN=VALUE".into()));
        }
        Action::Update { key, columns, values, if_revision }
    } else {
        for (column, value) in schema.key_defs().zip(key) {
            if columns.contains(&column.name) {
                return Err(Failure::Usage(format!(
                    "column {} is of the key, its value is KEY; to change a key, use --update",
                    column.name
                )));
            }
            columns.push(column.name.clone());
            values.push(value);
        }
        let on_conflict = if arguments.insert { OnConflict::Fail } else { OnConflict::Update };
        Action::Insert { columns, rows: vec![values], on_conflict, if_revision }
    };
    let change = Change { table: Name::of(&schema).full(), action };
    let commit = place.producer()?.submit(vec![change])?.wait()?;
    let mut out = Out::new();
    out.line(&format!("revision {}", commit.revision))?;
    out.flush()
}
