//! Runs a case through the client crate and gives what came of each line, in the same words as the
//! runners in C and C++ do. What the lines mean is in `README.md`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::ser::{Serialize, SerializeMap, Serializer};
use shmirror::{
    Affinity, Cell, CellError, Collation, Commit, Error, Event, FromValue, Generated, History,
    KeyKind, Mirror, ObjectKind, OnConflict, Options, Producer, ResultSet, Row, RowRef, Subscriber,
    Table, TableDef, Ticket, Transaction, Value, ValueRef,
};

use super::words::{is_value, message, shown, shown_json, shown_value, text, value};

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

/// Columns and their values, as a row for serde.
struct Columns(Vec<(String, Value)>);

impl Columns {
    fn of(words: &[&str]) -> Self {
        let column = |word: &&str| {
            let (name, is) = word.split_once('=').expect("name=value");
            (text(name), value(is))
        };
        Self(words.iter().map(column).collect())
    }
}

struct Plain<'a>(&'a Value);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => to.serialize_none(),
            Value::Integer(i) => to.serialize_i64(*i),
            Value::Real(r) => to.serialize_f64(*r),
            Value::Text(t) => to.serialize_str(t),
            Value::Blob(b) => to.serialize_bytes(b),
        }
    }
}

impl Serialize for Columns {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, &Plain(value))?;
        }
        map.end()
    }
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

    // ---- writing ----

    fn sql(&mut self, command: &str, sql: &str) {
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

    fn sets(&mut self, sets: &[ResultSet]) {
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
    fn put(&mut self, change: impl FnOnce(Transaction) -> Result<Transaction, Error>) {
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

    fn change(&mut self, command: &str, words: &[&str]) {
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

    fn change_json(&mut self, command: &str, table: &str, key: Vec<Value>, json: &str) {
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        self.put(|t| match command {
            "insert-json" => t.insert(table, &json),
            "upsert-json" => t.upsert(table, &json),
            _ => t.update(table, key, &json),
        });
    }

    fn transact(&mut self, command: &str, words: &[&str]) {
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

    // ---- reading ----

    fn table(&mut self, word: &str) -> Option<String> {
        let name = text(word);
        if !self.tables.contains_key(&name) {
            let table = self.mirror.table(&name);
            let table = self.failed(table)?;
            self.tables.insert(name.clone(), table);
        }
        Some(name)
    }

    fn shown_row(&self, row: RowRef<'_>) -> String {
        format!("row {}{}", self.since(row.revision()), shown_columns(row))
    }

    fn read(&mut self, command: &str, words: &[&str]) {
        let Some(table) = self.table(words[0]) else { return };
        match command {
            "many" => return self.many(&table, &words[1..]),
            "scan" | "each" => return self.scan(&table, words[1] == "sorted"),
            "count" => {
                let count = self.tables[&table].count();
                if let Some(count) = self.failed(count) {
                    self.say(&format!("count {count}"));
                }
                return;
            }
            _ => {}
        }
        let (key, after) = key(&words[1..]);
        let mut row = std::mem::take(&mut self.row);
        // Short ways where there are such.
        let found = match &*key {
            [Value::Integer(i)] => self.tables[&table].read(*i, &mut row),
            [Value::Text(t)] => self.tables[&table].read(t, &mut row),
            _ => self.tables[&table].read(&key, &mut row),
        };
        match found {
            Err(error) => self.say(&status(&error)),
            Ok(false) => self.say("SHMIRROR_NOT_FOUND"),
            Ok(true) => {
                let said = match command {
                    "read" => self.shown_row(row.as_ref()),
                    "json" => row.to_json().to_string(),
                    "get" => typed(&row, &text(after[0]), after[1])
                        .map_or_else(|e| status(&e), |v| shown_value(v.as_ref())),
                    "fields" => fields(&row, after),
                    _ => {
                        let key = row.key();
                        let shown = |v: &Value| format!(" {}", shown_value(v.as_ref()));
                        format!("key{}", key.iter().map(shown).collect::<String>())
                    }
                };
                self.say(&said);
            }
        }
        self.row = row;
    }

    fn many(&mut self, table: &str, words: &[&str]) {
        let keys: Vec<Vec<Value>> =
            words.split(|w| *w == "/").map(|key| key.iter().map(|w| value(w)).collect()).collect();
        let found = self.tables[table].get_many(&keys);
        let Some((revision, rows)) = self.failed(found) else { return };
        self.say(&format!("revision {} rows {}", self.since(revision), rows.len()));
        for row in rows {
            let line = row.map_or("none".to_owned(), |r| self.shown_row(r.as_ref()));
            self.say(&line);
        }
    }

    fn scan(&mut self, table: &str, sorted: bool) {
        let scan = self.tables[table].scan();
        let Some(scan) = self.failed(scan) else { return };
        let mut lines: Vec<String> = if sorted {
            scan.sorted().map(|r| self.shown_row(r)).collect()
        } else {
            scan.iter().map(|r| self.shown_row(r)).collect()
        };
        if !sorted {
            lines.sort();
        }
        self.say(&format!("revision {} rows {}", self.since(scan.revision()), scan.len()));
        lines.iter().for_each(|line| self.say(line));
    }

    // ---- cells ----

    fn cell(&mut self, command: &str, words: &[&str]) {
        let said = match command {
            "cell" => {
                let Some(table) = self.table(words[1]) else { return };
                let (key, after) = key(&words[2..]);
                self.tables[&table].cell(key, &text(after[0])).map(|cell| {
                    self.cells.insert(text(words[0]), cell);
                    "ok".to_owned()
                })
            }
            "refresh" => self.cells[words[0]].refresh().map(|()| "ok".to_owned()),
            _ => cell_value(&self.cells[words[0]], words[1])
                .map(|v| shown_value(v.as_ref()))
                .map_err(Error::from),
        };
        let said = said.unwrap_or_else(|e| status(&e));
        self.say(&said);
    }

    // ---- schema ----

    fn schema(&mut self, command: &str, words: &[&str]) {
        if command == "schema" {
            let Some(table) = self.table(words[0]) else { return };
            let schema = self.tables[&table].schema();
            return self.definition(&schema);
        }
        let catalogue = self.mirror.catalogue();
        let Some(catalogue) = self.failed(catalogue) else { return };
        self.say(&format!("catalogue {}", catalogue.schema_version));
        catalogue.tables.iter().for_each(|t| self.definition(t));
        for object in &catalogue.objects {
            let kind = match object.kind {
                ObjectKind::Index => "index",
                ObjectKind::View => "view",
                ObjectKind::Trigger => "trigger",
            };
            let (name, table) = (shown(&object.name), shown(&object.table));
            self.say(&format!("{kind} {name} of {table} {}", message(&object.sql)));
        }
    }

    fn definition(&mut self, def: &TableDef) {
        let kind = match def.key {
            KeyKind::Integer => "integer",
            KeyKind::Columns => "columns",
            KeyKind::Rowid => "rowid",
        };
        let parts: String = def.key_columns.iter().map(|i| format!(" {i}")).collect();
        let (without_rowid, strict) = (u8::from(def.without_rowid), u8::from(def.strict));
        let name = shown(&def.name);
        self.say(&format!(
            "table {name} key={kind} without-rowid={without_rowid} strict={strict} parts{parts}"
        ));
        self.say(&format!("  {}", message(&def.sql)));
        for c in &def.columns {
            let affinity = match c.affinity {
                Affinity::Blob => "blob",
                Affinity::Text => "text",
                Affinity::Numeric => "numeric",
                Affinity::Integer => "integer",
                Affinity::Real => "real",
            };
            let collation = match c.collation {
                Collation::Binary => "binary",
                Collation::NoCase => "nocase",
                Collation::RTrim => "rtrim",
            };
            let generated = match c.generated {
                Generated::No => "no",
                Generated::Virtual => "virtual",
                Generated::Stored => "stored",
            };
            let found = def.column_index(&c.name).unwrap();
            self.say(&format!(
                "  column {} type={} default={} affinity={affinity} collation={collation} \
                 generated={generated} key={} not-null={} hidden={} found={found}",
                shown(&c.name),
                shown(&c.decl_type),
                shown(c.default_sql.as_deref().unwrap_or("-")),
                c.key_position,
                u8::from(c.not_null),
                u8::from(c.hidden),
            ));
        }
    }

    // ---- events ----

    fn events(&mut self, command: &str, words: &[&str]) {
        let filter = |from: usize| -> Vec<String> {
            words.get(from..).unwrap_or_default().iter().map(|w| text(w)).collect()
        };
        fn names(filter: &[String]) -> Vec<&str> {
            filter.iter().map(String::as_str).collect()
        }
        match command {
            "history" => {
                let from = self.revision(words[0]).unwrap();
                let history = self.mirror.history(from, &names(&filter(1)));
                let Some(history) = self.failed_with_message::<History>(history) else { return };
                for event in history {
                    self.event(&event.unwrap(), false);
                }
                self.say("end");
            }
            "subscribe" => {
                let builder = Subscriber::builder(&self.options).tables(&names(&filter(2)));
                let builder = match self.revision(words[1]) {
                    Some(revision) => builder.from_revision(revision),
                    None => builder.from_now(),
                };
                if let Some(made) = self.failed_with_message(builder.subscribe()) {
                    self.subscribers.insert(text(words[0]), made);
                }
            }
            "events" => {
                for _ in 0..words[1].parse::<u32>().unwrap() {
                    let subscriber = self.subscribers.get_mut(words[0]).unwrap();
                    let event = subscriber.next(PATIENCE).unwrap().expect("an event in time");
                    self.event(&event, words.len() > 2);
                }
            }
            "quiet" => {
                let subscriber = self.subscribers.get_mut(words[0]).unwrap();
                let event = subscriber.try_next();
                if let Some(None) = self.failed(event) {
                    self.say("SHMIRROR_PENDING");
                }
            }
            _ => {
                let revision = self.revision(words[1]).unwrap();
                let subscriber = self.subscribers.get_mut(words[0]).unwrap();
                let resumed = subscriber.resume_from(revision);
                if self.failed_with_message(resumed).is_some() {
                    self.say("ok");
                }
            }
        }
    }

    fn event(&mut self, event: &Event, as_json: bool) {
        if as_json {
            return self.say(&shown_json(&event.to_json().to_string()));
        }
        let list = |label: &str, names: &[String]| {
            let shown: Vec<String> = names.iter().map(|n| shown(n)).collect();
            let equals = if names.is_empty() { "" } else { "=" };
            format!(" {label}{equals}{}", shown.join(","))
        };
        let mut line = String::new();
        let (uid, pid, at_us) = match event {
            Event::Schema(e) => {
                write!(line, "schema {}", self.since(e.revision)).unwrap();
                line += &list("created", &e.created);
                line += &list("changed", &e.changed);
                line += &list("dropped", &e.dropped);
                (e.uid, e.pid, e.at_us)
            }
            Event::Change(e) => {
                let (revision, table) = (self.since(e.revision), shown(&e.table));
                write!(line, "change {revision} {table} {} key", e.operation.name()).unwrap();
                for value in &e.key {
                    write!(line, " {}", shown_value(value.as_ref())).unwrap();
                }
                line += &list("columns", &e.changed);
                match &e.row {
                    Some(row) => {
                        line.push(' ');
                        line += &self.shown_row(row.as_ref());
                    }
                    None => line += " none",
                }
                line += if e.sequence == 0 { " log" } else { " lane" };
                line += if e.last_of_transaction { " last" } else { "" };
                (e.uid, e.pid, e.at_us)
            }
            other => panic!("an event of another kind: {other:?}"),
        };
        line += if uid == rustix::process::getuid().as_raw() { "" } else { " uid?" };
        line += if pid == std::process::id() { "" } else { " pid?" };
        // Microseconds: not before 2001 and not after 2286.
        let likely = 1_000_000_000_000_000..10_000_000_000_000_000;
        line += if likely.contains(&at_us) { "" } else { " at?" };
        self.say(&line);
    }

    // ---- the instance ----

    fn instance(&mut self, command: &str, words: &[&str]) {
        match command {
            "mark" => drop(self.marks.insert(text(words[0]), self.last)),
            "params" => self.params = key(words).0,
            "revision" => {
                let revision = self.since(self.mirror.revision());
                self.say(&format!("revision {revision}"));
            }
            "wait-revision" => {
                let revision = self.revision(words[0]).unwrap();
                let waited = self.mirror.wait_revision(revision, Duration::from_millis(1));
                if self.failed(waited).is_some() {
                    self.say("ok");
                }
            }
            "live" => {
                let (reader, writer) = (self.mirror.is_live(), self.producer.is_live());
                let name = self.mirror.instance_name();
                let (reader, writer) = (u8::from(reader), u8::from(writer));
                self.say(&format!("mirror {reader} producer {writer} name {name}"));
            }
            "attach" => {
                let Value::Text(place) = value(words[1]) else { panic!("expected a text") };
                let options = match words[0] {
                    "socket" => Options::new().socket(place),
                    _ => Options::new().instance(&place),
                };
                let _ = self.failed(Mirror::attach(&options));
                let _ = self.failed(Producer::attach(&options));
            }
            "check" => {
                let checked = self.mirror.check();
                if let Some(checked) = self.failed(checked) {
                    let ok = checked["ok"] == serde_json::Value::Bool(true);
                    self.say(if ok { "ok" } else { "not ok" });
                }
            }
            "backup" => {
                let path = self.folder.join(text(words[0]));
                let made = self.mirror.backup(&path);
                if let Some(made) = self.failed(made) {
                    let named = made.to_string().contains(path.to_str().unwrap());
                    self.say(if named { "ok" } else { "another file" });
                }
            }
            other => panic!("no such command: {other}"),
        }
    }
}

/// All columns, the hidden ones too.
fn shown_columns(row: RowRef<'_>) -> String {
    let form = row.form();
    let one =
        |i| format!(" {}={}", shown(form.name(i).unwrap()), shown_value(row.get_at(i).unwrap()));
    (0..form.columns()).map(one).collect()
}

/// The column's value where it converts to this type without loss.
fn typed(row: &Row, column: &str, kind: &str) -> Result<Value, Error> {
    fn get<'a, T: FromValue<'a>>(row: &'a Row, column: &str) -> Result<T, Error> {
        // NULL is a failure of its own in C.
        if row.value(column)? == ValueRef::Null {
            return Err(CellError::Null { expected: "a value" }.into());
        }
        row.get(column)
    }
    Ok(match kind {
        "value" => row.value(column)?.to_owned(),
        "i64" => get::<i64>(row, column)?.into(),
        "f64" => get::<f64>(row, column)?.into(),
        "bool" => get::<bool>(row, column)?.into(),
        "i32" => get::<i32>(row, column)?.into(),
        "u32" => get::<u32>(row, column)?.into(),
        "u64" => Value::Integer(get::<u64>(row, column)? as i64),
        "f32" => get::<f32>(row, column)?.into(),
        "text" => get::<&str>(row, column)?.into(),
        _ => get::<&[u8]>(row, column)?.into(),
    })
}

fn fields(row: &Row, words: &[&str]) -> String {
    let mut line = "fields".to_owned();
    for word in words {
        let (column, kind) = word.split_once('=').unwrap();
        let (kind, nullable) = (kind.trim_end_matches('?'), kind.ends_with('?'));
        let value = match (typed(row, &text(column), kind), kind) {
            (Err(Error::Cell { source: CellError::Null { .. }, .. }), _) if nullable => Value::Null,
            (Err(error), _) => return status(&error),
            // Arrays in C: of exactly 4 bytes, and of 64 with a NUL, which ends the text.
            (Ok(Value::Blob(b)), "bytes") if b.len() > 4 => return name("short-buffer"),
            (Ok(Value::Blob(b)), "bytes") if b.len() < 4 => return name("type"),
            (Ok(Value::Text(t)), "text") if t.len() > 63 => return name("short-buffer"),
            (Ok(Value::Text(t)), "text") if t.contains('\0') => return name("type"),
            (Ok(value), _) => value,
        };
        write!(line, " {}={}", shown(&text(column)), shown_value(value.as_ref())).unwrap();
    }
    line
}

fn cell_value(cell: &Cell, kind: &str) -> Result<Value, CellError> {
    Ok(match kind {
        "i64" => cell.i64()?.into(),
        "f64" => cell.f64()?.into(),
        "bool" => cell.bool()?.into(),
        "null" => cell.is_null()?.into(),
        "text" => {
            let mut out = String::new();
            cell.text(&mut out)?;
            out.into()
        }
        _ => {
            let mut out = Vec::new();
            cell.bytes(&mut out)?;
            out.into()
        }
    })
}
