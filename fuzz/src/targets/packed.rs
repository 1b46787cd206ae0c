//! Typed changes in their packed form.
//!
//! In: the payload of a request, as a producer puts it into its lane.

use shmirror_shm::packed::Packed;
use shmirror_shm::request::Request;
use zerocopy::IntoBytes as _;

use crate::is_understood;
use crate::memory::within;
use crate::samples;

/// Reads packed changes; what are some, packed again, are the same.
pub fn run(data: &[u8]) {
    let packed = Packed::new(data.to_vec());
    // A value of a row takes a few times the word that it stands in.
    match within(4096 + 64 * data.len(), "packed changes", || packed.unpack()) {
        Ok(changes) => {
            let again = Packed::of(&changes).expect("no longer than what was read");
            let read = again.unpack().expect("what was packed is read");
            // In words, as a NaN is not equal to itself.
            assert_eq!(format!("{read:?}"), format!("{changes:?}"));
            is_understood();
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Typed changes of each kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let words = samples::requests().into_iter().filter_map(|request| match request {
        Request::Transaction(changes) => shmirror_shm::packed::pack(&changes).ok(),
        Request::Sql(_) => None,
    });
    words.map(|words| words.as_bytes().to_vec()).collect()
}
