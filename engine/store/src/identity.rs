//! The identity at the head of every plaintext: what a seal is the seal of, so that it opens in its
//! own place alone.

use zerocopy::IntoBytes;

use crate::seal::SealFault;

/// Words of an identity.
pub const IDENTITY_WORDS: usize = 6;

/// What a sealed value is. The number is part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// A checkpointed row.
    Row = 1,
    /// A group of the commit log.
    Log = 2,
    /// The store's state.
    State = 3,
    /// The catalogue.
    Catalogue = 4,
    /// A data key, wrapped by a key provider.
    DataKey = 5,
}

/// What stands at the head of every plaintext.
///
/// ```text
/// word 0, 1  instance
/// word 2     kind (low 32 bits), table id (high 32 bits; 0 where there is none)
/// word 3     place: slot, first_revision, key slot id; 0 in meta
/// word 4     revision: the row's; the group's last; the state's newest; the catalogue's; 0
/// word 5     format of the store (low 32 bits), zero
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Kind.
    pub kind: Kind,
    /// Table id, or 0.
    pub table: u32,
    /// Where it belongs.
    pub place: u64,
    /// Which state of it this is.
    pub revision: u64,
}

impl Identity {
    /// The words of it.
    pub fn words(&self, instance: &[u8; 16]) -> [u64; IDENTITY_WORDS] {
        let (low, high) = halves(instance);
        let kind = self.kind as u64 | u64::from(self.table) << 32;
        [low, high, kind, self.place, self.revision, u64::from(crate::format::FORMAT)]
    }

    /// Compares the head of an opened plaintext; a `revision` of `None` takes any. Returns the
    /// table id and the revision found.
    ///
    /// # Errors
    /// [`SealFault::Moved`], with the first thing that differs.
    pub fn check(
        words: &[u64; IDENTITY_WORDS],
        instance: &[u8; 16],
        kind: Kind,
        place: u64,
        revision: Option<u64>,
    ) -> Result<(u32, u64), SealFault> {
        let (low, high) = halves(instance);
        let format = u64::from(crate::format::FORMAT);
        let moved = |field, found: String, expected: String| {
            Err(SealFault::Moved { field, found, expected })
        };
        if words[5] != format {
            return moved("format", words[5].to_string(), format.to_string());
        }
        if (words[0], words[1]) != (low, high) {
            let hex = |l: u64, h: u64| format!("{:016x}{:016x}", l.swap_bytes(), h.swap_bytes());
            return moved("instance", hex(words[0], words[1]), hex(low, high));
        }
        if words[2] as u32 != kind as u32 {
            return moved("kind", (words[2] as u32).to_string(), (kind as u32).to_string());
        }
        if words[3] != place {
            return moved("place", words[3].to_string(), place.to_string());
        }
        if revision.is_some_and(|r| r != words[4]) {
            let expected = revision.unwrap_or_default().to_string();
            return moved("revision", words[4].to_string(), expected);
        }
        Ok(((words[2] >> 32) as u32, words[4]))
    }
}

fn halves(instance: &[u8; 16]) -> (u64, u64) {
    let mut words = [0u64; 2];
    words.as_mut_bytes().copy_from_slice(instance);
    (words[0], words[1])
}
