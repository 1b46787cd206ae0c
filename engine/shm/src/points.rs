//! Named points at which a test makes a fault happen, in a process of its own.
//!
//! In a normal build nothing of this is there: the functions are empty and compile to nothing. With the
//! feature `faults` the environment variable [`VARIABLE`] names a file that test and process map: for
//! each [`Point`] two words, what is to happen there and how often it was passed. So a test arms and
//! disarms points while the process runs, and counts.

/// Names the file with the words of all points.
pub const VARIABLE: &str = "SHMIRROR_POINTS";

/// A place in the code, or, from [`Point::PublishBeforeCommit`] on, a bug that is put in on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Point {
    /// A request was applied to the working copy.
    Apply,
    /// Memory for a group was taken.
    Reserve,
    /// Before a group is durable.
    Commit,
    /// It is durable, and nothing of it is published.
    Committed,
    /// Some of its rows are published.
    Publish,
    /// It is published, and not announced.
    Published,
    /// Some of its records are in the events lane.
    Announce,
    /// It is announced, and nobody was answered.
    Announced,
    /// Some of its producers were answered.
    Acknowledge,
    /// In the middle of a checkpoint of rows.
    Checkpoint,
    /// The next generation of a segment is made, and not handed out.
    Growth,
    /// In the middle of a step of a rotation.
    Rotation,
    /// In the middle of a backup.
    Backup,
    /// A producer holds the mutex of its lane.
    Locked,
    /// A producer's record is written, and its head not stored.
    Written,
    /// A reader is in the middle of a copy under a latch.
    Copied,
    /// Memory of a memfd is taken.
    Populate,
    /// A memfd is made.
    Memfd,
    /// A connection is accepted.
    Accept,
    /// SQLite reads from a file of the store.
    StoreRead,
    /// SQLite writes to a file of the store.
    StoreWrite,
    /// SQLite has a file of the store synced.
    StoreSync,
    /// SQLite opens a file of the store.
    StoreOpen,
    /// SQLite locks the store.
    StoreLock,
    /// SQLite has the index of its write-ahead log grow.
    StoreMap,
    /// Bug: rows are published before the group is durable.
    PublishBeforeCommit,
    /// Bug: now and then a record is not announced.
    DropEvent,
    /// Bug: a reader does not look at the latch again after its copy.
    SkipSecondCheck,
    /// Bug: a sync of the store's does nothing, and says that it did.
    SkipSync,
    /// Bug: after a sync that failed the store goes on as if nothing had been.
    TrustFailedSync,
    /// Bug: lanes do not get fair shares of the daemon's time.
    UnfairShares,
}

/// How many points there are.
pub const POINTS: usize = Point::UnfairShares as usize + 1;

/// What is to happen at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    /// Nothing.
    Off,
    /// The process is killed as by `kill -9`, when it passes for the n-th time from now.
    Kill(u32),
    /// The process stops (SIGSTOP), when it passes for the n-th time from now.
    Stop(u32),
    /// Every n-th call fails with this error number of the system.
    Fail {
        /// Which calls.
        every: u32,
        /// The error.
        errno: i32,
    },
    /// Every n-th time it waits for so many microseconds.
    Wait {
        /// Which times.
        every: u32,
        /// Microseconds.
        micros: u32,
    },
}

#[cfg(not(feature = "faults"))]
mod imp {
    use super::Point;

    /// Passes the point.
    #[inline(always)]
    pub fn pass(_: Point) {}

    /// Passes the point; the error number with which the call there is to fail, if it is.
    #[inline(always)]
    pub fn fails(_: Point) -> Option<i32> {
        None
    }

    /// Whether this bug is put in, at this call.
    #[inline(always)]
    pub fn is_put_in(_: Point) -> bool {
        false
    }
}

#[cfg(feature = "faults")]
mod imp;

#[cfg(feature = "faults")]
pub use imp::Board;
pub use imp::{fails, is_put_in, pass};
