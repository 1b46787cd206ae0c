//! The power goes at every kind of moment of a store's life: what was done to its files is written down while it
//! works, and then the disk as of many places of that journal is made, opened, and held against what the
//! store had been told by then.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use shmirror_shm::points::Board;
use shmirror_shm::value::Value;
use shmirror_store::faults::VARIABLE;
use shmirror_store::faults::journal::Op;
use shmirror_store::{Store, StoreError, StoreOptions};

use crate::disk::{Disk, Left};
use crate::fault::Setting;
use crate::instance::{Process, role};
use crate::random::Random;
use crate::report::Row;
use crate::role::store::{ROWS, changes, providers, text};

/// Hexadecimal digits of a key for the provider "credential".
const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// What kind of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// All that was acknowledged is promised.
    Full,
    /// The same, and its syncs fail now and then.
    FullOnABadDisk,
    /// A tail may be missing.
    Normal,
    /// Bug: syncs do nothing, and say that they did.
    SyncsLie,
    /// Bug: a sync that failed is taken for nothing.
    SyncsAreTrusted,
}

/// Runs it.
pub fn run(setting: &Setting) -> Row {
    let mut row = Row::of(setting.name);
    let mut random = Random::of(setting.seed, setting.name);
    let mut counts = Counts::default();
    let begun = Instant::now();
    let mut number = 0;
    let share = (setting.time / 5).min(Duration::from_secs(4));
    // Each kind at least once, however short the run, and until everything was seen.
    while number < 3
        || begun.elapsed() + 2 * share < setting.time
        || (number < 24 && !counts.saw_all() && row.lost.is_empty())
    {
        let kind = [Kind::Full, Kind::FullOnABadDisk, Kind::Normal][number % 3];
        number += 1;
        story(kind, &mut random, share, &mut counts, &mut row);
    }
    // What this would see of a store that breaks its promise.
    for (kind, name) in [
        (Kind::SyncsLie, "stores that lost what was not synced"),
        (Kind::SyncsAreTrusted, "stores that trusted a failed sync"),
    ] {
        let mut found = Row::default();
        for _ in 0..5 {
            story(kind, &mut random, share, &mut Counts::default(), &mut found);
            if !found.lost.is_empty() {
                break;
            }
        }
        row.checked.push((name, found.lost.len() as u64));
        if found.lost.is_empty() {
            row.lost.push(format!("{kind:?} is not seen"));
        }
    }
    row.injected = counts.cuts;
    row.checked.extend([
        ("sectors, lengths and names lost", counts.lost),
        ("cuts before the store was there", counts.before),
        ("cuts in a commit", counts.in_commit),
        ("of them found whole", counts.whole),
        ("cuts under NORMAL that took a tail", counts.tails),
        ("failed commits", counts.rejected),
        ("key wraps", counts.wraps),
        ("backups opened", counts.backups),
        ("rows compared", counts.rows),
    ]);
    row
}

#[derive(Default)]
struct Counts {
    cuts: u64,
    lost: u64,
    before: u64,
    in_commit: u64,
    whole: u64,
    tails: u64,
    rejected: u64,
    wraps: u64,
    backups: u64,
    rows: u64,
}

impl Counts {
    fn saw_all(&self) -> bool {
        let all = [
            self.before,
            self.in_commit,
            self.whole,
            self.tails,
            self.rejected,
            self.wraps,
            self.backups,
        ];
        all.iter().all(|count| *count > 0)
    }
}

/// Birth → text.
type Rows = BTreeMap<u64, String>;

/// What the store was told so far.
#[derive(Default)]
struct Told {
    opened: bool,
    /// The rows after each acknowledged group, by its last revision.
    states: BTreeMap<u64, Rows>,
    /// The group whose outcome is not known.
    trying: Option<(u64, Rows)>,
    backups: BTreeMap<PathBuf, u64>,
}

