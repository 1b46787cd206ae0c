//! A few things by the numbers of their namespaces, of which there are 31 at most: a vector in order takes
//! less of a small library than a map does.

/// Things by rising number.
#[derive(Clone, Debug)]
pub(crate) struct ById<T>(Vec<(u16, T)>);

impl<T> ById<T> {
    /// None yet.
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    fn place(&self, id: u16) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| other.cmp(&id))
    }

    /// The one with this number.
    pub(crate) fn get(&self, id: u16) -> Option<&T> {
        self.place(id).ok().map(|at| &self.0[at].1)
    }

    /// Puts one in, in place of the one with its number.
    pub(crate) fn insert(&mut self, id: u16, value: T) {
        match self.place(id) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (id, value)),
        }
    }

    /// Takes the one with this number out.
    pub(crate) fn remove(&mut self, id: u16) {
        if let Ok(at) = self.place(id) {
            self.0.remove(at);
        }
    }

    /// All of them.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_rising_number_and_each_once() {
        let mut things = ById::new();
        [7, 0, 3, 7].into_iter().for_each(|id| things.insert(id, id * 10));
        assert_eq!(things.values().copied().collect::<Vec<_>>(), [0, 30, 70]);
        things.remove(3);
        things.remove(4);
        assert_eq!((things.get(7), things.get(3)), (Some(&70), None));
    }
}
