//! A store without a daemon, on a watched disk: opened, written to, checkpointed, rotated, backed up, wrapped and
//! closed, again and again. What it was told stands in the disk's journal, between what was done.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use shmirror_shm::catalogue::{
    Affinity, Catalogue, Collation, ColumnDef, Generated, KeyKind, TableDef,
};
use shmirror_shm::image::Image;
use shmirror_shm::points::{Arm, Board, Point, VARIABLE};
use shmirror_shm::record::{FLAG_LAST, Operation, RecordHeader, RowRecord, encode_schema};
use shmirror_shm::value::ValueRef;
use shmirror_store::faults::note;
use shmirror_store::{
    CredentialKey, Group, KeyFile, KeyProvider, Providers, RotateStep, Store, StoreError,
    StoreOptions, Synchronous, rewrap,
};

use crate::random::Random;

/// Rows of the table.
pub const ROWS: u64 = 24;
const TABLE: u32 = 1;
const EIO: i32 = 5;

/// The key providers of a store in `data`; the second one's key stands in `home`.
pub fn providers(data: &Path, home: &Path) -> Providers {
    Providers::new(key_file(data)).and(credential(home))
}

fn key_file(data: &Path) -> Box<dyn KeyProvider> {
    Box::new(KeyFile::new(data.join("key")))
}

fn credential(home: &Path) -> Box<dyn KeyProvider> {
    Box::new(CredentialKey::in_directory("credential", Some(home.to_path_buf())))
}

/// The rows that attempt `attempt` writes at `revision`, with their lengths: by their births.
pub fn changes(seed: u64, attempt: u64, revision: u64) -> Vec<(u64, usize)> {
    if revision == 2 {
        return (1..=ROWS).map(|birth| (birth, 100)).collect();
    }
    let mut random = Random::of(seed ^ attempt << 32 ^ revision, "changes");
    let first = random.below(ROWS);
    let long = random.below(8) == 0;
    let length = |random: &mut Random| 40 + random.below(if long { 12_000 } else { 900 }) as usize;
    let count = 1 + random.below(5);
    (0..count).map(|i| (1 + (first + i * 5) % ROWS, length(&mut random))).collect()
}

/// What a row holds that an attempt wrote.
pub fn text(attempt: u64, revision: u64, birth: u64, length: usize) -> String {
    let mut text = format!("{attempt}:{revision}:{birth}:");
    while text.len() < length {
        text.push(char::from(b'a' + (text.len() as u64 * 7 + birth) as u8 % 26));
    }
    text
}