impl Told {
    fn take(&mut self, seed: u64, word: &str, counts: &mut Counts) {
        let mut words = word.split(' ');
        let kind = words.next().unwrap_or_default();
        let rest: Vec<&str> = words.collect();
        let number = |i: usize| rest.get(i).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        match kind {
            "opened" => self.opened = true,
            "tries" => {
                let mut rows = self.states.values().next_back().cloned().unwrap_or_default();
                for revision in number(1)..=number(2) {
                    if revision == 1 {
                        continue; // makes the table
                    }
                    for (birth, length) in changes(seed, number(0), revision) {
                        rows.insert(birth, text(number(0), revision, birth, length));
                    }
                }
                self.trying = Some((number(2), rows));
            }
            "acknowledged" => self.states.extend(self.trying.take()),
            "rejected" => {
                counts.rejected += 1;
                self.trying = None;
            }
            "backup" => _ = self.backups.insert(PathBuf::from(rest[0]), number(1)),
            "wrapped" => counts.wraps += 1,
            _ => {}
        }
    }
}

/// One store's life, and the power gone at many moments of it.
fn story(kind: Kind, random: &mut Random, time: Duration, counts: &mut Counts, row: &mut Row) {
    let home = memory_directory();
    let seed = random.next() >> 16;
    let data = home.path().join("deep/data");
    std::fs::write(home.path().join("credential"), KEY).expect("a credential");
    let journal = home.path().join("journal");
    let points = home.path().join("points");
    Board::open(&points).expect("points");
    let level = if kind == Kind::Normal { "normal" } else { "full" };
    let fails = match kind {
        Kind::Full | Kind::Normal => "works",
        Kind::FullOnABadDisk => "fails",
        Kind::SyncsLie => "lies",
        Kind::SyncsAreTrusted => "trusts",
    };
    let (seed_text, millis) = (seed.to_string(), (time.as_millis() / 5).to_string());
    let (data_text, home_text) = (data.to_string_lossy(), home.path().to_string_lossy());
    let arguments = [&*data_text, &home_text, &seed_text, level, fails, &millis];
    let child = role("store", &arguments, Some(&points))
        .env(VARIABLE, &journal)
        .stdin(Stdio::null())
        .spawn();
    let mut process = Process(child.expect("a process"));
    match process.end() {
        Some(status) if status.success() => {}
        Some(status) => row.lost.push(format!("the store of seed {seed} ended with {status}")),
        None => row.hung.push(format!("the store of seed {seed} does not end")),
    }
    let journal = std::fs::read(&journal).expect("a journal");
    let mut places = vec![0u64];
    while let Some((_, length)) = Op::read(&journal[*places.last().unwrap_or(&0) as usize..]) {
        places.push(places.last().unwrap_or(&0) + length as u64);
    }
    // Many of the first moments, then anywhere.
    let begun = Instant::now();
    let early = places.len().min(120) as u64;
    let mut cuts: Vec<u64> = (0..400)
        .map(|n| {
            places[random.below(if n % 8 == 0 { early } else { places.len() as u64 }) as usize]
        })
        .collect();
    cuts.sort_unstable();
    let (mut disk, mut told) = (Disk::default(), Told::default());
    let count = cuts.len() as u32;
    for (n, cut) in cuts.into_iter().enumerate() {
        while let Some(word) = disk.follow(&journal, cut) {
            told.take(seed, word, counts);
        }
        // Where there is no time for all of them: some, and each tenth in any case.
        let due = time.mul_f64(0.7 * f64::from(n as u32 + 1) / f64::from(count));
        if n % 10 != 0 && begun.elapsed() > due {
            continue;
        }
        let left = disk.left(random);
        counts.cuts += 1;
        counts.lost += left.lost;
        let after = home.path().join("after");
        let _ = std::fs::remove_dir_all(&after);
        let place = |path: &Path| after.join(path.strip_prefix(home.path()).unwrap_or(path));
        write_back(&left, place);
        let data = place(&data);
        let case = Case { kind, told: &told, left: &left, data: &data, home: home.path() };
        if let Err(what) = case.check(&place, random, counts) {
            row.lost.push(format!("{kind:?}, seed {seed}, at {cut}: {what}"));
            if row.lost.len() > 20 {
                return;
            }
        }
    }
}

/// A directory in memory, if there is one: what is on a disk here, the journal says and no real disk.
pub fn memory_directory() -> tempfile::TempDir {
    let mut builder = tempfile::Builder::new();
    builder.prefix("torture-");
    builder.tempdir_in("/dev/shm").or_else(|_| builder.tempdir()).expect("a directory")
}

