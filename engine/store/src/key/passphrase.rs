//! A passphrase: Argon2id makes the wrapping key of it, with the salt and the costs that the key slot
//! names.
//!
//! ```text
//! wrapped   1 u8 | 1 (Argon2id, version 0x13) u8 | lanes u8 | 0 u8 | memory in KiB u32 | passes u32 |
//!           0 u32 | salt 16 | sealed value, data key number 0
//! ```
//! The wrapping key is kept as long as the provider, as later data keys are wrapped under it too. The
//! passphrase is not.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use argon2::{Argon2, Block, Params, Version};
use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::key::ask::{PassphraseSource, Question};
use crate::key::wrapping::{WrappingKey, bad, open_under, seal_under};
use crate::keys::KeyProvider;
use crate::seal::{KEY_BYTES, SealFault};

/// Name in key slots.
pub const NAME: &str = "passphrase";

const HEAD_BYTES: usize = 32;
const SALT_BYTES: usize = 16;

/// What deriving a key from a passphrase costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Cost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes. They are filled one after the other here.
    pub lanes: u32,
}

impl Argon2Cost {
    /// The second recommended option of RFC 9106, section 4: 64 MiB, 3 passes, 4 lanes.
    pub const DEFAULT: Self = Self { memory_kib: 64 << 10, passes: 3, lanes: 4 };
    /// The most that is taken from a configuration or a key slot, so that a forged slot can't make a
    /// start take all memory, or for ever.
    pub const MOST: Self = Self { memory_kib: 1 << 20, passes: 32, lanes: 16 };

    /// What is out of bounds, where something is.
    ///
    /// # Errors
    /// The value, what was found and what is expected.
    pub fn check(self) -> Result<(), String> {
        let (least, most) = (Self { passes: 1, lanes: 1, ..Self::DEFAULT }, Self::MOST);
        for (what, found, least, most) in [
            ("memory in KiB", self.memory_kib, least.memory_kib, most.memory_kib),
            ("passes", self.passes, least.passes, most.passes),
            ("lanes", self.lanes, least.lanes, most.lanes),
        ] {
            if !(least..=most).contains(&found) {
                return Err(format!("Argon2 {what}: {found}, {least} to {most} expected"));
            }
        }
        Ok(())
    }
}

/// Costs and salt, as a key slot has them.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Derivation {
    cost: Argon2Cost,
    salt: [u8; SALT_BYTES],
}

impl Derivation {
    fn head(&self) -> [u8; HEAD_BYTES] {
        let mut head = [0; HEAD_BYTES];
        head[..3].copy_from_slice(&[1, 1, self.cost.lanes as u8]); // checked: at most 16
        head[4..8].copy_from_slice(&self.cost.memory_kib.to_le_bytes());
        head[8..12].copy_from_slice(&self.cost.passes.to_le_bytes());
        head[16..].copy_from_slice(&self.salt);
        head
    }

    fn of(wrapped: &[u8]) -> Result<(Self, &[u8]), SealFault> {
        let short = SealFault::Short { found: wrapped.len(), expected: HEAD_BYTES };
        let (head, blob) = wrapped.split_first_chunk::<HEAD_BYTES>().ok_or(short)?;
        let number =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let format = (head[0], head[1], head[3], number(12));
        if format != (1, 1, 0, 0) {
            let what = format!("key derivation {format:?}, expected (1, 1, 0, 0): Argon2id");
            return Err(SealFault::Body(what));
        }
        let cost = Argon2Cost { memory_kib: number(4), passes: number(8), lanes: head[2].into() };
        cost.check().map_err(SealFault::Body)?;
        let mut salt = [0; SALT_BYTES];
        salt.copy_from_slice(&head[16..]);
        Ok((Self { cost, salt }, blob))
    }