/// Plays the role: the data directory, the one with the credential, the seed, the level, what syncs do,
/// how long.
pub fn play(arguments: &[String]) -> ExitCode {
    let [data, home, seed, level, fails, millis] = arguments else { return ExitCode::FAILURE };
    let (Ok(seed), Ok(millis)) = (seed.parse(), millis.parse()) else { return ExitCode::FAILURE };
    let synchronous = if level == "full" { Synchronous::Full } else { Synchronous::Normal };
    let board = std::env::var_os(VARIABLE).map(|path| Board::open(Path::new(&path)));
    let Some(Ok(board)) = board else { return ExitCode::FAILURE };
    let until = Instant::now() + Duration::from_millis(millis);
    let mut work = Work {
        data: Path::new(data),
        home: Path::new(home),
        seed,
        random: Random::of(seed, "work"),
        synchronous,
        fails: (fails != "works").then_some((board, fails)),
        attempt: 0,
        newest: 0,
        wrapped: false,
        backups: 0,
    };
    // Each life of the store is short, so that a few of them are seen even by a short run.
    for life in 0.. {
        if life >= 3 && Instant::now() > until {
            break;
        }
        match work.live() {
            Ok(()) => {}
            // A start that met a failing sync; the next one meets none.
            Err(StoreError::Io { .. }) if work.fails.is_some() => {}
            Err(error) => {
                eprintln!("error: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

struct Work<'w> {
    data: &'w Path,
    home: &'w Path,
    seed: u64,
    random: Random,
    synchronous: Synchronous,
    fails: Option<(Board, &'w str)>,
    attempt: u64,
    newest: u64,
    wrapped: bool,
    backups: u64,
}

impl Work<'_> {
    /// Opens the store, works with it, closes it; then another provider wraps its key.
    fn live(&mut self) -> Result<(), StoreError> {
        // A start syncs many things, and has to come through now and then.
        let every = 8 + self.random.below(40) as u32;
        self.arm(every);
        let options = StoreOptions {
            keys: Some(providers(self.data, self.home)),
            synchronous: self.synchronous,
            log_keep_bytes: 64 << 10,
            ..StoreOptions::default()
        };
        let (mut store, recovered) = Store::open(self.data, options)?;
        note("opened");
        self.newest = recovered.newest_revision;
        let fresh = self.newest == 0;
        if !fresh {
            store.load_rows(|_| Ok::<(), StoreError>(()))?;
        }
        while self.newest < 2 {
            let (first, last) = (self.newest + 1, self.newest + 1);
            self.commit(&mut store, first, last);
        }
        let every = 2 + self.random.below(6) as u32;
        self.arm(every);
        let steps = 30 + self.random.below(60);
        for _ in 0..steps {
            self.step(&mut store);
        }
        match self.random.below(3) {
            0 => drop(store),
            _ => drop(store.close()),
        }
        if self.random.below(4) > 0 {
            let new = if self.wrapped { key_file(self.data) } else { credential(self.home) };
            if rewrap(self.data, providers(self.data, self.home), new.as_ref()).is_ok() {
                self.wrapped = !self.wrapped;
                note("wrapped");
            }
        }
        Ok(())
    }

    /// Has every so many-th sync fail, or lie, where they are to.
    fn arm(&self, every: u32) {
        let Some((board, how)) = &self.fails else { return };
        let bug = Arm::Fail { every: 1, errno: 0 };
        if *how == "lies" {
            board.arm(Point::SkipSync, bug);
            return;
        }
        if *how == "trusts" {
            board.arm(Point::TrustFailedSync, bug);
        }
        board.arm(Point::StoreSync, Arm::Fail { every, errno: EIO });
    }

    fn step(&mut self, store: &mut Store) {
        match self.random.below(20) {
            0..=12 => {
                let first = self.newest + 1;
                let last = first + self.random.below(3);
                self.commit(store, first, last);
            }
            // What fails is tried again later.
            13..=15 => _ = store.checkpoint_step(1 + self.random.below(16) as usize),
            16 => _ = store.trim_step(),
            17 => {
                let _ = store.rotate(None);
                for _ in 0..self.random.below(40) {
                    match store.rotate_step(Duration::from_millis(1)) {
                        Ok(RotateStep::Further) => {}
                        _ => break,
                    }
                }
            }
            18 => _ = store.forget_old_slot(),
            _ => {
                self.backups += 1;
                let path = self.data.with_file_name(format!("backup-{}", self.backups));
                if let Ok(report) = store.reader().and_then(|mut r| r.backup_to(&path)) {
                    note(&format!("backup {} {}", path.display(), report.revision));
                }
            }
        }
    }

    fn commit(&mut self, store: &mut Store, first: u64, last: u64) {
        self.attempt += 1;
        let attempt = self.attempt;
        let (mut records, mut catalogue) = (Vec::new(), None);
        for revision in first..=last {
            let origin = RecordHeader { revision, ticket: revision, ..RecordHeader::default() };
            if revision == 1 {
                let tables = vec![table()];
                let made = Catalogue {
                    schema_version: 1,
                    next_table_id: 2,
                    tables,
                    ..Catalogue::default()
                };
                let archive = made.to_bytes().expect("a catalogue has an archive");
                let origin = RecordHeader { flags: FLAG_LAST, ..origin };
                encode_schema(&archive, 0, origin, &mut records);
                catalogue = Some(made);
                continue;
            }
            let changes = changes(self.seed, attempt, revision);
            for (i, &(birth, length)) in changes.iter().enumerate() {
                let flags = if i + 1 == changes.len() { FLAG_LAST } else { 0 };
                let text = text(attempt, revision, birth, length);
                let values = [ValueRef::Integer(birth as i64), ValueRef::Text(&text)];
                let image = Image::encode(values.into_iter());
                let key = Image::encode([values[0]].into_iter());
                let operation = if revision == 2 { Operation::Insert } else { Operation::Update };
                RowRecord {
                    operation,
                    table: (TABLE, 1),
                    birth,
                    revision,
                    origin: RecordHeader { flags, ..origin },
                    changed: &[3],
                    key: key.as_ref(),
                    row: Some(image.as_ref()),
                    columns: 2,
                }
                .encode(&mut records);
            }
        }
        let group = Group {
            first_revision: first,
            last_revision: last,
            at_us: 1_000_000 + attempt as i64,
            records: &records,
            catalogue: catalogue.as_ref(),
            next_birth: if first == 1 { 1 } else { ROWS + 1 },
            sequences: None,
        };
        note(&format!("tries {attempt} {first} {last}"));
        match store.commit(&group) {
            Ok(()) => {
                self.newest = last;
                note("acknowledged");
            }
            Err(_) => note("rejected"),
        }
    }
}

fn table() -> TableDef {
    let column = |id: u32, name: &str, key_position| ColumnDef {
        id,
        name: name.into(),
        decl_type: "TEXT".into(),
        affinity: Affinity::Text,
        not_null: false,
        default_sql: None,
        key_position,
        generated: Generated::No,
        hidden: false,
        collation: Collation::Binary,
    };
    TableDef {
        id: TABLE,
        namespace: "main".to_owned(),
        name: "part".into(),
        shape: 1,
        sql: "CREATE TABLE part(id INTEGER PRIMARY KEY, text TEXT)".into(),
        key: KeyKind::Integer,
        key_columns: vec![0],
        columns: vec![column(1, "id", 1), column(2, "text", 0)],
        without_rowid: false,
        strict: false,
        past_shapes: vec![],
    }
}
