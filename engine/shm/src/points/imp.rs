//! The points of a build with the feature `faults`.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::mm::{MapFlags, ProtFlags, mmap};
use rustix::process::{Signal, getpid, kill_process};

use super::{Arm, POINTS, Point, VARIABLE};

/// Words of a point: what is armed, calls since it was armed, calls ever, times that it happened.
const WORDS: usize = 4;
const ARM: usize = 0;
const SINCE: usize = 1;
const PASSED: usize = 2;
const HAPPENED: usize = 3;

const KILL: u64 = 1;
const STOP: u64 = 2;
const FAIL: u64 = 3;
const WAIT: u64 = 4;

/// The words of all points, shared by a test and the processes that it breaks.
#[derive(Debug)]
pub struct Board {
    base: NonNull<AtomicU64>,
}

// SAFETY: the mapping lives as long as the process, and is only ever touched as atomics.
unsafe impl Send for Board {}
// SAFETY: as above.
unsafe impl Sync for Board {}

impl Board {
    /// Maps the file, which is made where it is not there.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file =
            File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let bytes = POINTS * WORDS * 8;
        if file.metadata()?.len() < bytes as u64 {
            file.set_len(bytes as u64)?;
        }
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping, at a place that the kernel chooses, of a file that has so many bytes.
        let base = unsafe {
            mmap(std::ptr::null_mut(), bytes, protection, MapFlags::SHARED, file.as_fd(), 0)
        }?;
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mapped at 0"))?;
        Ok(Self { base })
    }

    fn word(&self, point: Point, which: usize) -> &AtomicU64 {
        // SAFETY: the mapping has WORDS words for each point, is aligned to a page, and stays.
        unsafe { self.base.add(point as usize * WORDS + which).as_ref() }
    }

    /// Arms a point: from now on it counts anew.
    pub fn arm(&self, point: Point, arm: Arm) {
        let pack = |kind: u64, every: u32, value: u32| {
            kind << 60 | (u64::from(every) & 0x0FFF_FFFF) << 32 | u64::from(value)
        };
        let word = match arm {
            Arm::Off => 0,
            Arm::Kill(nth) => pack(KILL, nth.max(1), 0),
            Arm::Stop(nth) => pack(STOP, nth.max(1), 0),
            Arm::Fail { every, errno } => pack(FAIL, every.max(1), errno.unsigned_abs()),
            Arm::Wait { every, micros } => pack(WAIT, every.max(1), micros),
        };
        self.word(point, ARM).store(0, Ordering::SeqCst);
        self.word(point, SINCE).store(0, Ordering::SeqCst);
        self.word(point, ARM).store(word, Ordering::SeqCst);
    }

    /// Disarms all points.
    pub fn calm(&self) {
        for point in 0..POINTS * WORDS {
            if point % WORDS == ARM {
                // SAFETY: as in `word`.
                unsafe { self.base.add(point).as_ref() }.store(0, Ordering::SeqCst);
            }
        }
    }

    /// How often a point was passed.
    pub fn passed(&self, point: Point) -> u64 {
        self.word(point, PASSED).load(Ordering::SeqCst)
    }

    /// How often what was armed there happened.
    pub fn happened(&self, point: Point) -> u64 {
        self.word(point, HAPPENED).load(Ordering::SeqCst)
    }

    /// Whether it is the armed kind's turn: its value then.
    fn turn(&self, point: Point, kinds: &[u64]) -> Option<(u64, u32)> {
        self.word(point, PASSED).fetch_add(1, Ordering::SeqCst);
        let armed = self.word(point, ARM).load(Ordering::SeqCst);
        let (kind, every) = (armed >> 60, (armed >> 32) & 0x0FFF_FFFF);
        if !kinds.contains(&kind) {
            return None;
        }
        let since = self.word(point, SINCE).fetch_add(1, Ordering::SeqCst) + 1;
        let is_turn = match kind {
            KILL | STOP => since == every,
            _ => since.is_multiple_of(every),
        };
        if !is_turn {
            return None;
        }
        self.word(point, HAPPENED).fetch_add(1, Ordering::SeqCst);
        Some((kind, armed as u32))
    }
}

fn board() -> Option<&'static Board> {
    static BOARD: OnceLock<Option<Board>> = OnceLock::new();
    let open = || Board::open(Path::new(&std::env::var_os(VARIABLE)?)).ok();
    BOARD.get_or_init(open).as_ref()
}

/// Passes the point.
pub fn pass(point: Point) {
    let Some((kind, value)) = board().and_then(|b| b.turn(point, &[KILL, STOP, WAIT])) else {
        return;
    };
    match kind {
        KILL => {
            let _ = kill_process(getpid(), Signal::KILL);
        }
        STOP => {
            let _ = kill_process(getpid(), Signal::STOP);
        }
        _ => std::thread::sleep(Duration::from_micros(value.into())),
    }
}

/// Passes the point; the error number with which the call there is to fail, if it is.
pub fn fails(point: Point) -> Option<i32> {
    let (kind, value) = board()?.turn(point, &[KILL, STOP, FAIL, WAIT])?;
    match kind {
        FAIL => return i32::try_from(value).ok(),
        KILL => _ = kill_process(getpid(), Signal::KILL),
        STOP => _ = kill_process(getpid(), Signal::STOP),
        _ => std::thread::sleep(Duration::from_micros(value.into())),
    }
    None
}

/// Whether this bug is put in, at this call.
pub fn is_put_in(bug: Point) -> bool {
    board().and_then(|b| b.turn(bug, &[FAIL])).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_armed_happens_at_its_turn_and_is_counted() {
        let file = std::env::temp_dir().join(format!("points-{}", std::process::id()));
        let board = Board::open(&file).unwrap();
        let other = Board::open(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(board.turn(Point::StoreWrite, &[FAIL]), None);
        other.arm(Point::StoreWrite, Arm::Fail { every: 3, errno: 28 });
        let turns: Vec<_> = (0..7).map(|_| board.turn(Point::StoreWrite, &[FAIL])).collect();
        let due = Some((FAIL, 28));
        assert_eq!(turns, [None, None, due, None, None, due, None]);
        assert_eq!((board.passed(Point::StoreWrite), other.happened(Point::StoreWrite)), (8, 2));
        other.calm();
        assert_eq!(board.turn(Point::StoreWrite, &[FAIL]), None);
        board.arm(Point::Commit, Arm::Kill(2));
        assert_eq!(board.turn(Point::Commit, &[KILL]), None);
        assert_eq!(board.turn(Point::Commit, &[KILL]), Some((KILL, 0)));
        assert_eq!(board.turn(Point::Commit, &[KILL]), None);
    }
}
