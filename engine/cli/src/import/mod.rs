//! Bringing in a plain SQLite database: all of it or nothing.
//!
//! ```text
//! file ─► schema (read, checked) ─► tables and unique indexes, one transaction
//!      ─► rows, parents before children, in batches ─► other indexes, views, triggers
//!      ─► where AUTOINCREMENT stands ─► rows counted on both sides
//! ```
//! Triggers come last, so that none of them fires for rows that are only brought over.

mod order;
mod rows;
mod schema;

use std::path::Path;
use std::time::Instant;

use rusqlite::{Connection, OpenFlags};
use shmirror::{Mirror, Producer};

use crate::failure::Failure;
use crate::load::Progress;
use crate::name;
use crate::text::quoted_name;
use schema::{Schema, Table};

/// First bytes of every SQLite file.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// What came over.
pub struct Imported {
    /// Tables with their rows, in the order of the file.
    pub tables: Vec<(String, u64)>,
    /// Indexes, views and triggers.
    pub objects: usize,
    /// Newest revision of the import.
    pub revision: u64,
    /// Seconds it took.
    pub seconds: f64,
}

/// A file being read, and its name for errors.
pub(crate) struct Source<'a> {
    pub path: &'a Path,
    pub connection: Connection,
}

impl Source<'_> {
    /// SQLite's failure, by the file's name.
    pub fn failed(&self, source: rusqlite::Error) -> Failure {
        Failure::Sqlite { path: self.path.to_path_buf(), source }
    }

    /// A refusal, by the file's name.
    pub fn refused(&self, what: impl std::fmt::Display) -> Failure {
        Failure::Refused(format!("{}: {what}", self.path.display()))
    }
}

/// Brings every table but those excepted into a namespace.
pub fn run(
    mirror: &Mirror,
    producer: &Producer,
    path: &Path,
    except: &[String],
    into: &str,
) -> Result<Imported, Failure> {
    let start = Instant::now();
    let source = open(path)?;
    let schema = Schema::read(&source, except, name::namespace(&*mirror.catalogue()?, into)?)?;
    check_free(mirror, &source, &schema)?;
    check_foreign_keys(&source, &schema)?;

    let first = producer.execute(&schema.before_rows())?;
    let done = fill(mirror, producer, &source, &schema, first.revision);
    let revision = done.map_err(|failure| undone(producer, &schema, failure))?;
    Ok(Imported {
        tables: schema.tables.iter().map(|t| (t.target.clone(), t.rows)).collect(),
        objects: schema.objects(),
        revision,
        seconds: start.elapsed().as_secs_f64(),
    })
}

fn open(path: &Path) -> Result<Source<'_>, Failure> {
    use std::io::Read;
    let mut head = Vec::new();
    let file = std::fs::File::open(path).map_err(Failure::file(path))?;
    file.take(MAGIC.len() as u64).read_to_end(&mut head).map_err(Failure::file(path))?;
    if head != MAGIC {
        return Err(Failure::Refused(format!(
            "{}: no SQLite database (its first bytes are {}, expected \"SQLite format 3\")",
            path.display(),
            if head.is_empty() { "none".into() } else { crate::text::hex(&head) }
        )));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)
        .map_err(|source| Failure::Sqlite { path: path.to_path_buf(), source })?;
    let source = Source { path, connection };
    // One read transaction from here to the end: the file may be in use.
    source
        .connection
        .execute_batch("PRAGMA trusted_schema = OFF; BEGIN; SELECT count(*) FROM sqlite_schema;")
        .or_else(|e| match e {
            rusqlite::Error::ExecuteReturnedResults => Ok(()),
            e => Err(source.failed(e)),
        })?;
    let application: u32 = source
        .connection
        .query_row("PRAGMA application_id", [], |row| row.get(0))
        .map_err(|e| source.failed(e))?;
    if application == shmirror_store::APPLICATION_ID {
        return Err(source.refused(
            "a sealed store of shmirror, not a plain database; serve it with `shmirror serve --data`",
        ));
    }
    let state: String = source
        .connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|e| source.failed(e))?;
    if state != "ok" {
        return Err(source.refused(format!("damaged: {state}")));
    }
    Ok(source)
}