    fn key_of(&self, passphrase: &[u8]) -> Result<WrappingKey, String> {
        let Argon2Cost { memory_kib, passes, lanes } = self.cost;
        let params = Params::new(memory_kib, passes, lanes, Some(KEY_BYTES));
        let params = params.map_err(|e| e.to_string())?;
        let mut memory = Zeroizing::new(Vec::new());
        let blocks = params.block_count();
        memory
            .try_reserve_exact(blocks)
            .map_err(|_| format!("{} MiB of memory for Argon2 are not there", memory_kib >> 10))?;
        memory.resize(blocks, Block::default());
        let mut key = Zeroizing::new([0u8; KEY_BYTES]);
        let argon2 = Argon2::new(argon2::Algorithm::Argon2id, Version::V0x13, params);
        argon2
            .hash_password_into_with_memory(
                passphrase,
                &self.salt,
                key.as_mut_slice(),
                memory.as_mut_slice(),
            )
            .map_err(|e| e.to_string())?;
        Ok(key)
    }
}

/// The cost that a slot which was wrapped under a passphrase names.
pub(crate) fn cost_of(wrapped: &[u8]) -> Option<Argon2Cost> {
    Derivation::of(wrapped).ok().map(|(derivation, _)| derivation.cost)
}

struct Known {
    derivation: Derivation,
    key: WrappingKey,
}

/// The provider whose key is derived from a passphrase.
pub struct PassphraseKey {
    source: Arc<dyn PassphraseSource>,
    /// Of new wrapping keys.
    cost: Argon2Cost,
    known: Mutex<Option<Known>>,
}

impl PassphraseKey {
    /// A passphrase from `source`, asked for when it is needed; a new one is derived at `cost`.
    pub fn new(source: Arc<dyn PassphraseSource>, cost: Argon2Cost) -> Self {
        Self { source, cost, known: Mutex::new(None) }
    }

    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        // It is set whole or not at all.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn derive(
        &self,
        derivation: &Derivation,
        question: &Question<'_>,
    ) -> Result<WrappingKey, StoreError> {
        let passphrase = self.source.ask(question)?;
        derivation
            .key_of(passphrase.bytes())
            .map_err(|what| StoreError::KeyUnusable { key: question.wanted(), what })
    }
}

impl KeyProvider for PassphraseKey {
    fn name(&self) -> &'static str {
        NAME
    }

    fn place(&self) -> String {
        "passphrase".into()
    }

    /// Nothing has to be made beforehand.
    fn exists(&self) -> Result<bool, StoreError> {
        Ok(true)
    }

    fn create(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn wrap(&self, store: &Path, slot: u64, text: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut known = self.known();
        let Known { derivation, key } = match &mut *known {
            Some(known) => known,
            none => {
                let refused = |what| StoreError::KeyUnusable { key: self.place(), what };
                self.cost.check().map_err(refused)?;
                let mut derivation = Derivation { cost: self.cost, salt: [0; SALT_BYTES] };
                getrandom::fill(&mut derivation.salt).map_err(StoreError::Random)?;
                let key = self.derive(&derivation, &Question::new_for_store(store))?;
                none.insert(Known { derivation, key })
            }
        };
        seal_under(key, &derivation.head(), store, slot, text)
    }

    fn unwrap(
        &self,
        store: &Path,
        slot: u64,
        wrapped: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let (derivation, blob) =
            Derivation::of(wrapped).map_err(|fault| bad(store, slot, fault))?;
        let mut known = self.known();
        if let Some(known) = &*known
            && known.derivation == derivation
        {
            return open_under(&known.key, blob).map_err(|fault| bad(store, slot, fault));
        }
        let key = self.derive(&derivation, &Question::of_store(store))?;
        let text = open_under(&key, blob).map_err(|fault| match fault {
            SealFault::DoesNotOpen => StoreError::PassphraseWrong {
                of: format!("store {} (key_slot, id {slot})", store.display()),
            },
            other => bad(store, slot, other),
        })?;
        *known = Some(Known { derivation, key });
        Ok(text)
    }
}
