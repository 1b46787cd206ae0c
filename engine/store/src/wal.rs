//! SQLite's write-ahead log moves into the file on a thread of its own, so that its two syncs of the
//! disk and thousands of page writes do not stand in the way of a commit.
//!
//! ```text
//! every 16 MiB of it   the thread is asked; it waits for no reader and no writer for it
//! after that           the commit does the few pages itself that came meanwhile: only while nobody
//!                      commits can SQLite come to the end and begin the log anew, in the room
//!                      that it has
//! from 128 MiB on      the commit does whatever is left itself
//! ```

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::{Connection, OpenFlags, Row};
use shmirror_shm::points::{self, Point};

use crate::error::{StoreError, io, sqlite};
use crate::format::PAGE_BYTES;
use crate::sure::Doubt;

/// Pages of 16 MiB.
const LONG: u64 = (16 << 20) / PAGE_BYTES;

/// Pages after which the log is moved. Where faults are put in these are few, so that it is moved often, unless
/// the environment asks for as many as elsewhere.
pub(crate) fn soft() -> u64 {
    #[cfg(feature = "faults")]
    {
        static PAGES: std::sync::LazyLock<u64> = std::sync::LazyLock::new(|| {
            if std::env::var_os("SHMIRROR_LONG_WAL").is_some() { LONG } else { LONG / 16 }
        });
        *PAGES
    }
    #[cfg(not(feature = "faults"))]
    LONG
}

/// Pages after which a commit moves what is left itself, in those.
const HARD: u64 = 8;
/// Pages that the thread leaves to a commit: those of a few commits, moved in the time of one or two.
const FEW: u64 = 64;
/// Times that the thread goes on with what came meanwhile, until it is so few.
const TRIES: usize = 4;

#[derive(Default)]
struct Orders {
    move_it: bool,
    stop: bool,
}

#[derive(Default)]
struct Shared {
    orders: Mutex<Orders>,
    changed: Condvar,
    /// Pages in the write-ahead log.
    pages: AtomicU64,
    /// The thread was asked and has not come to the end.
    moving: AtomicBool,
    /// Pages that the thread has moved, where but a few came meanwhile; otherwise 0.
    moved: AtomicU64,
    /// Nothing is moved while it is not known what of the log is on the disk: half of it in the file,
    /// and the other half lost, is no store.
    doubt: Arc<Doubt>,
}

impl Shared {
    fn orders(&self) -> MutexGuard<'_, Orders> {
        // Two flags can't be left half-written by a panic.
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A checkpoint that fails costs nothing but room: the log goes on growing, and the next one tries. Nobody
    /// else moves it until it is noted what the failure leaves unknown.
    fn move_by<T>(
        &self,
        _alone: MutexGuard<'_, ()>,
        checkpoint: impl FnOnce() -> rusqlite::Result<T>,
    ) -> Option<T> {
        if self.doubt.is_any() && !points::is_put_in(Point::TrustFailedSync) {
            return None;
        }
        match checkpoint() {
            Ok(done) => return Some(done),
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => {}
            Err(error) => {
                self.doubt.note(&error);
                tracing::warn!(%error, "write-ahead log could not be checkpointed");
            }
        }
        None
    }
}

/// The thread that moves the write-ahead log. Dropping it ends and joins the thread.
pub(crate) struct WalMover {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl WalMover {
    /// Starts the thread for the store at `path`, and has `writer` tell it of commits.
    pub fn start(
        path: &Path,
        writer: &mut Connection,
        doubt: Arc<Doubt>,
    ) -> Result<Self, StoreError> {
        let failed = sqlite(path, "opening the store");
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags).map_err(&failed)?;
        conn.execute_batch("PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY;")
            .map_err(&failed)?;
        let shared = Arc::new(Shared { doubt, ..Shared::default() });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("store-wal".into())
            .spawn(move || run(&theirs, &conn))
            .map_err(io(path, "starting a thread"))?;
        let mover = Self { shared: Arc::clone(&shared), thread: Some(thread) };

        // The hook replaces SQLite's own automatic checkpoint. It runs after the commit is done, and
        // never reports an error: that would make a durable commit look failed.
        let mut asked_at = 0;
        let hook = move |wal: &mut rusqlite::hooks::Wal, pages: std::ffi::c_int| {
            let pages = u64::try_from(pages).unwrap_or(0);
            shared.pages.store(pages, Ordering::Relaxed);
            if pages < asked_at {
                asked_at = 0; // it was begun anew
            }
            let moved = shared.moved.load(Ordering::Relaxed);
            if pages < moved {
                shared.moved.store(0, Ordering::Relaxed); // it was of the log before
            }
            let few = moved > 0 && pages.checked_sub(moved).is_some_and(|rest| rest <= 2 * FEW);
            if pages >= HARD * soft() || few {
                shared.moved.store(0, Ordering::Relaxed);
                // Where the thread is at it, it is for the next commit.
                if let Some(alone) = shared.doubt.try_alone() {
                    shared.move_by(alone, || wal.checkpoint());
                }
            } else if pages >= asked_at + soft() {
                asked_at = pages;
                shared.moving.store(true, Ordering::Relaxed);
                shared.orders().move_it = true;
                shared.changed.notify_one();
            }
            Ok(())
        };
        writer.wal_hook(Some(hook)).map_err(&failed)?;
        Ok(mover)
    }

    /// Whether it is being moved, with more in it than one move should find.
    pub fn lags(&self) -> bool {
        self.shared.moving.load(Ordering::Relaxed) && self.pages() >= 2 * soft()
    }

    /// Pages in the write-ahead log at the last commit.
    pub fn pages(&self) -> u64 {
        self.shared.pages.load(Ordering::Relaxed)
    }
}

impl WalMover {
    /// Ends and joins the thread.
    pub fn stop(&mut self) {
        self.shared.orders().stop = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic there was reported there
        }
    }
}

impl Drop for WalMover {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(shared: &Shared, conn: &Connection) {
    loop {
        let mut orders = shared.orders();
        while !orders.move_it && !orders.stop {
            orders = shared.changed.wait(orders).unwrap_or_else(PoisonError::into_inner);
        }
        if orders.stop {
            return;
        }
        orders.move_it = false;
        drop(orders);
        shared.moving.store(true, Ordering::Relaxed);
        for _ in 0..TRIES {
            let sql = "PRAGMA wal_checkpoint(PASSIVE)";
            let pages = |row: &Row<'_>| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
            // A reader of old pages can be in the way: then it is for the next time.
            let done = shared.move_by(shared.doubt.alone(), || conn.query_row(sql, [], pages));
            let Some(moved) =
                done.and_then(|(all, moved)| u64::try_from(moved).ok().filter(|_| moved == all))
            else {
                break;
            };
            if shared.pages.load(Ordering::Relaxed).saturating_sub(moved) <= FEW {
                shared.moved.store(moved, Ordering::Relaxed);
                break;
            }
        }
        shared.moving.store(false, Ordering::Relaxed);
    }
}
