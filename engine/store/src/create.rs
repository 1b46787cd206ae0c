//! A new store, made whole under another name and then renamed: a kill leaves none or all of it.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags};
use shmirror_shm::catalogue::Catalogue;
use zerocopy::IntoBytes;
use zeroize::Zeroizing;

use crate::directory::{FRESH_FILE, STORE_FILE, publish_new, remove_fresh, sync_parent};
use crate::error::{StoreError, io, sqlite};
use crate::files;
use crate::format::{
    APPLICATION_ID, FORMAT, META_CATALOGUE, META_INSTANCE, PAGE_BYTES, SCHEMA, set_meta,
};
use crate::keys::{KeyProvider, new_data_key, open_data_key};
use crate::seal::{Algorithm, Identity, Kind, Opener, Sealer};
use crate::state::State;

/// Makes a store in `dir`, which has none, with the provider's key, which is made too where there
/// is none. The caller has the directory's lock.
pub(crate) fn create(
    dir: &Path,
    provider: &dyn KeyProvider,
    algorithm: Algorithm,
) -> Result<(), StoreError> {
    remove_fresh(dir)?;
    // The key first: a kill in between leaves a key without a store, which the next start uses.
    if !provider.exists()? {
        provider.create()?;
    }
    let fresh = dir.join(FRESH_FILE);
    let built = build(&fresh, &dir.join(STORE_FILE), provider, algorithm).and_then(|()| {
        let making = io(&fresh, "making a new store");
        File::open(&fresh).and_then(|f| files::sync(&f, &fresh)).map_err(&making)?;
        let path = dir.join(STORE_FILE);
        publish_new(&fresh, &path).and_then(|()| sync_parent(&path)).map_err(&making)
    });
    if built.is_err() {
        let _ = remove_fresh(dir); // the first error is the one to tell
    }
    built
}

/// Builds the store `named` at `path`.
fn build(
    path: &Path,
    named: &Path,
    provider: &dyn KeyProvider,
    algorithm: Algorithm,
) -> Result<(), StoreError> {
    let making = sqlite(path, "making a new store");
    let mut instance = [0u8; 16];
    getrandom::fill(&mut instance).map_err(StoreError::Random)?;
    let mut rows_key = [0u64; 2];
    getrandom::fill(rows_key.as_mut_bytes()).map_err(StoreError::Random)?;
    let (keys, wrapped) = new_data_key(provider, named, &instance, 1, 1, algorithm)?;
    // What seals need not be what opens: a public key can be that of another private one.
    open_data_key(provider, named, &instance, 1, &wrapped)?;
    let mut sealer = Sealer::new(Opener { instance, file: Arc::from(path), keys: Arc::new(keys) });

    // Made here and not by SQLite, for its mode, which -wal and -shm take over.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    drop(file.map_err(io(path, "making a new store"))?);
    let conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(&making)?;
    // No journal and no syncs: the file counts only once it was synced and renamed.
    conn.execute_batch(&format!(
        "PRAGMA temp_store = MEMORY; PRAGMA page_size = {PAGE_BYTES}; PRAGMA journal_mode = OFF; \
         PRAGMA synchronous = OFF; PRAGMA application_id = {APPLICATION_ID}; \
         PRAGMA user_version = {FORMAT}; BEGIN; {SCHEMA}"
    ))
    .map_err(&making)?;
    set_meta(&conn, path, META_INSTANCE, &instance)?;
    conn.execute("INSERT INTO key_slot VALUES(1, ?1, ?2)", (provider.name(), &wrapped))
        .map_err(&making)?;
    let mut blob = Vec::new();
    let archive =
        Catalogue::default().to_bytes().map_err(|e| StoreError::Archive(e.to_string()))?;
    seal_catalogue(&mut sealer, &archive, 0, &mut blob)?;
    set_meta(&conn, path, META_CATALOGUE, &blob)?;
    State::new(rows_key).write(&conn, &mut sealer, &mut blob)?;
    // WAL mode is a mark in the header: with it, no later start has to switch modes.
    conn.execute_batch("COMMIT; PRAGMA journal_mode = WAL;").map_err(&making)?;
    conn.close().map_err(|(_, e)| making(e))
}

/// Seals the archive of a catalogue of `revision`.
pub(crate) fn seal_catalogue(
    sealer: &mut Sealer,
    archive: &[u8],
    revision: u64,
    out: &mut Vec<u8>,
) -> Result<(), StoreError> {
    let mut words = Zeroizing::new(vec![0u64; archive.len().div_ceil(8)]);
    words.as_mut_bytes()[..archive.len()].copy_from_slice(archive);
    let identity = Identity { kind: Kind::Catalogue, table: 0, place: 0, revision };
    sealer.seal(&identity, &[&[archive.len() as u64], &words], out)
}
