//! Rotation: a new data key, and everything sealed anew with it, while the store is served.
//!
//! ```text
//! begin   one durable transaction: a second key slot with the new key, wrapped by the provider that
//!         opened the store; state and catalogue sealed with it. From here on all seals are new ones
//! steps   passes over `row`, then `commit_log`: what another key sealed is sealed anew in its place,
//!         so many as the time of a step allows, each step a transaction
//! end     a pass that found nothing of another key since its beginning: as this thread alone writes,
//!         and with the new key alone, nothing of the old one can be left. One durable transaction
//!         removes the old slot
//! ```
//! Identities, revisions and lengths stay as they are, so the state's sums do too. A kill at any moment
//! leaves one slot, or two and a rotation that the next start goes on with: what was sealed anew is
//! passed over quickly.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::cipher::Algorithm;
use crate::error::{Place, StoreError, sqlite};
use crate::format::{META_CATALOGUE, meta, set_meta};
use crate::key::Providers;
use crate::keys::new_data_key;
use crate::plain::Plain;
use crate::seal::{Identity, Kind, Parts, Sealer};
use crate::slots::{Slot, read_slots};
use crate::state::State;
use crate::store::{Store, Synchronous};

/// Rows, groups and sealed bytes that are looked at before the clock is.
const ROWS: i64 = 64;
const GROUPS: i64 = 8;
const BYTES: usize = 512 << 10;

/// How far a rotation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Number of the old data key.
    pub from: u32,
    /// Number of the new one.
    pub to: u32,
    /// Name of the new one's cipher.
    pub cipher: &'static str,
    /// Rows looked at, and rows there are.
    pub rows: (u64, u64),
    /// Sealed bytes of the log looked at, and those there are.
    pub log_bytes: (u64, u64),
    /// Rows and groups sealed anew since it began, or since this start.
    pub resealed: (u64, u64),
    /// Part that is done, in hundredths.
    pub percent: u8,
}

/// What a step of a rotation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotateStep {
    /// There is no rotation under way.
    None,
    /// It is further.
    Further,
    /// It waits until SQLite's write-ahead log has moved into the file.
    Waits,
    /// It has ended, with these figures.
    Ended(Rotation),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Table {
    Row,
    Log,
}

/// A rotation under way.
pub(crate) struct Rotating {
    from: u32,
    /// Where this pass is, and whether it has met a seal of another key.
    table: Table,
    next: u64,
    met: bool,
    again: bool,
    rows: u64,
    row_bytes: u64,
    log_bytes: u64,
    resealed: (u64, u64),
    /// What was told last: new groups make more to do, but nothing undone.
    percent: u8,
}

impl Rotating {
    pub fn new(from: u32) -> Self {
        Self {
            from,
            table: Table::Row,
            next: 0,
            met: false,
            again: false,
            rows: 0,
            row_bytes: 0,
            log_bytes: 0,
            resealed: (0, 0),
            percent: 0,
        }
    }

    /// That of a store with these data keys, rising.
    pub fn of(numbers: &[u32]) -> Option<Self> {
        (numbers.len() > 1).then(|| Self::new(numbers[0]))
    }

    fn figures(&self, to: u32, cipher: &'static str, state: &State) -> Rotation {
        let (rows, log) = match self.again {
            true => (state.rows.rows, state.log_bytes),
            false => (self.rows.min(state.rows.rows), self.log_bytes.min(state.log_bytes)),
        };
        // Rows are weighed by their mean length so far.
        let row = self.row_bytes.checked_div(self.rows).unwrap_or(200).max(1);
        let done = u128::from(rows * row) + u128::from(log);
        let all = u128::from(state.rows.rows * row) + u128::from(state.log_bytes);
        let percent = (done * 100).checked_div(all).unwrap_or(100).min(99) as u8;
        let percent = percent.max(self.percent);
        let (rows, log_bytes) = ((rows, state.rows.rows), (log, state.log_bytes));
        let (from, resealed) = (self.from, self.resealed);
        Rotation { from, to, cipher, rows, log_bytes, resealed, percent }
    }
}

