//! Rows of the file on their way: read in the order wanted, sent in batches one behind the other.

use std::collections::VecDeque;

use rusqlite::types::ValueRef;
use shmirror::{Producer, Ticket};
use shmirror_shm::request::{Action, Change, OnConflict};
use shmirror_shm::value::Value;

use super::Source;
use super::order::{self, RowOrder};
use super::schema::{Schema, Table};
use crate::failure::Failure;
use crate::load::Progress;
use crate::text::quoted_name;

const BATCH_BYTES: usize = 512 << 10;
const BATCH_ROWS: usize = 8192;
const UNDER_WAY: usize = 8;

/// Sends all rows; the newest revision of them.
pub fn send(
    producer: &Producer,
    source: &Source<'_>,
    schema: &Schema,
    progress: &Progress,
) -> Result<u64, Failure> {
    let mut sender = Sender {
        producer,
        progress,
        changes: Vec::new(),
        rows: 0,
        bytes: 0,
        sent: 0,
        revision: 0,
        whole: false,
        under_way: VecDeque::new(),
    };
    let mut outcome = Ok(());
    for group in order::groups(&schema.tables) {
        outcome = if order::refers_to_itself(schema, &group) {
            order::rows(source, schema, &group)
                .and_then(|order| in_order(&mut sender, source, schema, order))
        } else {
            // A group without references among its rows is one table.
            group.iter().try_for_each(|&t| whole_table(&mut sender, source, &schema.tables[t]))
        };
        if outcome.is_err() {
            break;
        }
    }
    // What is under way is settled first, so that nothing arrives after a failure is undone.
    outcome.and(sender.finish())?;
    Ok(sender.revision)
}

fn select(table: &Table, filter: &str) -> String {
    let columns: Vec<String> = columns(table).iter().map(|c| quoted_name(c)).collect();
    format!("SELECT {} FROM {}{filter}", columns.join(", "), quoted_name(&table.name))
}

/// The columns that a row is made of, the rowid last where it is brought over.
fn columns(table: &Table) -> Vec<String> {
    let names = table.columns.iter().map(String::as_str);
    names.chain(table.rowid).map(str::to_owned).collect()
}

fn whole_table(sender: &mut Sender<'_>, source: &Source<'_>, table: &Table) -> Result<(), Failure> {
    let failed = |e| source.failed(e);
    let mut statement = source.connection.prepare(&select(table, "")).map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        sender.push(table, values(source, table, row)?)?;
    }
    Ok(())
}

fn in_order(
    sender: &mut Sender<'_>,
    source: &Source<'_>,
    schema: &Schema,
    order: RowOrder,
) -> Result<(), Failure> {
    for (i, (t, identity)) in order.rows.into_iter().enumerate() {
        if i == order.circle {
            // Deferred foreign keys may close a circle at the end of a transaction, others cannot.
            sender.send()?;
            sender.whole = true;
        }
        let table = &schema.tables[t];
        let tests: Vec<String> = table
            .identity
            .iter()
            .enumerate()
            .map(|(n, c)| format!("{} = ?{}", quoted_name(c), n + 1))
            .collect();
        let sql = select(table, &format!(" WHERE {}", tests.join(" AND ")));
        let mut statement = source.connection.prepare_cached(&sql).map_err(|e| source.failed(e))?;
        let mut rows =
            statement.query(rusqlite::params_from_iter(identity)).map_err(|e| source.failed(e))?;
        if let Some(row) = rows.next().map_err(|e| source.failed(e))? {
            sender.push(table, values(source, table, row)?)?;
        }
    }
    sender.whole = false;
    sender.send()
}

fn values(
    source: &Source<'_>,
    table: &Table,
    row: &rusqlite::Row<'_>,
) -> Result<Vec<Value>, Failure> {
    let names = columns(table);
    let mut out = Vec::with_capacity(names.len());
    for (i, name) in names.iter().enumerate() {
        out.push(match row.get_ref(i).map_err(|e| source.failed(e))? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(i) => Value::Integer(i),
            ValueRef::Real(r) => Value::Real(r),
            ValueRef::Blob(b) => Value::Blob(b.to_vec()),
            ValueRef::Text(t) => match std::str::from_utf8(t) {
                Ok(t) => t.into(),
                Err(_) => {
                    return Err(source.refused(format!(
                        "table {}, column {name}: TEXT that is not UTF-8 found ({})",
                        table.name,
                        crate::text::hex(&t[..t.len().min(24)])
                    )));
                }
            },
        });
    }
    Ok(out)
}

struct Sender<'a> {
    producer: &'a Producer,
    progress: &'a Progress,
    changes: Vec<Change>,
    rows: usize,
    bytes: usize,
    sent: u64,
    revision: u64,
    /// Everything until this is false again is one transaction.
    whole: bool,
    under_way: VecDeque<(Ticket, String)>,
}

impl Sender<'_> {
    fn push(&mut self, table: &Table, row: Vec<Value>) -> Result<(), Failure> {
        self.bytes += row.iter().map(|v| 16 + v.as_ref().var_len()).sum::<usize>();
        self.rows += 1;
        match self.changes.last_mut() {
            Some(Change { table: last, action: Action::Insert { rows, .. } })
                if *last == table.target =>
            {
                rows.push(row);
            }
            _ => self.changes.push(Change {
                table: table.target.clone(),
                action: Action::Insert {
                    columns: columns(table),
                    rows: vec![row],
                    on_conflict: OnConflict::Fail,
                    if_revision: None,
                },
            }),
        }
        if !self.whole && (self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES) {
            return self.send();
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), Failure> {
        if self.changes.is_empty() {
            return Ok(());
        }
        let changes = std::mem::take(&mut self.changes);
        let mut names: Vec<&str> = changes.iter().map(|c| c.table.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let what = format!("rows of {}", names.join(", "));
        self.under_way.push_back((self.producer.submit(changes)?, what));
        self.sent += self.rows as u64;
        (self.rows, self.bytes) = (0, 0);
        if self.under_way.len() >= UNDER_WAY {
            self.settle()?;
        }
        self.progress.at(self.sent, self.sent);
        Ok(())
    }

    fn settle(&mut self) -> Result<(), Failure> {
        let Some((ticket, what)) = self.under_way.pop_front() else { return Ok(()) };
        let commit = ticket.wait().map_err(|e| Failure::Refused(format!("{what}: {e}")))?;
        self.revision = self.revision.max(commit.revision);
        Ok(())
    }

    /// Sends what is left and waits for all of it.
    fn finish(&mut self) -> Result<(), Failure> {
        let mut outcome = self.send();
        while !self.under_way.is_empty() {
            outcome = outcome.and(self.settle());
        }
        outcome
    }
}
