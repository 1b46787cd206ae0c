//! A bare word in shared memory, and a futex beside it: what a wake between two processes takes at best.

use std::sync::atomic::Ordering;

use anyhow::Result;
use rustix::io::Errno;
use rustix::thread::futex;

use super::shared::Shared;

/// Writes a word, and wakes who sleeps.
pub struct Waker(&'static Shared);

impl Waker {
    /// Of this page.
    pub fn new(page: &str) -> Result<Self> {
        Ok(Self(Shared::open(page)?))
    }

    /// Writes; `wake`: somebody sleeps.
    pub fn say(&self, word: u64, wake: bool) -> Result<()> {
        self.0.word(0).store(word, Ordering::Release);
        if wake {
            self.0.futex().fetch_add(1, Ordering::Release);
            futex::wake(self.0.futex(), futex::Flags::empty(), i32::MAX as u32)?;
        }
        Ok(())
    }
}

/// Waits for a word to change.
pub struct Sleeper {
    page: &'static Shared,
    seen: u64,
}

impl Sleeper {
    /// Of this page.
    pub fn new(page: &str) -> Result<Self> {
        let page = Shared::open(page)?;
        Ok(Self { page, seen: page.word(0).load(Ordering::Acquire) })
    }

    /// The next word, if it is there.
    pub fn look(&mut self) -> Option<u64> {
        let found = self.page.word(0).load(Ordering::Acquire);
        (found != std::mem::replace(&mut self.seen, found)).then_some(found)
    }

    /// The next word, looked for again and again.
    pub fn spin(&mut self) -> u64 {
        loop {
            if let Some(found) = self.look() {
                return found;
            }
        }
    }

    /// The next word, slept for.
    pub fn sleep(&mut self) -> Result<u64> {
        loop {
            let turn = self.page.futex().load(Ordering::Acquire);
            if let Some(found) = self.look() {
                return Ok(found);
            }
            match futex::wait(self.page.futex(), futex::Flags::empty(), turn, None) {
                Ok(()) | Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