/// Writes what is left to where `place` says.
pub fn write_back(left: &Left, place: impl Fn(&Path) -> PathBuf) {
    use std::os::unix::fs::PermissionsExt;
    for (path, bytes) in &left.files {
        let path = place(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("a directory");
            let mode = std::fs::Permissions::from_mode(0o700);
            std::fs::set_permissions(parent, mode).expect("its mode");
        }
        std::fs::write(&path, bytes).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("its mode");
    }
}

struct Case<'c> {
    kind: Kind,
    told: &'c Told,
    left: &'c Left,
    data: &'c Path,
    home: &'c Path,
}

impl Case<'_> {
    fn check(
        &self,
        place: &impl Fn(&Path) -> PathBuf,
        random: &mut Random,
        counts: &mut Counts,
    ) -> Result<(), String> {
        let there = self.data.join("store.db").exists();
        if self.told.opened && !there {
            return Err("a store that was opened is gone".into());
        }
        counts.before += u64::from(!there);
        let (newest, rows) =
            open(self.data, self.home).map_err(|e| format!("it does not open: {e}"))?;
        let acknowledged = self.told.states.keys().next_back().copied().unwrap_or(0);
        let trying = self.told.trying.as_ref();
        counts.in_commit += u64::from(trying.is_some());
        let none = Rows::new();
        let expected = match trying {
            Some((last, rows)) if *last == newest => {
                counts.whole += 1;
                rows
            }
            _ if newest == 0 => &none,
            _ => match self.told.states.get(&newest) {
                Some(rows) => rows,
                None => return Err(format!("revision {newest} was never committed")),
            },
        };
        if newest < acknowledged {
            if self.kind != Kind::Normal {
                return Err(format!("{acknowledged} was acknowledged, {newest} is there"));
            }
            counts.tails += 1;
        }
        counts.rows += rows.len() as u64;
        if *expected != rows {
            let differ: Vec<_> = (1..=ROWS)
                .filter(|birth| expected.get(birth) != rows.get(birth))
                .map(|birth| {
                    let head = |rows: &Rows| {
                        rows.get(&birth).map(|t| t.chars().take(16).collect::<String>())
                    };
                    (birth, head(expected), head(&rows))
                })
                .take(3)
                .collect();
            return Err(format!("rows of revision {newest} differ: {differ:?}"));
        }
        self.backups(place, random, counts)
    }

    /// A backup that was reported is there, whole; one that is there under its name is whole.
    fn backups(
        &self,
        place: &impl Fn(&Path) -> PathBuf,
        random: &mut Random,
        counts: &mut Counts,
    ) -> Result<(), String> {
        let named = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.starts_with("backup-") && !name.ends_with(".partial")
        };
        for path in self.told.backups.keys() {
            if !self.left.files.contains_key(path) {
                return Err(format!("the backup {} is gone", path.display()));
            }
        }
        let there: Vec<&PathBuf> = self.left.files.keys().filter(|path| named(path)).collect();
        if there.is_empty() {
            return Ok(());
        }
        let path = there[random.below(there.len() as u64) as usize];
        let copy = self.data.with_file_name("data-of-a-backup");
        let _ = std::fs::remove_dir_all(&copy);
        std::fs::create_dir(&copy).map_err(|e| e.to_string())?;
        std::fs::rename(place(path), copy.join("store.db")).map_err(|e| e.to_string())?;
        if self.data.join("key").exists() {
            std::fs::copy(self.data.join("key"), copy.join("key")).map_err(|e| e.to_string())?;
        }
        let opened =
            open(&copy, self.home).map_err(|e| format!("backup {}: {e}", path.display()))?;
        counts.backups += 1;
        match self.told.backups.get(path) {
            Some(revision) if *revision != opened.0 => {
                Err(format!("a backup of {revision} is of {}", opened.0))
            }
            _ => Ok(()),
        }
    }
}

/// Opens the store as any daemon would; its newest revision and its rows.
pub fn open(data: &Path, home: &Path) -> Result<(u64, Rows), StoreError> {
    let options = StoreOptions { keys: Some(providers(data, home)), ..StoreOptions::default() };
    let (mut store, recovered) = Store::open(data, options)?;
    let mut rows = Rows::new();
    store.load_rows(|row| {
        if let Ok([_, Value::Text(text)]) = row.image.to_values().as_deref() {
            rows.insert(row.birth, text.clone());
        }
        Ok::<(), StoreError>(())
    })?;
    store.close()?;
    Ok((recovered.newest_revision, rows))
}
