//! The archive of a request.
//!
//! In: the archive, as a producer puts it into its lane.

use shmirror_shm::archive;
use shmirror_shm::request::Request;

use crate::is_understood;
use crate::memory::within;
use crate::samples;

/// Reads a request; what is one, written again, is the same.
pub fn run(data: &[u8]) {
    let read = within(4096 + 16 * data.len(), "a request", || archive::from_bytes::<Request>(data));
    match read {
        Ok(request) => {
            let bytes = archive::to_bytes(&request).expect("there is memory");
            let again: Request = archive::from_bytes(&bytes).expect("what was written is read");
            // In bytes, as a NaN is not equal to itself.
            assert_eq!(archive::to_bytes(&again).expect("there is memory"), bytes);
            assert_eq!(format!("{again:?}"), format!("{request:?}"));
            is_understood();
        }
        Err(error) => assert!(error.to_string().contains("Request")),
    }
}

/// Each kind of request.
pub fn seeds() -> Vec<Vec<u8>> {
    samples::requests().iter().filter_map(|request| archive::to_bytes(request).ok()).collect()
}
