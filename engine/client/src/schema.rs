//! What a row must know of its table: names, hidden columns, key.
//!
//! In: a table's definition, of its present shape or a past one. Out: a `&'static Schema`.
//!
//! A row is handed out in a few nanoseconds, to many threads at once, and outlives its table
//! handle. A reference count in it would be a write to a line that all readers share, so schemas are
//! interned instead: one for each distinct form that this process has read, kept for its life (some
//! hundred bytes for each shape of each table).

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::{Mutex, PoisonError};

use shmirror_shm::catalogue::TableDef;
use shmirror_shm::key::KeyPart;

use crate::error::Error;

/// One column, as a row sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// The same, ending with NUL.
    pub(crate) terminated: CString,
    pub(crate) hidden: bool,
}

impl Column {
    fn new(name: &str, hidden: bool) -> Self {
        // No name in SQL has a NUL.
        let terminated = CString::new(name).unwrap_or_default();
        Self { name: name.to_owned(), terminated, hidden }
    }
}

/// The form of the rows of one table at one shape.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Schema {
    /// The full name.
    pub(crate) table: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) key: Vec<KeyPart>,
}

/// The form of a row that was never filled.
pub(crate) static EMPTY: Schema =
    Schema { table: String::new(), columns: Vec::new(), key: Vec::new() };

impl Schema {
    /// The form of the table's present rows.
    pub(crate) fn of(def: &TableDef) -> &'static Self {
        intern(Self {
            table: def.full_name().into_owned(),
            columns: def.columns.iter().map(|c| Column::new(&c.name, c.hidden)).collect(),
            key: key_parts(def),
        })
    }

    /// The form of the table's rows at `shape`, a past one or the present.
    pub(crate) fn of_shape(def: &TableDef, shape: u32) -> Option<&'static Self> {
        if shape == def.shape {
            return Some(Self::of(def));
        }
        let past = def.shape_columns(shape)?;
        let hidden = |id| def.columns.iter().any(|c| c.id == id && c.hidden);
        let key = def.key_defs().filter_map(|c| {
            let index = past.iter().position(|(id, _)| *id == c.id)?;
            Some(KeyPart::of(index, c))
        });
        Some(intern(Self {
            table: def.full_name().into_owned(),
            columns: past.iter().map(|(id, name)| Column::new(name, hidden(*id))).collect(),
            key: key.collect(),
        }))
    }

    /// A form for rows whose table nobody knows any more.
    pub(crate) fn unknown(table: u32, columns: usize) -> &'static Self {
        intern(Self {
            table: format!("#{table}"),
            columns: (1..=columns).map(|n| Column::new(&format!("column{n}"), false)).collect(),
            key: Vec::new(),
        })
    }

    /// Index of the column of this name, ASCII case folded.
    pub(crate) fn index(&self, name: &str) -> Result<usize, Error> {
        self.columns
            .iter()
            .position(|c| c.name.eq_ignore_ascii_case(name))
            .ok_or_else(|| self.unknown_column(name))
    }

    #[cold]
    fn unknown_column(&self, name: &str) -> Error {
        Error::UnknownColumn {
            table: self.table.clone(),
            column: name.to_owned(),
            known: self.columns.iter().map(|c| c.name.clone()).collect(),
        }
    }

    /// Name of the column at `index`, for errors.
    pub(crate) fn name(&self, index: usize) -> String {
        self.columns.get(index).map_or_else(|| format!("#{index}"), |c| c.name.clone())
    }
}

/// The parts of the table's key, in key order.
pub(crate) fn key_parts(def: &TableDef) -> Vec<KeyPart> {
    def.key_columns
        .iter()
        .filter_map(|&i| {
            let index = usize::from(i);
            def.columns.get(index).map(|c| KeyPart::of(index, c))
        })
        .collect()
}

fn intern(schema: Schema) -> &'static Schema {
    static ALL: Mutex<Option<HashMap<String, Vec<&'static Schema>>>> = Mutex::new(None);
    let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    let same_name = all.get_or_insert_default().entry(schema.table.clone()).or_default();
    if let Some(known) = same_name.iter().find(|s| ***s == schema) {
        return known;
    }
    let kept: &'static Schema = Box::leak(Box::new(schema));
    same_name.push(kept);
    kept
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use shmirror_shm::catalogue::{Affinity, Collation, ColumnDef, Generated, KeyKind, PastShape};

    /// A table of these columns, the first of which is its INTEGER PRIMARY KEY.
    pub(crate) fn table(name: &str, columns: &[&str]) -> TableDef {
        let column = |(i, name): (usize, &&str)| ColumnDef {
            id: i as u32 + 1,
            name: (*name).to_owned(),
            decl_type: String::new(),
            affinity: if i == 0 { Affinity::Integer } else { Affinity::Blob },
            not_null: false,
            default_sql: None,
            key_position: u16::from(i == 0),
            generated: Generated::No,
            hidden: false,
            collation: Collation::Binary,
        };
        TableDef {
            id: 1,
            namespace: "main".to_owned(),
            name: name.to_owned(),
            shape: 2,
            sql: String::new(),
            key: KeyKind::Integer,
            key_columns: vec![0],
            columns: columns.iter().enumerate().map(column).collect(),
            without_rowid: false,
            strict: false,
            past_shapes: vec![PastShape {
                shape: 1,
                columns: vec![(7, "gone".to_owned()), (1, "was_id".to_owned())],
            }],
        }
    }

    #[test]
    fn equal_forms_are_one() {
        let def = table("t", &["id", "Name"]);
        assert!(std::ptr::eq(Schema::of(&def), Schema::of(&def.clone())));
        assert!(!std::ptr::eq(Schema::of(&def), Schema::of(&table("t", &["id", "name"]))));
    }

    #[test]
    fn names_match_without_case_and_unknown_ones_are_told_the_known() {
        let s = Schema::of(&table("t", &["id", "Name"]));
        assert_eq!(s.index("nAME").unwrap(), 1);
        let e = s.index("nane").unwrap_err();
        assert!(e.to_string().ends_with("did you mean Name?"), "{e}");
    }

    #[test]
    fn a_past_shape_finds_its_key_by_column_number() {
        let def = table("t", &["id", "name"]);
        let s = Schema::of_shape(&def, 1).unwrap();
        assert_eq!((s.columns[1].name.as_str(), s.key[0].index), ("was_id", 1));
        assert!(Schema::of_shape(&def, 9).is_none());
    }
}
