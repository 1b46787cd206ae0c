//! The data keys of a store, shared by all that seal and open for it.
//!
//! ```text
//! outside a rotation   one key
//! begins               the new one comes in, before anything is sealed with it
//! ends                 the old one goes, after nothing is sealed with it any more
//! ```
//! A read transaction that began before the end still sees seals of the old key, so it holds the keys
//! that there are (twice: before its moment is fixed and after). A key is wiped when neither the ring
//! nor anybody else holds it.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use crate::cipher::Cipher;
use crate::seal::{Parts, SealFault};

/// A data key: its number, and the cipher under it. It shows nothing else.
pub(crate) struct DataKey {
    pub number: u32,
    pub cipher: Box<dyn Cipher>,
    /// The key slot that has it; 0 where that was not said.
    slot: u64,
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "data key {}", self.number)
    }
}

/// Keeps the keys that there were at some moment.
#[derive(Debug)]
pub(crate) struct Held(#[expect(dead_code, reason = "held, not read")] Vec<Arc<DataKey>>);

#[derive(Debug)]
struct Keys {
    /// By rising numbers, at least one. New seals are made with the last.
    here: Vec<Arc<DataKey>>,
    /// Keys that some reader may still hold.
    retired: Vec<Weak<DataKey>>,
}

/// The data keys of a store.
#[derive(Debug)]
pub(crate) struct KeyRing {
    keys: RwLock<Keys>,
}

impl KeyRing {
    pub fn new(number: u32, cipher: Box<dyn Cipher>) -> Self {
        let here = vec![Arc::new(DataKey { number, cipher, slot: 0 })];
        Self { keys: RwLock::new(Keys { here, retired: vec![] }) }
    }

    /// The only key of this ring is in key slot `slot`.
    pub fn in_slot(self, slot: u64) -> Self {
        let mut keys = self.keys.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = keys.here.first_mut().and_then(Arc::get_mut) {
            key.slot = slot;
        }
        Self { keys: RwLock::new(keys) }
    }

    /// Key slots of the keys that new seals are not made with.
    pub fn old_slots(&self) -> Vec<u64> {
        let keys = self.read();
        keys.here[..keys.here.len() - 1].iter().map(|key| key.slot).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Keys> {
        // Each change is one operation on a list of references.
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Keys> {
        self.keys.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over the keys of `other`. `false`, and nothing done, where it has one of these numbers.
    pub fn add(&self, other: Self) -> bool {
        let more = other.keys.into_inner().unwrap_or_else(PoisonError::into_inner).here;
        let mut keys = self.write();
        if more.iter().any(|new| keys.here.iter().any(|key| key.number == new.number)) {
            return false;
        }
        keys.here.extend(more);
        keys.here.sort_by_key(|key| key.number);
        true
    }

    /// Takes key `number` away; those who hold it have it until they let go. The last one stays.
    pub fn retire(&self, number: u32) {
        let mut keys = self.write();
        keys.retired.retain(|key| key.strong_count() > 0);
        if keys.here.len() > 1
            && let Some(at) = keys.here.iter().position(|key| key.number == number)
        {
            let key = keys.here.remove(at);
            keys.retired.push(Arc::downgrade(&key));
        }
    }

    /// The key of new seals.
    pub fn current(&self) -> Arc<DataKey> {
        let keys = self.read();
        Arc::clone(&keys.here[keys.here.len() - 1]) // `new` puts one in, `retire` leaves one
    }

    /// Numbers of the keys there are, rising.
    pub fn numbers(&self) -> Vec<u32> {
        self.read().here.iter().map(|key| key.number).collect()
    }

    /// Keeps all keys there are from being wiped.
    pub fn hold(&self) -> Held {
        Held(self.read().here.clone())
    }

    /// The key that a seal names.
    pub fn find(&self, parts: &Parts<'_>) -> Result<Arc<DataKey>, SealFault> {
        let keys = self.read();
        let key = keys.here.iter().rev().find(|key| key.number == parts.key_id).cloned();
        let held = || keys.retired.iter().filter_map(Weak::upgrade);
        let Some(key) = key.or_else(|| held().find(|key| key.number == parts.key_id)) else {
            let known: Vec<String> = keys.here.iter().map(|key| key.number.to_string()).collect();
            return Err(SealFault::Key { found: parts.key_id, known: known.join(", ") });
        };
        if key.cipher.id() != parts.cipher {
            let (found, expected) = (parts.cipher, key.cipher.id());
            return Err(SealFault::OtherCipher { found, expected });
        }
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cipher::{Algorithm, KEY_BYTES};

    fn ring(number: u32) -> KeyRing {
        KeyRing::new(number, Algorithm::DEFAULT.under(&[number as u8; KEY_BYTES]))
    }

    fn knows(ring: &KeyRing, number: u32) -> bool {
        let mut blob = [0u8; 56];
        (blob[0], blob[1]) = (1, Algorithm::DEFAULT.id);
        blob[4..8].copy_from_slice(&number.to_le_bytes());
        ring.find(&Parts::of(&blob).unwrap()).is_ok()
    }

    #[test]
    fn a_retired_key_is_there_for_those_who_hold_it_and_for_nobody_else() {
        let ring1 = ring(1);
        assert!(ring1.add(ring(2)) && !ring1.add(ring(2)));
        assert_eq!((ring1.current().number, ring1.numbers()), (2, vec![1, 2]));
        let held = ring1.hold();
        ring1.retire(1);
        assert!(knows(&ring1, 1) && knows(&ring1, 2));
        drop(held);
        assert!(!knows(&ring1, 1) && knows(&ring1, 2));
        ring1.retire(2);
        assert!(knows(&ring1, 2), "the last key stays");
    }

    #[test]
    fn nothing_of_a_key_is_shown() {
        let key = [0xA7u8; KEY_BYTES];
        let ring = KeyRing::new(1, Algorithm::DEFAULT.under(&key));
        let shown = format!("{ring:?} {:?} {:?}", ring.current(), ring.hold());
        assert!(!shown.contains("167") && !shown.to_lowercase().contains("a7"), "{shown}");
    }
}
