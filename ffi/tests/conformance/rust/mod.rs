//! Runs a case through the client crate and gives what came of each line, in the same words as the
//! runners in C and C++ do. What the lines mean is in `README.md`.

mod columns;
mod events;
mod instance;
mod reading;
mod schema;
mod words;
mod writing;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use shmirror::{
    Cell, Commit, Error, Mirror, Options, Producer, Row, Subscriber, Table, Ticket, Transaction,
    Value,
};

use words::{is_value, message, text, value};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The C library's name of a failure.
///
/// It goes by what the crate calls it, not by the library's own table, so that the two can differ.
fn status(error: &Error) -> String {
    name(error.code())
}

fn name(code: &str) -> String {
    let code = match code {
        "type" => "type-mismatch",
        "null" => "null-value",
        other => other,
    };
    format!("SHMIRROR_{}", code.to_uppercase().replace('-', "_"))
}

/// The values that come first, and the words after them.
fn key<'a, 'w>(words: &'a [&'w str]) -> (Vec<Value>, &'a [&'w str]) {
    let count = words.iter().take_while(|w| is_value(w)).count();
    (words[..count].iter().map(|w| value(w)).collect(), &words[count..])
}

/// A case under way.
struct Run {
    out: String,
    folder: PathBuf,
    options: Options,
    mirror: Mirror,
    producer: Producer,
    transaction: Option<Transaction>,
    tables: HashMap<String, Table>,
    cells: HashMap<String, Cell>,
    tickets: HashMap<String, Ticket>,
    subscribers: HashMap<String, Subscriber>,
    marks: HashMap<String, u64>,
    params: Vec<Value>,
    row: Row,
    start: u64,
    last: u64,
}

/// Runs a case against the daemon at this socket; files that it makes go into `folder`.
pub fn run(case: &str, socket: &Path, folder: &Path) -> String {
    let options = Options::new().socket(socket);
    let mirror = Mirror::attach(&options).unwrap();
    let producer = Producer::attach(&options).unwrap().with_timeout(PATIENCE);
    let start = mirror.revision();
    let mut run = Run {
        out: String::new(),
        folder: folder.to_owned(),
        options,
        mirror,
        producer,
        transaction: None,
        tables: HashMap::new(),
        cells: HashMap::new(),
        tickets: HashMap::new(),
        subscribers: HashMap::new(),
        marks: HashMap::new(),
        params: Vec::new(),
        row: Row::default(),
        start,
        last: 0,
    };
    for line in case.lines() {
        run.line(line);
    }
    run.out
}

impl Run {
    fn say(&mut self, text: &str) {
        self.out += text;
        self.out.push('\n');
    }

    fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').filter(|w| !w.is_empty()).collect();
        let Some(command) = words.first().filter(|w| !w.starts_with('#')) else { return };
        self.say(&format!("> {line}"));
        let words = &words[1..];
        // What is left of the line after so many words.
        let rest = |skip: usize| match words.get(skip) {
            Some(w) => &line[w.as_ptr() as usize - line.as_ptr() as usize..],
            None => "",
        };
        match *command {
            "execute" | "sql" | "query" => self.sql(command, rest(0)),
            "insert" | "upsert" | "update" | "delete" => self.change(command, words),
            "insert-json" | "upsert-json" | "update-json" => {
                let (key, _) = key(&words[1..]);
                let json = rest(1 + key.len());
                self.change_json(command, &text(words[0]), key, json);
            }
            "begin" | "clear" | "size" | "rows" | "if-revision" | "commit" | "submit"
            | "try-submit" | "wait" | "poll" => self.transact(command, words),
            "read" | "get" | "fields" | "json" | "key" | "many" | "scan" | "each" | "count" => {
                self.read(command, words);
            }
            "cell" | "value" | "refresh" => self.cell(command, words),
            "schema" | "catalogue" => self.schema(command, words),
            "history" | "subscribe" | "events" | "quiet" | "resume" => self.events(command, words),
            _ => self.instance(command, words),
        }
    }

    fn failed<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        result.map_err(|e| self.say(&status(&e))).ok()
    }

    /// The same, with what is told of it.
    fn failed_with_message<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        match result {
            Ok(done) => return Some(done),
            // Serde's own words for what is no row, or C's.
            Err(error @ Error::Encode { .. }) => self.say(&status(&error)),
            Err(error) => {
                self.say(&format!("{} {}", status(&error), message(&error.to_string())));
            }
        }
        None
    }

    /// The revision that a word stands for; `None` is from now on.
    fn revision(&self, word: &str) -> Option<u64> {
        match word.parse() {
            Ok(0) => Some(0),
            Ok(number) => Some(self.start + number),
            Err(_) if word == "now" => None,
            Err(_) => Some(self.marks[word]),
        }
    }

    fn since(&self, revision: u64) -> u64 {
        if revision == 0 { 0 } else { revision - self.start }
    }

    fn commit(&mut self, result: Result<Commit, Error>) {
        if let Some(commit) = self.failed_with_message(result) {
            self.last = commit.revision;
            self.say(&format!("commit {} changes {}", self.since(commit.revision), commit.changes));
        }
    }
}
