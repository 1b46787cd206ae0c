//! Names of tables: with their namespace before a dot, or bare, of the namespace `main`.
//!
//! In: a name as a program has it. Out: in which namespace it is to be looked for, and as what.

use shmirror_shm::catalogue::{Catalogue, MAIN, TableDef};
use shmirror_shm::wire::Seen;

/// The ways to read a name, in the order in which they hold: the namespace, and where in the name the
/// table's own begins. As [`Catalogue::table`] reads it.
pub(crate) fn readings(name: &str) -> impl Iterator<Item = (&str, usize)> {
    let qualified = name.split_once('.').map(|(space, _)| (space, space.len() + 1));
    qualified.into_iter().chain(std::iter::once((MAIN, 0)))
}

/// The namespace of this name, ASCII case folded, among those that are seen.
pub(crate) fn seen_as<'s>(seen: &'s [Seen], namespace: &str) -> Option<&'s Seen> {
    seen.iter().find(|s| s.name.eq_ignore_ascii_case(namespace))
}

/// A table's name as it was asked for, read in one way.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    asked: String,
    bare: usize,
}

impl Name {
    /// `asked`, in which the name within the namespace begins at `bare`.
    pub(crate) fn new(asked: &str, bare: usize) -> Self {
        Self { asked: asked.to_owned(), bare }
    }

    /// All of it.
    pub(crate) fn asked(&self) -> &str {
        &self.asked
    }

    /// Without the namespace.
    pub(crate) fn bare(&self) -> &str {
        self.asked.get(self.bare..).unwrap_or_default()
    }
}

/// A table that is wanted, whether it is there or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Wanted {
    /// What `name` means, where `is_there` knows the tables: the first reading that is one, else the
    /// first of all.
    pub(crate) fn of(name: &str, mut is_there: impl FnMut(&str, &str) -> bool) -> Self {
        let found = readings(name).find(|(space, bare)| is_there(space, &name[*bare..]));
        let first = || readings(name).next().unwrap_or((MAIN, 0));
        let (namespace, bare) = found.unwrap_or_else(first);
        Self { namespace: namespace.to_owned(), name: name[bare..].to_owned() }
    }

    /// Whether this is the table.
    pub(crate) fn is(&self, table: &TableDef) -> bool {
        table.is(&self.namespace, &self.name)
    }

    /// The table, where it is there.
    pub(crate) fn find<'c>(&self, catalogue: &'c Catalogue) -> Option<&'c TableDef> {
        catalogue.table_in(&self.namespace, &self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_the_catalogue_reads_it() {
        let there = |tables: &'static [(&str, &str)]| {
            move |space: &str, name: &str| tables.contains(&(space, name))
        };
        let of = |name, tables| {
            let wanted = Wanted::of(name, there(tables));
            format!("{}/{}", wanted.namespace, wanted.name)
        };
        assert_eq!(of("pid", &[]), "main/pid");
        assert_eq!(of("main.pid", &[]), "main/pid");
        assert_eq!(of("plant.pid", &[]), "plant/pid", "not there yet");
        assert_eq!(of("plant.pid", &[("main", "plant.pid")]), "main/plant.pid");
        assert_eq!(of("plant.pid", &[("main", "plant.pid"), ("plant", "pid")]), "plant/pid");
        assert_eq!(of("main.a.b", &[("main", "a.b")]), "main/a.b");
        let name = Name::new("plant.pid", 6);
        assert_eq!((name.asked(), name.bare()), ("plant.pid", "pid"));
    }
}
