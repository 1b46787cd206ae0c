//! `shmirror import`: every table of a plain SQLite database.

use std::path::PathBuf;

use clap::Args;
use shmirror_shm::catalogue::MAIN;

use crate::args::Place;
use crate::failure::Failure;
use crate::import;
use crate::output::Out;
use crate::table;

/// What `--help` says of it.
pub const HELP: &str = "\
Brings in every table of an existing, plain SQLite database: schemas as they are declared (keys of \
any kind, CHECKs, foreign keys, generated columns, WITHOUT ROWID, STRICT), all rows, then indexes, \
views and triggers. Tables without a key keep their rowids, and AUTOINCREMENT goes on where the file stands. The file is opened read-only.

Rows go in so that parents come before the rows that refer to them; triggers are made last and do \
not fire. At the end the rows of each table are counted on both sides. --into names the namespace that \
all of it is made in; without it, main.

All or nothing: a table that is there already, or a file that breaks its own foreign keys, is refused \
before anything is written, and if something fails later, everything imported is dropped again.";

const EXAMPLES: &str = "\
Examples:
  shmirror import plant.db
  shmirror import plant.db --except audit,tmp       without two of its tables
  shmirror import plant.db --into plant             as plant.unit, plant.tag, …";

/// Arguments of `import`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The SQLite database
    file: PathBuf,
    /// Tables to leave out, with commas between
    #[arg(long, value_name = "TABLE", value_delimiter = ',')]
    except: Vec<String>,
    /// The namespace to make its tables in
    #[arg(long, value_name = "NAMESPACE", default_value = MAIN)]
    into: String,
}

/// Imports the file and prints what came over.
pub fn run(place: &Place, arguments: Arguments) -> Result<(), Failure> {
    let (mirror, producer) = (place.mirror()?, place.producer()?);
    let imported =
        import::run(&mirror, &producer, &arguments.file, &arguments.except, &arguments.into)?;
    let rows: Vec<Vec<String>> = imported
        .tables
        .iter()
        .map(|(name, rows)| vec![name.clone(), table::thousands(*rows)])
        .collect();
    let total: u64 = imported.tables.iter().map(|(_, rows)| rows).sum();
    let mut out = Out::new();
    out.text(&table::render_text(&["table".into(), "rows".into()], &rows, &[false, true]))?;
    out.line(&format!(
        "{}, {} indexes, views and triggers, {} in {:.2} s, {} rows/s, revision {}",
        table::count(imported.tables.len() as u64, "table"),
        imported.objects,
        table::count(total, "row"),
        imported.seconds,
        table::thousands((total as f64 / imported.seconds.max(1e-9)) as u64),
        imported.revision
    ))?;
    out.flush()
}
