//! What is needed of one table to read and write it by SQL: names, key parts, capture triggers.

use std::sync::Arc;

use shmirror_shm::catalogue::{Catalogue, ColumnDef, Generated, KeyKind, TableDef};
use shmirror_shm::key::KeyPart;

use super::guard::CAPTURE;
use super::words::has_keyword;

/// One table, ready for SQL.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// Its definition.
    pub def: Arc<TableDef>,
    /// Number of its namespace.
    pub namespace: u16,
    /// Its key.
    pub parts: Vec<KeyPart>,
    /// Each column of the image as SQL names it.
    pub sql_columns: Vec<String>,
    /// Its key is AUTOINCREMENT.
    pub autoincrement: bool,
}

/// `name` as an SQL identifier.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The name by which the rowid of a table with these columns can be asked for.
pub(crate) fn rowid_alias(columns: &[ColumnDef]) -> Option<&'static str> {
    ["rowid", "_rowid_", "oid"]
        .into_iter()
        .find(|alias| !columns.iter().any(|c| !c.hidden && c.name.eq_ignore_ascii_case(alias)))
}

impl Table {
    /// Takes a definition out of `catalogue`.
    pub fn of(def: &TableDef, catalogue: &Catalogue) -> Self {
        // A catalogue has the namespaces of its tables.
        let namespace = catalogue.namespace_id(&def.namespace).unwrap_or_default();
        Self { namespace, ..Self::new(Arc::new(def.clone())) }
    }

    /// Takes a definition; the namespace's number, which is not looked up, is that of main.
    pub fn new(def: Arc<TableDef>) -> Self {
        // A table whose columns hide every alias is refused when it is created.
        let alias = rowid_alias(&def.columns).unwrap_or("rowid");
        let sql_columns = def
            .columns
            .iter()
            .map(|c| if c.hidden { alias.to_owned() } else { quote(&c.name) })
            .collect();
        let parts = def
            .key_columns
            .iter()
            .filter_map(|&i| Some((usize::from(i), def.columns.get(usize::from(i))?)))
            .map(|(i, column)| KeyPart::of(i, column))
            .collect();
        let autoincrement = def.key == KeyKind::Integer && has_keyword(&def.sql, "AUTOINCREMENT");
        Self { namespace: 0, parts, sql_columns, autoincrement, def }
    }

    /// `"namespace"."name"`.
    pub fn sql_name(&self) -> String {
        format!("{}.{}", quote(&self.def.namespace), quote(&self.def.name))
    }

    /// All columns of the image, comma-separated, each behind `prefix`.
    pub fn sql_list(&self, prefix: &str) -> String {
        let mut out = String::new();
        for (i, column) in self.sql_columns.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            out.push_str(prefix);
            out.push_str(column);
        }
        out
    }

    /// `"a"=?first AND "b"=?second …` over the key.
    pub fn sql_key_test(&self, first: usize) -> String {
        let tests: Vec<String> = self
            .parts
            .iter()
            .enumerate()
            .map(|(i, part)| format!("{}=?{}", self.sql_columns[part.index], first + i))
            .collect();
        tests.join(" AND ")
    }

    /// Whether a value can be written to the column at `index`.
    pub fn is_writable(&self, index: usize) -> bool {
        self.def.columns.get(index).is_some_and(|c| c.generated == Generated::No)
    }

    /// The names of its three capture triggers.
    fn triggers(&self) -> [String; 3] {
        ["insert", "update", "delete"].map(|event| format!("shmirror_{}_{event}", self.def.id))
    }

    /// SQL that makes its capture triggers.
    ///
    /// They are temporary: SQLite fires those before the table's own, so that no RAISE(IGNORE) comes
    /// between a change and its capture. Without arguments the function says whether there is anything to
    /// capture, so that changes of ours do not pay for it.
    pub fn create_triggers(&self) -> String {
        let (id, name) = (self.def.id, self.sql_name());
        let (old, new) = (self.sql_list("OLD."), self.sql_list("NEW."));
        let [insert, update, delete] = self.triggers();
        format!(
            "CREATE TEMP TRIGGER {insert} AFTER INSERT ON {name} WHEN {CAPTURE}() BEGIN \
             SELECT {CAPTURE}({id},1,{new}); END;\
             CREATE TEMP TRIGGER {update} AFTER UPDATE ON {name} WHEN {CAPTURE}() BEGIN \
             SELECT {CAPTURE}({id},2,{old},{new}); END;\
             CREATE TEMP TRIGGER {delete} AFTER DELETE ON {name} WHEN {CAPTURE}() BEGIN \
             SELECT {CAPTURE}({id},3,{old}); END;"
        )
    }

    /// SQL that drops its capture triggers, where they are.
    pub fn drop_triggers(&self) -> String {
        self.triggers().map(|t| format!("DROP TRIGGER IF EXISTS temp.{t};")).concat()
    }
}
