//! Plaintext in memory: the buffer that seals are opened into. What was in it is wiped when it has to
//! grow and when it is dropped, so that no copy stays behind in freed memory.

use std::ops::Deref;

use zeroize::Zeroize;

/// Words of plaintext.
#[derive(Default)]
pub(crate) struct Plain(Vec<u64>);

impl Plain {
    /// Room for `words` words, all of which the caller writes over. What was there before is lost.
    pub fn room(&mut self, words: usize) -> &mut [u64] {
        if words > self.0.capacity() {
            // Not left to `Vec`, which would copy the old words and free them as they are.
            let grown = Vec::with_capacity(words.max(self.0.capacity() * 2));
            self.0.zeroize();
            self.0 = grown;
        }
        self.0.resize(words, 0);
        &mut self.0
    }
}

impl Deref for Plain {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        &self.0
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.0.zeroize(); // what lies behind its end as well
    }
}

impl std::fmt::Debug for Plain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} words", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_as_many_words_as_asked_for_and_shows_none() {
        let mut plain = Plain::default();
        plain.room(3).copy_from_slice(&[7, 7, 7]);
        assert_eq!(*plain, [7, 7, 7]);
        assert_eq!(format!("{plain:?}"), "3 words");
        plain.room(2).fill(1);
        assert_eq!(plain.room(5).len(), 5);
    }
}
