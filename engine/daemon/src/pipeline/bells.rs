//! Bells of clients that wait in `epoll`: one wake for each group that changed a table of theirs, in a
//! namespace that they may read.
//!
//! A bell is a pipe of which the client has the reading end. An eventfd would share its file
//! description, and with it `O_NONBLOCK` and the counter, with the client, who could so make the
//! daemon's write wait for ever. A pipe's two ends are two descriptions. A ring leaves eight bytes
//! (the number 1, as an eventfd would give), and none where there are some already: one read of
//! eight bytes always empties it.

use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, pipe_with};

use crate::rights::Rights;

struct Bell {
    connection: u64,
    /// In rising order; none for all.
    tables: Vec<u32>,
    rights: Rights,
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
    pub fn add(
        &mut self,
        connection: u64,
        mut tables: Vec<u32>,
        rights: Rights,
    ) -> std::io::Result<OwnedFd> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let theirs = read.try_clone()?;
        tables.sort_unstable();
        tables.dedup();
        self.remove(connection);
        self.bells.push(Bell { connection, tables, rights, write, read });
        Ok(theirs)
    }

    /// The connection is gone.
    pub fn remove(&mut self, connection: u64) {
        self.bells.retain(|b| b.connection != connection);
    }

    /// Rings for these namespaces and tables; table 0 stands for a namespace's schema and rings all who
    /// may see it.
    pub fn ring(&self, touched: &[(u16, u32)]) {
        for bell in &self.bells {
            let concerns = |&(namespace, table): &(u16, u32)| {
                // A bell may name a thousand tables, and there may be a thousand such bells.
                let named = || bell.tables.is_empty() || bell.tables.binary_search(&table).is_ok();
                bell.rights.may_read(namespace) && (table == 0 || named())
            };
            if touched.iter().any(concerns)
                && matches!(rustix::io::ioctl_fionread(&bell.read), Ok(0))
            {
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
        let read = bells.add(1, vec![7, 3, 3, 1], Rights::all()).unwrap();
        let mut buffer = [0u8; 8];
        bells.ring(&[(0, 4)]);
        assert!(rustix::io::read(&read, &mut buffer).is_err());
        (0..3).for_each(|_| bells.ring(&[(0, 3), (0, 4)]));
        assert_eq!(rustix::io::read(&read, &mut buffer).unwrap(), 8);
        assert_eq!(u64::from_ne_bytes(buffer), 1);
        assert!(rustix::io::read(&read, &mut buffer).is_err());
        bells.remove(1);
        assert_eq!(rustix::io::read(&read, &mut buffer).unwrap(), 0);
    }

    #[test]
    fn it_never_rings_for_what_its_owner_may_not_see() {
        let mut bells = Bells::default();
        let rights = Rights::of(&[2], &[], false);
        let any = bells.add(1, vec![], rights.clone()).unwrap();
        let named = bells.add(2, vec![7, 8], rights).unwrap();
        let mut buffer = [0u8; 8];
        let mut rang = |fd: &OwnedFd| rustix::io::read(fd, &mut buffer).is_ok();
        // Table 8 is of namespace 1: as unknown to it as one that is not there.
        bells.ring(&[(0, 0), (1, 8), (1, 0)]);
        assert!(!rang(&any) && !rang(&named));
        bells.ring(&[(1, 8), (2, 9)]);
        assert!(rang(&any) && !rang(&named));
        bells.ring(&[(2, 7)]);
        assert!(rang(&any) && rang(&named));
        bells.ring(&[(2, 0)]);
        assert!(rang(&any) && rang(&named));
    }
}
