//! Lines that write: SQL, changes, transactions, tickets.

use std::time::Instant;

use shmirror::{Error, OnConflict, ResultSet, Transaction, Value};

use super::columns::Columns;
use super::words::{shown, shown_value, text, value};
use super::{PATIENCE, Run, key};

impl Run {
    pub(super) fn sql(&mut self, command: &str, sql: &str) {
        match command {
            "execute" => {
                let done = self.producer.execute(sql);
                self.commit(done);
            }
            "sql" => {
                let done = self.producer.sql(sql, &self.params);
                if let Some((commit, sets)) = self.failed_with_message(done) {
                    self.commit(Ok(commit));
                    self.sets(&sets);
                }
            }
            _ => {
                let done = self.mirror.query(sql, &self.params);
                if let Some((revision, sets)) = self.failed_with_message(done) {
                    self.say(&format!("revision {}", self.since(revision)));
                    self.sets(&sets);
                }
            }
        }
    }

    pub(super) fn sets(&mut self, sets: &[ResultSet]) {
        for set in sets {
            let names: String = set.columns.iter().map(|c| format!(" {}", shown(c))).collect();
            self.say(&format!("set{names}"));
            for row in &set.rows {
                let values: String =
                    row.iter().map(|v| format!(" {}", shown_value(v.as_ref()))).collect();
                self.say(&format!(" {values}"));
            }
        }
    }

    /// A change, at once or into the transaction.
    pub(super) fn put(&mut self, change: impl FnOnce(Transaction) -> Result<Transaction, Error>) {
        match self.transaction.take() {
            // One that fails takes the transaction with it: cases have none.
            Some(transaction) => {
                let changed = change(transaction);
                self.transaction = self.failed_with_message(changed);
            }
            None => {
                let done = change(self.producer.begin()).and_then(Transaction::commit);
                self.commit(done);
            }
        }
    }

    pub(super) fn change(&mut self, command: &str, words: &[&str]) {
        let table = text(words[0]);
        let (key, after) = key(&words[1..]);
        let columns = Columns::of(after);
        self.put(|t| match command {
            "insert" => t.insert(&table, &columns),
            "upsert" => t.upsert(&table, &columns),
            "update" => t.update(&table, key, &columns),
            _ => t.delete(&table, key),
        });
    }

    pub(super) fn change_json(&mut self, command: &str, table: &str, key: Vec<Value>, json: &str) {
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        self.put(|t| match command {
            "insert-json" => t.insert(table, &json),
            "upsert-json" => t.upsert(table, &json),
            _ => t.update(table, key, &json),
        });
    }

    pub(super) fn transact(&mut self, command: &str, words: &[&str]) {
        match command {
            "begin" => self.transaction = Some(self.producer.begin()),
            "clear" => self.transaction = None,
            "size" => {
                let size = self.transaction.as_ref().map_or(0, Transaction::len);
                self.say(&format!("size {size}"));
            }
            "rows" => {
                let mut parts = words[2..].split(|w| *w == "/");
                let columns: Vec<String> = parts.next().unwrap().iter().map(|w| text(w)).collect();
                let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
                let rows = parts.map(|row| row.iter().map(|w| value(w)).collect()).collect();
                let on_conflict = match words[1] {
                    "fail" => OnConflict::Fail,
                    "replace" => OnConflict::Replace,
                    "skip" => OnConflict::Skip,
                    _ => OnConflict::Update,
                };
                self.put(|t| t.insert_rows(&text(words[0]), &columns, rows, on_conflict));
            }
            "if-revision" => {
                let revision = self.revision(words[0]).unwrap();
                self.put(|t| Ok(t.if_revision(revision)));
            }
            "commit" => {
                let done = self.transaction.take().unwrap().commit();
                self.commit(done);
            }
            "submit" | "try-submit" => {
                let transaction = self.transaction.take().unwrap();
                let submitted = if command == "submit" {
                    transaction.submit()
                } else {
                    transaction.into_changes().and_then(|c| self.producer.try_submit(c))
                };
                if let Some(ticket) = self.failed_with_message(submitted) {
                    self.tickets.insert(text(words[0]), ticket);
                }
            }
            "wait" => {
                let done = self.tickets[words[0]].wait_deadline(Instant::now() + PATIENCE);
                self.commit(done);
            }
            _ => {
                let ticket = &self.tickets[words[0]];
                let deadline = Instant::now() + PATIENCE;
                let done = loop {
                    match ticket.poll() {
                        Ok(Some(commit)) => break Ok(commit),
                        Err(error) => break Err(error),
                        Ok(None) => assert!(Instant::now() < deadline, "no outcome"),
                    }
                };
                self.commit(done);
            }
        }
    }
}