/// No table, index, view or trigger of the file may be there yet.
fn check_free(mirror: &Mirror, source: &Source<'_>, schema: &Schema) -> Result<(), Failure> {
    let catalogue = mirror.catalogue()?;
    let taken = |name: &str| {
        let is_in = |namespace: &str| namespace.eq_ignore_ascii_case(schema.namespace());
        let objects = catalogue.objects.iter().filter(|o| is_in(&o.namespace));
        catalogue.table_in(schema.namespace(), name).is_some()
            || objects.into_iter().any(|o| o.name.eq_ignore_ascii_case(name))
    };
    let taken = schema.names().filter(|name| taken(name));
    let names: Vec<String> = taken.map(|name| schema.target(name).full()).collect();
    if names.is_empty() {
        return Ok(());
    }
    Err(Failure::Advised(
        format!(
            "{}: {} is there already; nothing was written",
            source.path.display(),
            names.join(", ")
        ),
        "drop or rename it, or leave the file's table out with --except".into(),
    ))
}

/// SQLite checks foreign keys only where it is asked to, so a file may break its own.
fn check_foreign_keys(source: &Source<'_>, schema: &Schema) -> Result<(), Failure> {
    let mut statement = source
        .connection
        .prepare("SELECT \"table\", rowid, parent FROM pragma_foreign_key_check")
        .map_err(|e| source.failed(e))?;
    let broken = statement
        .query_map([], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, Option<i64>>(1)?, row.get::<_, String>(2)?))
        })
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| source.failed(e))?;
    let mut broken = broken.iter().filter(|(table, ..)| schema.has(table));
    let Some((table, rowid, parent)) = broken.next() else { return Ok(()) };
    let row = rowid.map_or("a row".into(), |r| format!("the row with rowid {r}"));
    Err(source.refused(format!(
        "it breaks its own foreign keys: {row} of table {table} has no parent in {parent} \
         ({} such rows); nothing was written",
        broken.count() + 1
    )))
}

fn fill(
    mirror: &Mirror,
    producer: &Producer,
    source: &Source<'_>,
    schema: &Schema,
    first: u64,
) -> Result<u64, Failure> {
    let progress = Progress::new("importing", schema.tables.iter().map(|t| t.rows).sum(), true);
    let mut revision = first.max(rows::send(producer, source, schema, &progress)?);
    let after = schema.after_rows() + &sequences(source, schema)?;
    if !after.is_empty() {
        revision = revision.max(producer.execute(&after)?.revision);
    }
    mirror.wait_revision(revision, producer.timeout())?;
    for table in &schema.tables {
        let found = mirror.table(&table.target)?.len() as u64;
        if found != table.rows {
            return Err(source.refused(format!(
                "table {}: {found} rows arrived, expected {}",
                table.name, table.rows
            )));
        }
    }
    Ok(revision)
}

/// SQL that sets where AUTOINCREMENT stands in each table, as the file has it: it may be beyond the
/// rows that are there.
fn sequences(source: &Source<'_>, schema: &Schema) -> Result<String, Failure> {
    let read = || -> rusqlite::Result<Vec<(String, i64)>> {
        if !source.connection.table_exists(None, "sqlite_sequence")? {
            return Ok(Vec::new());
        }
        let sql = "SELECT name, seq FROM sqlite_sequence WHERE typeof(seq) = 'integer'";
        let mut statement = source.connection.prepare(sql)?;
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    };
    let mut sql = String::new();
    let sequence = schema.target("sqlite_sequence").sql();
    for (table, seq) in read().map_err(|e| source.failed(e))? {
        if schema.has(&table) {
            let name = table.replace('\'', "''");
            sql.push_str(&format!(
                "DELETE FROM {sequence} WHERE name = '{name}';\n\
                 INSERT INTO {sequence}(name, seq) VALUES ('{name}', {seq});\n"
            ));
        }
    }
    Ok(sql)
}

/// Drops everything that was brought in, children before parents, then gives back why.
fn undone(producer: &Producer, schema: &Schema, failure: Failure) -> Failure {
    let groups = order::groups(&schema.tables);
    let mut sql = String::new();
    for (kind, name) in schema.droppable() {
        sql.push_str(&format!("DROP {kind} IF EXISTS {};\n", schema.target(name).sql()));
    }
    for group in groups.iter().rev() {
        let tables: Vec<&Table> = group.iter().map(|&i| &schema.tables[i]).collect();
        if tables.len() > 1 {
            // Tables that refer to each other in a circle: what can be NULL lets go first.
            for table in &tables {
                for column in table.nullable_references() {
                    sql.push_str(&format!(
                        "UPDATE {} SET {} = NULL;\n",
                        schema.target(&table.name).sql(),
                        quoted_name(column)
                    ));
                }
            }
        }
        for table in tables {
            sql.push_str(&format!("DROP TABLE IF EXISTS {};\n", schema.target(&table.name).sql()));
        }
    }
    match producer.execute(&sql) {
        Ok(_) => failure,
        Err(e) => Failure::Advised(
            format!("{failure}; and what was imported could not be dropped again: {e}"),
            "drop its tables with `shmirror sql`".into(),
        ),
    }
}
