//! `shmirror get`: one row, or one value of it, from shared memory.

use clap::Args;

use crate::args::Place;
use crate::failure::Failure;
use crate::input::{assign, key};
use crate::output::Out;
use crate::text;

/// What `--help` says of it.
pub const HELP: &str = "\
Reads the row with this key from shared memory and prints it as a JSON object, its columns in \
their order. With COLUMN it prints that value alone, as it is: TEXT without quotes, NULL as NULL, a \
BLOB as 0x and hexadecimal digits. No such row: exit status 1.";

const EXAMPLES: &str = "\
Examples:
  shmirror get pump 7                   {\"id\":7,\"state\":\"run\",\"flow\":12.5}
  shmirror get pump 7 flow              12.5
  shmirror get pump 7 state --json      \"run\"
  shmirror get valve north,7            by a key of two columns";

/// Arguments of `get`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", key::HELP))]
pub struct Arguments {
    /// The table
    table: String,
    /// The row's key
    #[arg(allow_negative_numbers = true)]
    key: String,
    /// Only this column
    column: Option<String>,
    /// The value as JSON (a row always is)
    #[arg(long)]
    json: bool,
}

/// Prints the row or the value.
pub fn run(place: &Place, arguments: Arguments) -> Result<(), Failure> {
    let table = place.mirror()?.table(&arguments.table)?;
    let schema = table.schema();
    let key = key::parse(&schema, &arguments.key)?;
    let column = arguments.column.map(|name| assign::column(&schema, &name)).transpose()?;
    let row = table.get(key.as_slice())?.ok_or_else(|| {
        Failure::Refused(format!("no row with key {} in table {}", key::show(&key), table.name()))
    })?;
    let mut printed = String::new();
    match column {
        Some(index) if arguments.json => {
            text::json(&mut printed, row.get_at(index)?);
        }
        Some(index) => printed = text::plain(row.get_at(index)?),
        None => {
            let mut columns = Vec::new();
            for (index, column) in schema.visible() {
                columns.push((column.name.as_str(), row.get_at(index)?));
            }
            text::json_object(&mut printed, columns.into_iter());
        }
    }
    let mut out = Out::new();
    out.line(&printed)?;
    out.flush()
}
