//! Another key provider for a store that is not being served, and a new store without a daemon.
//!
//! ```text
//! look    the slots open with the present provider, and state and catalogue with them
//! wrap    each data key under the new provider, opened again and compared
//! write   one durable transaction: every slot, read back and opened again before it is committed
//! tidy    SQLite's write-ahead log goes into the file, so that no old slot is left in it
//! ```
//! The data keys stay what they are, so whoever had an old slot and its key can still open the store:
//! a rotation ends that. A kill leaves the old slots or the new ones, never some of each.

use std::path::Path;

use crate::cipher::Algorithm;
use crate::create::create;
use crate::directory::{self, Lock, STORE_FILE};
use crate::error::{StoreError, sqlite};
use crate::examine::{Examination, open_seals, read_catalogue};
use crate::files;
use crate::key::Providers;
use crate::keys::{KeyProvider, open_data_key};
use crate::live::Live;
use crate::slots::{Slot, read_slots};

/// What [`rewrap`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrapped {
    /// The provider that opened the store until now, and where its key is.
    pub from: (&'static str, String),
    /// The provider that opens it from now on, and where its key is.
    pub to: (&'static str, String),
    /// Data keys that were wrapped: two while a rotation is under way.
    pub data_keys: usize,
    /// Whether SQLite's write-ahead log is in the file by now; until then it holds the old slots.
    pub tidied: bool,
}

/// Makes a new store in `dir`, and its key where there is none yet. Returns the provider's name and
/// where the key is.
///
/// # Errors
/// [`StoreError::Exists`] where there is a store, [`StoreError::NotOurs`], [`StoreError::InUse`], the
/// errors of the provider, or the system's. Of the store nothing is left.
pub fn init(
    dir: &Path,
    keys: &Providers,
    cipher: Algorithm,
) -> Result<(&'static str, String), StoreError> {
    files::prepare();
    directory::prepare(dir, &keys.files())?;
    let mut lock = Lock::take(dir)?;
    if directory::has_store(dir)? {
        return Err(StoreError::Exists { path: dir.join(STORE_FILE) });
    }
    let provider = keys.first();
    create(dir, provider, cipher)?;
    directory::sync_names(dir, &provider.files())?;
    provider.settled();
    lock.keep();
    Ok((provider.name(), provider.place()))
}

/// Has `new` wrap the data keys of the store in `dir`, which `keys` opens and no daemon serves. The key
/// of `new` is made where there is none. Keys of the old provider stay where they are.
///
/// # Errors
/// As [`Store::open`](crate::Store::open), and those of `new`; the store is then as it was.
pub fn rewrap(dir: &Path, keys: Providers, new: &dyn KeyProvider) -> Result<Rewrapped, StoreError> {
    files::prepare();
    let path = dir.join(STORE_FILE);
    if !directory::has_store(dir)? {
        let (found, expected) = ("no store.db".into(), "a data directory with a store".into());
        return Err(StoreError::NotOurs { path: dir.to_path_buf(), found, expected });
    }
    let _lock = Lock::take(dir)?;
    let exam = Examination::open(&path)?;
    let (opener, state, old) = open_seals(exam.conn(), &path, keys)?;
    read_catalogue(exam.conn(), &opener, state.catalogue)?;
    let instance = opener.instance;
    let slots = read_slots(exam.conn(), &path)?;
    drop(exam);

    if !new.exists()? {
        new.create()?;
    }
    directory::sync_names(dir, &new.files())?;
    let mut wrapped = Vec::with_capacity(slots.len());
    for Slot { id, wrapped: before, .. } in &slots {
        let text = old.unwrap(&path, *id, before)?;
        let after = new.wrap(&path, *id, &text)?;
        if *new.unwrap(&path, *id, &after)? != *text {
            let key = new.place();
            let what = format!("what it wrapped of key_slot, id {id}, opens as something else");
            return Err(StoreError::KeyUnusable { key, what });
        }
        wrapped.push((*id, after));
    }
    let tidied = replace(&path, &instance, new, &slots, &wrapped)?;
    let (from, to) = ((old.name(), old.place()), (new.name(), new.place()));
    Ok(Rewrapped { from, to, data_keys: slots.len(), tidied })
}

fn replace(
    path: &Path,
    instance: &[u8; 16],
    new: &dyn KeyProvider,
    slots: &[Slot],
    wrapped: &[(u64, Vec<u8>)],
) -> Result<bool, StoreError> {
    let failed = sqlite(path, "writing key_slot");
    let mut live = Live::open(path)?;
    // What a slot held is not left in the free space of its page.
    live.overwriting(path, "writing key_slot", |conn| {
        for (slot, (id, after)) in slots.iter().zip(wrapped) {
            let sql =
                "UPDATE key_slot SET provider = ?1, wrapped = ?2 WHERE id = ?3 AND wrapped = ?4";
            let values = (new.name(), after, *id as i64, &slot.wrapped);
            let changed = conn.execute(sql, values).map_err(&failed)?;
            if changed != 1 {
                let what = format!("key_slot, id {id} was changed by somebody else meanwhile");
                return Err(StoreError::Damaged { file: path.to_path_buf(), what });
            }
        }
        for slot in read_slots(conn, path)? {
            open_data_key(new, path, instance, slot.id, &slot.wrapped)?;
        }
        Ok(())
    })?;
    // From here on nothing can fail that matters: the next start tidies as well.
    let moved = live.empty_wal(path);
    Ok(live.close(path).is_ok() && moved.is_ok_and(|all| all))
}
