//! The catalogue: what tables there are, their columns, keys and shapes.
//!
//! One structure serves the store (sealed, in the commit log), the segment (an rkyv archive that
//! readers copy out and check) and the events lane (a schema record).

use std::borrow::Cow;

use rkyv::{Archive, Deserialize, Serialize};

/// Column affinity, by SQLite's rules (<https://sqlite.org/datatype3.html#determination_of_column_affinity>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum Affinity {
    /// No conversion.
    Blob,
    /// Numbers become text.
    Text,
    /// Text that looks like a number becomes one.
    Numeric,
    /// As numeric, integers preferred.
    Integer,
    /// As numeric, integers become doubles.
    Real,
}

impl Affinity {
    /// The affinity of a declared type, by the five rules of SQLite in their order.
    pub fn of_declared(decl: &str) -> Self {
        let up = decl.to_ascii_uppercase();
        let has = |s: &str| up.contains(s);
        if has("INT") {
            Self::Integer
        } else if has("CHAR") || has("CLOB") || has("TEXT") {
            Self::Text
        } else if up.is_empty() || has("BLOB") {
            Self::Blob
        } else if has("REAL") || has("FLOA") || has("DOUB") {
            Self::Real
        } else {
            Self::Numeric
        }
    }
}

/// How TEXT of a key column compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum Collation {
    /// Byte by byte.
    Binary,
    /// ASCII letters without case.
    NoCase,
    /// Trailing spaces ignored.
    RTrim,
}

/// Whether a column is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum Generated {
    /// An ordinary column.
    No,
    /// `GENERATED … VIRTUAL`.
    Virtual,
    /// `GENERATED … STORED`.
    Stored,
}

/// What the key of a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum KeyKind {
    /// One `INTEGER PRIMARY KEY` column (the rowid by another name).
    Integer,
    /// The columns of a declared PRIMARY KEY.
    Columns,
    /// The rowid, as no key is declared. It is the last column of the image, hidden, named `rowid`.
    Rowid,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct ColumnDef {
    /// Number of this column, never used again in its table, whatever ALTER TABLE does.
    pub id: u32,
    /// Name as declared.
    pub name: String,
    /// Type as declared, empty where none is.
    pub decl_type: String,
    /// Affinity that SQLite gives to it.
    pub affinity: Affinity,
    /// NOT NULL is declared.
    pub not_null: bool,
    /// DEFAULT as SQL text.
    pub default_sql: Option<String>,
    /// Place in the key, from 1; 0 where it is not of the key.
    pub key_position: u16,
    /// Whether it is computed.
    pub generated: Generated,
    /// Not shown by `SELECT *`: the hidden rowid.
    pub hidden: bool,
    /// Collation (it matters for key columns only).
    pub collation: Collation,
}

/// The columns of a shape that a table had before an ALTER TABLE.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct PastShape {
    /// Number of the shape.
    pub shape: u32,
    /// Id and name of each column of the image, in image order.
    pub columns: Vec<(u32, String)>,
}

/// Name of the namespace that every instance has.
pub const MAIN: &str = "main";

/// A part of an instance with readers and writers of its own, in SQL a schema: `plant` in
/// `plant.pid`.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Namespace {
    /// Number of this namespace, never used again in the instance; [`MAIN`] is 0.
    pub id: u16,
    /// Its name.
    pub name: String,
}

/// One table.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct TableDef {
    /// Number of this table, never used again in the instance.
    pub id: u32,
    /// Name of its namespace.
    pub namespace: String,
    /// Name as declared, without the namespace.
    pub name: String,
    /// Number of the present shape: +1 with each ALTER TABLE that changes the columns.
    pub shape: u32,
    /// `CREATE TABLE` as SQLite's schema has it.
    pub sql: String,
    /// What its key is.
    pub key: KeyKind,
    /// Indices into `columns` of the key, in key order.
    pub key_columns: Vec<u16>,
    /// Columns in image order: as declared, then the hidden rowid where there is one.
    pub columns: Vec<ColumnDef>,
    /// Declared WITHOUT ROWID.
    pub without_rowid: bool,
    /// Declared STRICT.
    pub strict: bool,
    /// Shapes that rows or history may still have.
    pub past_shapes: Vec<PastShape>,
}

/// A name as the API, messages and events have it: `pid` in [`MAIN`], `plant.pid` elsewhere.
fn full_name<'a>(namespace: &str, name: &'a str) -> Cow<'a, str> {
    if namespace.eq_ignore_ascii_case(MAIN) {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(format!("{namespace}.{name}"))
    }
}

impl TableDef {
    /// The name with the namespace before it, unless that is [`MAIN`].
    pub fn full_name(&self) -> Cow<'_, str> {
        full_name(&self.namespace, &self.name)
    }

    /// Whether it is the table `name` of `namespace`, ASCII case folded.
    pub fn is(&self, namespace: &str, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name) && self.namespace.eq_ignore_ascii_case(namespace)
    }

    /// Index of the column of this name, ASCII case folded, as SQLite matches names.
    pub fn column_index(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name.eq_ignore_ascii_case(name))
    }

    /// The columns that `SELECT *` shows, with their indices.
    pub fn visible(&self) -> impl Iterator<Item = (usize, &ColumnDef)> {
        self.columns.iter().enumerate().filter(|(_, c)| !c.hidden)
    }

    /// The key's columns, in key order.
    pub fn key_defs(&self) -> impl Iterator<Item = &ColumnDef> {
        self.key_columns.iter().filter_map(|&i| self.columns.get(usize::from(i)))
    }

    /// Ids and names of the columns of the image of `shape`, the present one or a past one.
    pub fn shape_columns(&self, shape: u32) -> Option<Vec<(u32, &str)>> {
        if shape == self.shape {
            return Some(self.columns.iter().map(|c| (c.id, c.name.as_str())).collect());
        }
        let past = self.past_shapes.iter().find(|p| p.shape == shape)?;
        Some(past.columns.iter().map(|(id, n)| (*id, n.as_str())).collect())
    }
}