impl Store {
    /// How far the rotation under way is.
    pub fn rotation(&self) -> Option<Rotation> {
        let (cipher, to) = self.seals_with();
        self.rotating.as_ref().map(|rotating| rotating.figures(to, cipher, &self.state))
    }

    /// Begins a rotation: makes a data key for `cipher` (that of the present key, where there is none)
    /// and, once this returns, seals with it. [`Store::rotate_step`] does the rest.
    ///
    /// # Errors
    /// [`StoreError::Rotating`] where one is under way; the key provider's; as [`Store::commit`]. The
    /// store and its keys are as they were then.
    pub fn rotate(&mut self, cipher: Option<Algorithm>) -> Result<Rotation, StoreError> {
        if let Some(rotation) = self.rotation() {
            let (file, rotation) = (self.path.clone(), Box::new(rotation));
            return Err(StoreError::Rotating { file, rotation });
        }
        let Some(live) = self.live.as_mut() else { return Err(StoreError::NotRecovered) };
        let (path, sealer) = (&self.path, &mut self.sealer);
        let present = sealer.opener.keys.current();
        let algorithm = match cipher.or_else(|| Algorithm::of_id(present.cipher.id())) {
            Some(algorithm) => algorithm,
            None => Algorithm::DEFAULT,
        };
        let Some(number) = present.number.checked_add(1) else {
            let what = "its data keys have used up all numbers".into();
            return Err(StoreError::Damaged { file: path.clone(), what });
        };
        let slots = read_slots(live.conn(), path)?;
        let id = slots.iter().map(|slot| slot.id).max().unwrap_or(0) + 1;
        let (provider, instance) = (self.provider.as_ref(), &sealer.opener.instance);
        let (key, wrapped) = new_data_key(provider, path, instance, id, number, algorithm)?;
        let slot = Slot { id, provider: provider.name().into(), wrapped };
        same_wrapping_key(path, &provider.place(), &slots, &slot)?;

        sealer.opener.keys.add(key.in_slot(id));
        let (state, blob) = (&self.state, &mut self.blob);
        let begun = live.transaction(path, "beginning a rotation", Synchronous::Full, |conn| {
            let failed = sqlite(path, "writing key_slot");
            let values = (slot.id as i64, &slot.provider, &slot.wrapped);
            conn.execute("INSERT INTO key_slot VALUES(?1, ?2, ?3)", values).map_err(failed)?;
            reseal_catalogue(conn, path, sealer, state, blob)?;
            state.write(conn, sealer, blob)
        });
        if let Err(error) = begun {
            sealer.opener.keys.retire(number);
            return Err(error);
        }
        let rotating = self.rotating.insert(Rotating::new(present.number));
        Ok(rotating.figures(number, algorithm.name, &self.state))
    }

    /// Seals anew for about `time`; a single group may take longer. Needs no sync of the disk, save
    /// for the last step.
    ///
    /// # Errors
    /// As [`Store::commit`], and [`StoreError::BadSeal`]: what does not open can't be sealed anew, and
    /// the rotation does not end. Nothing of the step was done then, and a later one tries again.
    pub fn rotate_step(&mut self, time: Duration) -> Result<RotateStep, StoreError> {
        let Some(live) = self.live.as_mut() else { return Err(StoreError::NotRecovered) };
        let Some(rotating) = self.rotating.as_mut() else { return Ok(RotateStep::None) };
        if live.wal_lags() {
            return Ok(RotateStep::Waits);
        }
        let (path, sealer) = (&self.path, &mut self.sealer);
        let mut pass = Pass {
            path,
            sealer,
            table: rotating.table,
            next: rotating.next,
            met: rotating.met,
            rows: 0,
            row_bytes: 0,
            log_bytes: 0,
            resealed: (0, 0),
            plain: Plain::default(),
            blobs: Vec::new(),
            places: Vec::new(),
        };
        let begun = Instant::now();
        let ended = live.transaction(path, "sealing anew", Synchronous::Normal, |conn| {
            while pass.some(conn)? {
                if begun.elapsed() >= time {
                    return Ok(false);
                }
            }
            Ok(true)
        })?;
        rotating.resealed.0 += pass.resealed.0;
        rotating.resealed.1 += pass.resealed.1;
        rotating.rows += pass.rows;
        rotating.row_bytes += pass.row_bytes;
        rotating.log_bytes += pass.log_bytes;
        (rotating.table, rotating.next, rotating.met) = (pass.table, pass.next, pass.met);
        rotating.percent = rotating.figures(0, "", &self.state).percent;
        if !ended {
            return Ok(RotateStep::Further);
        }
        if rotating.met {
            // Once more from the beginning, to see that nothing is left.
            rotating.again = true;
            (rotating.table, rotating.next, rotating.met) = (Table::Row, 0, false);
            return Ok(RotateStep::Further);
        }
        self.end_rotation()
    }

