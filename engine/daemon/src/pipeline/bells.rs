//! Bells of clients that wait in `epoll`: one wake for each group that changed a table of theirs.
//!
//! A bell is a pipe of which the client has the reading end. An eventfd would share its file
//! description, and with it `O_NONBLOCK` and the counter, with the client, who could so make the
//! daemon's write wait for ever. A pipe's two ends are two descriptions. A ring leaves eight bytes
//! (the number 1, as an eventfd would give), and none where there are some already: one read of
//! eight bytes always empties it.

use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, pipe_with};

struct Bell {
    connection: u64,
    /// In rising order; none for all.
    tables: Vec<u32>,
    write: OwnedFd,
    /// Kept so that writing can never raise SIGPIPE in the program that the daemon runs in.
    read: OwnedFd,
}

/// All bells.
#[derive(Default)]
pub(crate) struct Bells {
    bells: Vec<Bell>,
}

impl Bells {
    /// Hangs a bell, in place of the connection's present one; the end that the client gets.
    pub fn add(&mut self, connection: u64, mut tables: Vec<u32>) -> std::io::Result<OwnedFd> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let theirs = read.try_clone()?;
        tables.sort_unstable();
        tables.dedup();
        self.remove(connection);
        self.bells.push(Bell { connection, tables, write, read });
        Ok(theirs)
    }

    /// The connection is gone.
    pub fn remove(&mut self, connection: u64) {
        self.bells.retain(|b| b.connection != connection);
    }

    /// Rings for these tables; table 0 stands for the schema and rings all.
    pub fn ring(&self, tables: &[u32]) {
        let all = tables.contains(&0);
        for bell in &self.bells {
            // A bell may name a thousand tables, and there may be a thousand such bells.
            let names = |t: &u32| bell.tables.binary_search(t).is_ok();
            let concerned = all || bell.tables.is_empty() || tables.iter().any(names);
            if concerned && matches!(rustix::io::ioctl_fionread(&bell.read), Ok(0)) {
                // A wake is a hint: one that is lost costs its reader a look at its deadline.
                let _ = rustix::io::write(&bell.write, &1u64.to_ne_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_read_empties_it_however_often_it_rang() {
        let mut bells = Bells::default();
        let read = bells.add(1, vec![7, 3, 3, 1]).unwrap();
        let mut buffer = [0u8; 8];
        bells.ring(&[4]);
        assert!(rustix::io::read(&read, &mut buffer).is_err());
        (0..3).for_each(|_| bells.ring(&[3, 4]));
        assert_eq!(rustix::io::read(&read, &mut buffer).unwrap(), 8);
        assert_eq!(u64::from_ne_bytes(buffer), 1);
        assert!(rustix::io::read(&read, &mut buffer).is_err());
        bells.remove(1);
        assert_eq!(rustix::io::read(&read, &mut buffer).unwrap(), 0);
    }
}