/// Kind of a schema object that is not a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum ObjectKind {
    /// `CREATE INDEX`.
    Index,
    /// `CREATE VIEW`.
    View,
    /// `CREATE TRIGGER`.
    Trigger,
}

/// An index, a view or a trigger.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct SchemaObject {
    /// What it is.
    pub kind: ObjectKind,
    /// Name of its namespace, which is that of its table too.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Name of the table or view that it belongs to.
    pub table: String,
    /// Its `CREATE` statement.
    pub sql: String,
}

/// All tables and schema objects of an instance at one schema version.
#[derive(Clone, Debug, PartialEq, Eq, Default, Archive, Serialize, Deserialize)]
pub struct Catalogue {
    /// +1 with each committed DDL transaction.
    pub schema_version: u64,
    /// The id that the next table gets; 0 in a part that is published.
    pub next_table_id: u32,
    /// The number that the next namespace gets; 0 in a part that is published.
    pub next_namespace_id: u16,
    /// Namespaces besides [`MAIN`], by rising id; in a part that is published, its own alone.
    pub namespaces: Vec<Namespace>,
    /// Tables in the order of their creation.
    pub tables: Vec<TableDef>,
    /// Indexes, views and triggers in the order of their creation.
    pub objects: Vec<SchemaObject>,
}

impl Catalogue {
    /// The table of this name, ASCII case folded: `namespace.name`, or a name of [`MAIN`]. A table of
    /// [`MAIN`] whose name has a dot in it is found by its name where no other is meant, and always as
    /// `main.` and its name.
    pub fn table(&self, name: &str) -> Option<&TableDef> {
        let qualified = name.split_once('.').and_then(|(space, rest)| self.table_in(space, rest));
        qualified.or_else(|| self.table_in(MAIN, name))
    }

    /// The table `name` of `namespace`, ASCII case folded.
    pub fn table_in(&self, namespace: &str, name: &str) -> Option<&TableDef> {
        self.tables.iter().find(|t| t.is(namespace, name))
    }

    /// The number of a namespace, ASCII case folded.
    pub fn namespace_id(&self, name: &str) -> Option<u16> {
        if name.eq_ignore_ascii_case(MAIN) {
            return Some(0);
        }
        self.namespaces.iter().find(|n| n.name.eq_ignore_ascii_case(name)).map(|n| n.id)
    }

    /// The name of a namespace.
    pub fn namespace_name(&self, id: u16) -> Option<&str> {
        match id {
            0 => Some(MAIN),
            _ => self.namespaces.iter().find(|n| n.id == id).map(|n| n.name.as_str()),
        }
    }

    /// All namespaces: number and name, [`MAIN`] first.
    pub fn all_namespaces(&self) -> impl Iterator<Item = (u16, &str)> {
        let others = self.namespaces.iter().map(|n| (n.id, n.name.as_str()));
        std::iter::once((0, MAIN)).chain(others)
    }

    /// Adds a namespace, unless there is one of this name; its number.
    pub fn add_namespace(&mut self, name: &str) -> u16 {
        if let Some(id) = self.namespace_id(name) {
            return id;
        }
        let id = self.next_namespace_id.max(1);
        self.next_namespace_id = id.saturating_add(1);
        self.namespaces.push(Namespace { id, name: name.to_owned() });
        id
    }

    /// What of it is published in one namespace: nothing in it tells of another.
    pub fn part(&self, namespace: u16) -> Self {
        let name = self.namespace_name(namespace).unwrap_or_default();
        let is_its = |of: &str| of.eq_ignore_ascii_case(name);
        Self {
            schema_version: self.schema_version,
            next_table_id: 0,
            next_namespace_id: 0,
            namespaces: self.namespaces.iter().filter(|n| n.id == namespace).cloned().collect(),
            tables: self.tables.iter().filter(|t| is_its(&t.namespace)).cloned().collect(),
            objects: self.objects.iter().filter(|o| is_its(&o.namespace)).cloned().collect(),
        }
    }

    /// The table with this id.
    pub fn table_by_id(&self, id: u32) -> Option<&TableDef> {
        self.tables.iter().find(|t| t.id == id)
    }

    /// The archive of this catalogue.
    ///
    /// # Errors
    /// Out of memory, as rkyv reports it.
    pub fn to_bytes(&self) -> Result<Vec<u8>, crate::ArchiveError> {
        crate::archive::to_bytes(self)
    }

    /// A catalogue from an archive in private memory, checked.
    ///
    /// # Errors
    /// The bytes are no archive of a catalogue.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, crate::ArchiveError> {
        crate::archive::from_bytes::<Self>(bytes)
    }
}