    fn end_rotation(&mut self) -> Result<RotateStep, StoreError> {
        let (Some(live), Some(rotating)) = (self.live.as_mut(), self.rotating.as_ref()) else {
            return Ok(RotateStep::None);
        };
        let (path, sealer, state) = (&self.path, &mut self.sealer, &self.state);
        let blob = &mut self.blob;
        let (keys, current) = (sealer.opener.keys.clone(), sealer.opener.keys.current());
        // Zeros take the place of the slot, also where its page is not used again.
        live.overwriting(path, "ending a rotation", |conn| {
            let failed = sqlite(path, "writing key_slot");
            for slot in keys.old_slots() {
                let deleted = conn.execute("DELETE FROM key_slot WHERE id = ?1", [slot as i64]);
                deleted.map_err(&failed)?;
            }
            let left = read_slots(conn, path)?.len();
            if left != 1 {
                let what = format!("{left} key slots at the end of a rotation, expected 1");
                return Err(StoreError::Damaged { file: path.clone(), what });
            }
            state.write(conn, sealer, blob)
        })?;
        let name = Algorithm::of_id(current.cipher.id()).map_or("unknown", |a| a.name);
        let mut figures = rotating.figures(current.number, name, state);
        figures.percent = 100;
        for number in keys.numbers() {
            if number != current.number {
                keys.retire(number);
            }
        }
        self.rotating = None;
        self.wal_has_old_slot = true;
        Ok(RotateStep::Ended(figures))
    }

    /// After a rotation: empties SQLite's write-ahead log, which still has the page with the old slot.
    /// Where a reader is in the way that is for a later call. Whether there is nothing more to do.
    ///
    /// # Errors
    /// SQLite's.
    pub fn forget_old_slot(&mut self) -> Result<bool, StoreError> {
        if let Some(live) = self.live.as_mut()
            && self.wal_has_old_slot
        {
            self.wal_has_old_slot = !live.empty_wal(&self.path)?;
        }
        Ok(!self.wal_has_old_slot)
    }
}

/// A pass over everything sealed, as far as one step takes it.
struct Pass<'s> {
    path: &'s Path,
    sealer: &'s mut Sealer,
    table: Table,
    /// Slot, or first revision, from which on nothing was looked at.
    next: u64,
    met: bool,
    rows: u64,
    row_bytes: u64,
    log_bytes: u64,
    resealed: (u64, u64),
    plain: Plain,
    /// What was sealed anew, one after the other, and where each belongs.
    blobs: Vec<u8>,
    places: Vec<(u64, usize)>,
}

