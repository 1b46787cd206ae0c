//! What the hardware allows: latches in shared memory, of which one knows where they are.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context as _, Result};
use shmirror_shm::latch::{Latch, latch_words};
use shmirror_shm::region::Region;

use super::Shape;

/// Rows of `WORDS` words, each under a latch, in a region of their own.
pub fn region<const WORDS: usize>(shape: &Shape) -> Result<Arc<Region>> {
    let words = latch_words(WORDS) as u64;
    let region = Region::create("bench", shape.rows * words * 8 + 4096, false)?;
    region.populate(0, region.len())?;
    for key in 0..shape.rows {
        let of_row = shape.words(key);
        let place =
            region.words(key * words * 8, latch_words(WORDS)).context("within the region")?;
        let latch = Latch::new(place, WORDS).context("a latch")?;
        // Twice: both of its versions.
        for _ in 0..2 {
            latch.write(|to| {
                to.iter().zip(&of_row).for_each(|(to, word)| to.store(*word, Ordering::Relaxed));
            });
        }
    }
    Ok(Arc::new(region))
}

/// Reads rows of `WORDS` words, each into the same buffer.
pub fn reader<const WORDS: usize>(
    shape: &Shape,
) -> Result<impl FnMut(u64) -> Result<u64> + use<WORDS>> {
    let region = region::<WORDS>(shape)?;
    let words = latch_words(WORDS) as u64;
    let mut row = [0; WORDS];
    Ok(move |key: u64| {
        let place = region.words(key * words * 8, latch_words(WORDS)).context("no row")?;
        let latch = Latch::new(place, WORDS).context("no latch")?;
        loop {
            let entry = latch.enter();
            for (word, from) in row.iter_mut().zip(latch.newest(entry)) {
                *word = from.load(Ordering::Relaxed);
            }
            if latch.holds(entry) {
                return Ok(black_box(&row)[WORDS.min(2) - 1]);
            }
        }
    })
}

/// Reads one value of 8 bytes under an ordinary seqlock: a sequence, the value, the sequence.
pub fn seqlock() -> Result<impl FnMut(u64) -> Result<u64>> {
    let region = Region::create("bench", 4096, false)?;
    region.populate(0, region.len())?;
    let words = region.words(0, 2).context("two words")?;
    words[1].store(Shape::sum(0), Ordering::Relaxed);
    words[0].store(2, Ordering::Release);
    Ok(move |_| {
        let words = region.words(0, 2).context("two words")?;
        loop {
            let before = words[0].load(Ordering::Acquire);
            let value = words[1].load(Ordering::Relaxed);
            std::sync::atomic::fence(Ordering::Acquire);
            if before & 1 == 0 && words[0].load(Ordering::Relaxed) == before {
                return Ok(value);
            }
        }
    })
}
