//! What somebody may do with an instance's namespaces, decided by [`crate::config`]'s rules and the
//! kernel's word on who it is; what holds a request, a query or an answer to it.

/// What one peer may see and change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rights {
    everything: bool,
    administers: bool,
    /// Numbers of the namespaces that it may read, rising.
    readable: Vec<u16>,
    /// Of those, the ones that it may write.
    writable: Vec<u16>,
}

impl Rights {
    /// Everything: of the user that the daemon runs as.
    pub fn all() -> Self {
        Self { everything: true, administers: true, ..Self::default() }
    }

    /// These namespaces, by their numbers. Who may write may read too: an UPDATE that names a row
    /// learns of it.
    pub fn of(readable: &[u16], writable: &[u16], administers: bool) -> Self {
        let rising = |mut ids: Vec<u16>| {
            ids.sort_unstable();
            ids.dedup();
            ids
        };
        Self {
            everything: false,
            administers,
            readable: rising([readable, writable].concat()),
            writable: rising(writable.to_vec()),
        }
    }

    /// Whether it may see and change everything, now and later.
    pub fn is_everything(&self) -> bool {
        self.everything
    }

    /// Numbers of the namespaces that it may read; `None` for every one.
    pub fn readable(&self) -> Option<&[u16]> {
        (!self.everything).then_some(&self.readable)
    }

    /// Whether it may read the namespace with this number.
    pub fn may_read(&self, namespace: u16) -> bool {
        self.everything || self.readable.binary_search(&namespace).is_ok()
    }

    /// Whether it may write the namespace with this number.
    pub fn may_write(&self, namespace: u16) -> bool {
        self.everything || self.writable.binary_search(&namespace).is_ok()
    }

    /// Whether it may write anything.
    pub fn may_write_any(&self) -> bool {
        self.everything || !self.writable.is_empty()
    }

    /// Whether it may attach at all.
    pub fn may_attach(&self) -> bool {
        self.everything || self.administers || !self.readable.is_empty()
    }

    /// Whether it may look after the instance: check, backup, keys, and who is attached.
    pub fn administers(&self) -> bool {
        self.administers
    }

    /// Whether all that `other` allows is allowed here too.
    pub fn covers(&self, other: &Self) -> bool {
        if self.everything {
            return true;
        }
        !other.everything
            && (self.administers || !other.administers)
            && other.readable.iter().all(|id| self.may_read(*id))
            && other.writable.iter().all(|id| self.may_write(*id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_writes_reads_and_who_owns_does_all() {
        let rights = Rights::of(&[3], &[7, 7], false);
        assert!(rights.may_read(3) && rights.may_read(7) && !rights.may_read(0));
        assert!(rights.may_write(7) && !rights.may_write(3) && rights.may_write_any());
        assert!(rights.may_attach() && !rights.administers() && !rights.is_everything());
        assert!(!Rights::default().may_attach() && Rights::of(&[], &[], true).may_attach());
        let all = Rights::all();
        assert!(all.may_read(9) && all.may_write(9) && all.administers() && all.covers(&rights));
        assert!(!rights.covers(&all) && rights.covers(&Rights::of(&[3, 7], &[], false)));
        assert!(!rights.covers(&Rights::of(&[], &[3], false)));
        assert!(!rights.covers(&Rights::of(&[], &[], true)));
    }
}
