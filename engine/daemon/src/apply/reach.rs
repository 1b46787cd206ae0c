//! How far the SQL of a request reaches whose sender may not see, or not change, every namespace.
//!
//! What flows in: what SQLite asks the authorizer while it compiles a statement. What flows out: why
//! not. What is hidden is refused in the words in which SQLite refuses what is not there. As SQLite
//! resolves names, and complains of columns, before it asks, a statement is compiled on a shadow
//! first (see [`super::shadow`]); this is the wall behind it.

use rusqlite::hooks::{AuthAction, AuthContext};
use shmirror_shm::catalogue::{Catalogue, MAIN};
use shmirror_shm::request::RejectCode;

use super::guard::Notes;
use crate::rights::Rights;

/// SQLite's name of the schema in which temporary objects are: our triggers.
const TEMP: &str = "temp";

/// Table-valued functions that tell of the whole connection.
const TELLING: [&str; 7] = [
    "dbstat",
    "sqlite_dbpage",
    "sqlite_stmt",
    "bytecode",
    "tables_used",
    "sqlite_memstat",
    "fts3tokenize",
];

/// Table-valued functions that are no tables of main, though SQLite says so.
const FUNCTIONS: [&str; 4] = ["json_each", "json_tree", "jsonb_each", "jsonb_tree"];

const NO_PRAGMA: &str = "PRAGMA, and functions pragma_…, are not allowed in a request of who may not \
                         see and change everything; a query has them";

/// Why a change of this namespace is denied.
pub(crate) fn may_only_be_read(namespace: &str) -> String {
    format!("namespace \"{namespace}\" may only be read")
}

/// What may be touched, by the names of databases.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    readable: Vec<String>,
    writable: Vec<String>,
    /// No hidden table has the name of a table-valued function, for which SQLite would take it.
    functions: bool,
    /// A bare `sqlite_sequence` is none that may be read.
    no_sequence: bool,
}

fn is(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

fn among(list: &[String], name: &str) -> bool {
    list.iter().any(|n| is(n, name))
}

impl Reach {
    /// The reach of who has these rights; `None` for everywhere.
    pub fn of(rights: &Rights, catalogue: &Catalogue) -> Option<Self> {
        if rights.is_everything() {
            return None;
        }
        let names = |may: &dyn Fn(u16) -> bool| {
            let those = catalogue.all_namespaces().filter(|(id, _)| may(*id));
            those.map(|(_, name)| name.to_owned()).collect()
        };
        let is_function = |name: &str| FUNCTIONS.iter().any(|f| is(f, name));
        let hidden = |namespace: &str| {
            catalogue.namespace_id(namespace).is_none_or(|id| !rights.may_read(id))
        };
        let functions =
            !catalogue.tables.iter().any(|t| is_function(&t.name) && hidden(&t.namespace));
        Some(Self {
            readable: names(&|id| rights.may_read(id)),
            writable: names(&|id| rights.may_write(id)),
            functions,
            no_sequence: false,
        })
    }

    /// The same, where a bare `sqlite_sequence` means none that may be read.
    pub fn without_sequence(self) -> Self {
        Self { no_sequence: true, ..self }
    }

    /// Why the statement of which `notes` are may not do this.
    pub fn refusal(
        &self,
        notes: &Notes,
        context: &AuthContext<'_>,
    ) -> Option<(RejectCode, String)> {
        let not_allowed = |why: &str| Some((RejectCode::NotAllowed, why.to_owned()));
        let sql = |why: String| Some((RejectCode::Sql, why));
        let database = match context.action {
            AuthAction::AlterTable { database_name, .. } => Some(database_name),
            _ => context.database_name,
        };
        match context.action {
            // ALTER TABLE itself uses quick_check.
            AuthAction::Pragma { .. } if notes.altered.is_some() => None,
            AuthAction::Read { table_name, .. }
                if notes.altered.is_some() && is_pragma(table_name) =>
            {
                None
            }
            AuthAction::Pragma { .. } => not_allowed(NO_PRAGMA),
            AuthAction::Read { table_name, .. }
                if is_pragma(table_name) && database.is_none_or(|d| is(d, MAIN)) =>
            {
                not_allowed(NO_PRAGMA)
            }
            // CREATE INDEX fills the index so.
            AuthAction::Reindex { .. } if notes.ddl => None,
            AuthAction::Reindex { .. } => not_allowed(
                "REINDEX is not allowed in a request of who may not see and change everything",
            ),
            AuthAction::Read { table_name, .. } => {
                let database = database.or_else(|| unsaid(table_name));
                self.hides(notes, table_name, database)
                    .then(|| (RejectCode::Sql, format!("no such table: {table_name}")))
            }
            AuthAction::Insert { table_name }
            | AuthAction::Update { table_name, .. }
            | AuthAction::Delete { table_name } => {
                let database = database?;
                if is(database, TEMP) {
                    return if notes.reworks() {
                        None
                    } else {
                        sql(format!("no such table: {table_name}"))
                    };
                }
                if !among(&self.readable, database) {
                    return sql(if is_schema(table_name) {
                        format!("unknown database {database}")
                    } else {
                        format!("no such table: {table_name}")
                    });
                }
                self.denies(database)
            }
            AuthAction::CreateTable { .. }
            | AuthAction::CreateIndex { .. }
            | AuthAction::CreateView { .. }
            | AuthAction::CreateTrigger { .. }
            | AuthAction::DropTable { .. }
            | AuthAction::DropIndex { .. }
            | AuthAction::DropView { .. }
            | AuthAction::DropTrigger { .. }
            | AuthAction::AlterTable { .. } => {
                let database = database?;
                if !among(&self.readable, database) {
                    return sql(format!("unknown database {database}"));
                }
                self.denies(database)
            }
            _ => None,
        }
    }

    fn denies(&self, database: &str) -> Option<(RejectCode, String)> {
        (!among(&self.writable, database)).then(|| (RejectCode::Denied, may_only_be_read(database)))
    }

    fn hides(&self, notes: &Notes, table: &str, database: Option<&str>) -> bool {
        let in_main = database.is_none_or(|d| is(d, MAIN));
        if in_main && TELLING.iter().any(|name| is(name, table)) {
            return true;
        }
        if in_main && FUNCTIONS.iter().any(|f| is(f, table)) {
            return !self.functions;
        }
        match database {
            None if is(table, "sqlite_sequence") => self.no_sequence,
            // A bare name of which no column is needed: the shadow has seen what it means.
            None => false,
            Some(database) if is(database, TEMP) => !notes.reworks(),
            Some(database) => !among(&self.readable, database),
        }
    }
}

/// The database of one of SQLite's own tables, which stand in each, where a bare name says none.
fn unsaid(table: &str) -> Option<&'static str> {
    if is(table, "sqlite_temp_schema") || is(table, "sqlite_temp_master") {
        Some(TEMP)
    } else {
        is_schema(table).then_some(MAIN)
    }
}

fn is_schema(table: &str) -> bool {
    is(table, "sqlite_schema") || is(table, "sqlite_master")
}

fn is_pragma(table: &str) -> bool {
    table.get(..7).is_some_and(|start| is(start, "pragma_"))
}
