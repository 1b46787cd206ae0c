//! Names of tables with their namespaces: `plant.pid` as people and requests write it, `"plant"."pid"` as
//! SQL does.

use shmirror_shm::catalogue::{Catalogue, MAIN, TableDef};

use crate::failure::Failure;
use crate::text::quoted_name;

/// The namespace of this name, ASCII case folded, as the catalogue writes it.
///
/// # Errors
/// There is none; the message lists those there are.
pub fn namespace<'c>(catalogue: &'c Catalogue, name: &str) -> Result<&'c str, Failure> {
    let mut known = catalogue.all_namespaces().map(|(_, known)| known);
    known.find(|known| known.eq_ignore_ascii_case(name)).ok_or_else(|| {
        let known: Vec<&str> = catalogue.all_namespaces().map(|(_, known)| known).collect();
        Failure::Refused(format!("no namespace {name:?}, there is {}", known.join(", ")))
    })
}

/// A table's name and its namespace's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    namespace: String,
    table: String,
}

impl Name {
    /// A table of this namespace.
    pub fn new(namespace: &str, table: &str) -> Self {
        Self { namespace: namespace.to_owned(), table: table.to_owned() }
    }

    /// Of a table that is there.
    pub fn of(table: &TableDef) -> Self {
        Self::new(&table.namespace, &table.name)
    }

    /// Of a table that need not be there: `namespace.table`, or a name of `main`.
    ///
    /// # Errors
    /// A namespace that the catalogue does not have.
    pub fn parse(catalogue: &Catalogue, text: &str) -> Result<Self, Failure> {
        let Some((space, table)) = text.split_once('.') else {
            return Ok(Self::new(MAIN, text));
        };
        let hint = format!("a table of {MAIN} with a dot in its name is {MAIN}.{text}");
        let space = namespace(catalogue, space);
        Ok(Self::new(space.map_err(|what| Failure::Advised(what.to_string(), hint))?, table))
    }

    /// Of another table in the same namespace.
    pub fn beside(&self, table: &str) -> Self {
        Self::new(&self.namespace, table)
    }

    /// As a request names it, and as it is found again in any catalogue.
    pub fn full(&self) -> String {
        if self.namespace.eq_ignore_ascii_case(MAIN) && !self.table.contains('.') {
            return self.table.clone();
        }
        format!("{}.{}", self.namespace, self.table)
    }

    /// As SQL names it: never a table of another namespace that has the same name.
    pub fn sql(&self) -> String {
        format!("{}.{}", quoted_name(&self.namespace), quoted_name(&self.table))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_of_main() {
        let mut catalogue = Catalogue::default();
        catalogue.add_namespace("plant");
        let parsed = |text: &str| Name::parse(&catalogue, text).unwrap();
        assert_eq!(parsed("pid"), Name::new("main", "pid"));
        assert_eq!(parsed("MAIN.pid").full(), "pid");
        assert_eq!(parsed("Plant.pid").full(), "plant.pid");
        assert_eq!(parsed("plant.a.b"), Name::new("plant", "a.b"));
        assert_eq!(parsed("main.a.b").full(), "main.a.b");
        assert_eq!(parsed("plant.p\"d").sql(), r#""plant"."p""d""#);
        assert_eq!(parsed("plant.pid").beside("other").full(), "plant.other");
        let e = Name::parse(&catalogue, "hall.pid").unwrap_err();
        assert!(e.to_string().contains("no namespace \"hall\", there is main, plant"), "{e}");
        assert!(e.hint().unwrap().contains("main.hall.pid"));
    }
}