impl Pass<'_> {
    /// The next few values. Whether there was any.
    fn some(&mut self, conn: &Connection) -> Result<bool, StoreError> {
        let failed = sqlite(self.path, "sealing anew");
        let (select, update, limit) = match self.table {
            Table::Row => (
                "SELECT slot, revision, sealed FROM row WHERE slot >= ?1 ORDER BY slot LIMIT ?2",
                "UPDATE row SET sealed = ?2 WHERE slot = ?1",
                ROWS,
            ),
            Table::Log => (
                "SELECT first_revision, last_revision, sealed FROM commit_log \
                 WHERE first_revision >= ?1 ORDER BY first_revision LIMIT ?2",
                "UPDATE commit_log SET sealed = ?2 WHERE first_revision = ?1",
                GROUPS,
            ),
        };
        self.blobs.clear();
        self.places.clear();
        let mut select = conn.prepare_cached(select).map_err(&failed)?;
        let mut found = select.query((self.next as i64, limit)).map_err(&failed)?;
        let (mut looked, mut bytes) = (false, 0);
        while bytes < BYTES
            && let Some(row) = found.next().map_err(&failed)?
        {
            let (at, revision): (i64, i64) =
                (row.get(0).map_err(&failed)?, row.get(1).map_err(&failed)?);
            let (at, revision) = (at as u64, revision as u64);
            let place = match self.table {
                Table::Row => Place::Row { slot: at },
                Table::Log => Place::Log { first: at },
            };
            let sealed = row.get_ref(2).map_err(&failed)?.as_blob();
            let sealed = sealed.map_err(|e| self.sealer.opener.malformed(place, e))?;
            looked = true;
            bytes += sealed.len();
            self.next = at + 1;
            match self.table {
                Table::Row => {
                    self.rows += 1;
                    self.row_bytes += sealed.len() as u64;
                }
                Table::Log => self.log_bytes += sealed.len() as u64,
            }
            self.value(place, revision, sealed)?;
        }
        drop(found);
        if !self.places.is_empty() {
            self.met = true;
            let mut update = conn.prepare_cached(update).map_err(&failed)?;
            let mut begin = 0;
            for &(at, end) in &self.places {
                update.execute((at as i64, &self.blobs[begin..end])).map_err(&failed)?;
                begin = end;
            }
            match self.table {
                Table::Row => self.resealed.0 += self.places.len() as u64,
                Table::Log => self.resealed.1 += self.places.len() as u64,
            }
        }
        if !looked && self.table == Table::Row {
            (self.table, self.next, looked) = (Table::Log, 0, true);
        }
        Ok(looked)
    }

    /// One sealed value: sealed anew, unless the present key sealed it.
    fn value(&mut self, place: Place, revision: u64, sealed: &[u8]) -> Result<(), StoreError> {
        let opener = &self.sealer.opener;
        let number = Parts::of(sealed).map_err(|fault| opener.bad(place, fault))?.key_id;
        if number == opener.keys.current().number {
            return Ok(());
        }
        let opened = opener.open(place, Some(revision), sealed, &mut self.plain)?;
        let (kind, at) = match place {
            Place::Row { slot } => (Kind::Row, slot),
            Place::Log { first } => (Kind::Log, first),
            _ => return Err(opener.malformed(place, "expected a row or a group")),
        };
        let identity = Identity { kind, table: opened.table, place: at, revision };
        self.sealer.seal_behind(&identity, &[opened.body], &mut self.blobs)?;
        self.places.push((at, self.blobs.len()));
        Ok(())
    }
}

/// Seals the catalogue anew, in the caller's transaction.
fn reseal_catalogue(
    conn: &Connection,
    path: &Path,
    sealer: &mut Sealer,
    state: &State,
    blob: &mut Vec<u8>,
) -> Result<(), StoreError> {
    let sealed = meta(conn, path, META_CATALOGUE)?;
    let (revision, mut plain) = (state.catalogue, Plain::default());
    let opened = sealer.opener.open(Place::Catalogue, Some(revision), &sealed, &mut plain)?;
    let identity = Identity { kind: Kind::Catalogue, table: opened.table, place: 0, revision };
    sealer.seal(&identity, &[opened.body], blob)?;
    set_meta(conn, path, META_CATALOGUE, blob)
}

/// A provider whose key was replaced meanwhile would leave slots of two keys, which nothing opens.
fn same_wrapping_key(
    path: &Path,
    place: &str,
    before: &[Slot],
    new: &Slot,
) -> Result<(), StoreError> {
    let text = |slot: &Slot| {
        let named = Providers::particulars(slot).into_iter();
        named.map(|(_, value)| value.to_string()).collect::<Vec<_>>().join(" ")
    };
    let found = text(new);
    match before.iter().map(text).find(|expected| *expected != found) {
        None => Ok(()),
        Some(expected) => {
            let (store, key) = (path.to_path_buf(), place.to_owned());
            Err(StoreError::KeyWrong { store, key, found, expected })
        }
    }
}
