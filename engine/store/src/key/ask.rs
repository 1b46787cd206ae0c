//! Passphrases, and who is asked for them: the seam between the providers and a terminal, a file
//! descriptor or a test.

use std::path::Path;

use zeroize::Zeroizing;

use crate::error::StoreError;

/// A passphrase. Wiped when it is dropped; it has no `Debug`.
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// Bytes of the longest.
    pub const LONGEST: usize = 1_024;

    /// The passphrase in `bytes`, for `question`.
    ///
    /// # Errors
    /// [`StoreError::PassphraseRefused`] where it is empty or too long.
    pub fn new(bytes: Zeroizing<Vec<u8>>, question: &Question<'_>) -> Result<Self, StoreError> {
        let what = match bytes.len() {
            0 => "it is empty".to_owned(),
            n if n > Self::LONGEST => {
                format!("it is longer than {} bytes", Self::LONGEST)
            }
            _ => return Ok(Self(bytes)),
        };
        Err(StoreError::PassphraseRefused { of: question.wanted(), what })
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Which passphrase is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    what: &'static str,
    path: &'a Path,
    /// It is set now: a person is asked twice.
    pub new: bool,
}

impl<'a> Question<'a> {
    /// The passphrase of the store at `path`.
    pub fn of_store(path: &'a Path) -> Self {
        Self { what: "store", path, new: false }
    }

    /// A new passphrase for the store at `path`.
    pub fn new_for_store(path: &'a Path) -> Self {
        Self { what: "store", path, new: true }
    }

    /// The passphrase of the private key at `path`.
    pub fn of_private_key(path: &'a Path) -> Self {
        Self { what: "private key", path, new: false }
    }

    /// A new passphrase for the private key at `path`.
    pub fn new_for_private_key(path: &'a Path) -> Self {
        Self { what: "private key", path, new: true }
    }

    /// What it is the passphrase of.
    pub fn wanted(&self) -> String {
        format!("{} {}", self.what, self.path.display())
    }
}

/// Gives passphrases.
pub trait PassphraseSource: Send + Sync {
    /// The passphrase that `question` asks for.
    ///
    /// # Errors
    /// [`StoreError::NoPassphrase`] where nobody can be asked, [`StoreError::PassphraseRefused`].
    fn ask(&self, question: &Question<'_>) -> Result<Passphrase, StoreError>;
}

/// Nobody can be asked.
pub struct NoSource;

impl PassphraseSource for NoSource {
    fn ask(&self, question: &Question<'_>) -> Result<Passphrase, StoreError> {
        let what = "nobody was named who could be asked".into();
        Err(StoreError::NoPassphrase { of: question.wanted(), what })
    }
}
