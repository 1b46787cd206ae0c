//! What the database looks like to somebody who may not read every namespace: the schema without its
//! hidden part, and without rows.
//!
//! What flows in: the schema texts of the namespaces that may be read. What flows out: for a statement,
//! the error that SQLite has for it where nothing else exists, or that it may be compiled in earnest.
//! SQLite resolves names before it asks the authorizer: without a shadow, `SELECT nope FROM hidden.t`
//! would complain of the column.
//!
//! A bare name means the first namespace, by number, that has it. So one that is found only behind a
//! hidden namespace is not there for whoever cannot see that one: else the answer would tell whether the
//! hidden one has a table of this name. In the shadow such names are held by decoys, temporary views that
//! do not compile, as SQLite looks at temporary objects first.

use std::collections::HashSet;

use shmirror_shm::catalogue::Catalogue;
use shmirror_shm::request::RejectCode;

use super::create::create_in;
use super::db::{Db, SqlError};
use super::guard::{self, Guard, Notes};
use super::reach::Reach;
use super::reject::Reject;
use super::script::{Output, Place, prepare, step_all};
use super::tables::quote;
use super::words::{Words, has_dot, has_keyword};
use super::{ApplyError, Rights};
use shmirror_shm::value::Value;

/// Most shadows kept at one time.
const SHADOWS: usize = 8;

/// Behind a decoy's name: what it selects from, which is not there.
const MARK: &str = "\u{1}hidden";

/// The schema as somebody sees it.
pub(super) struct Shadow {
    db: Db,
    guard: Guard,
    /// Names of the namespaces in which a bare name is found.
    early: HashSet<String>,
    /// Those of which only qualified names are found.
    late: HashSet<String>,
    /// Names, in lower case, of tables and views of the early ones.
    bare: HashSet<String>,
    /// Names, in lower case, that decoys hold.
    decoys: HashSet<String>,
}

/// What the shadow has to say of a statement.
pub(super) enum Seen {
    /// It compiles; now in earnest.
    Compiles,
    /// It ran in the shadow, as it changes nothing: its bytes.
    Done(usize),
}

impl Shadow {
    /// The shadow of `db` for who has `rights`.
    fn new(db: &Db, catalogue: &Catalogue, rights: &Rights) -> Result<Self, ApplyError> {
        let failed = |e: SqlError| ApplyError::sqlite("making a shadow", &e);
        let (own, guard) = guard::open().map_err(failed)?;
        let mut shadow = Self {
            db: own,
            guard,
            early: HashSet::new(),
            late: HashSet::new(),
            bare: HashSet::new(),
            decoys: HashSet::new(),
        };
        let mut is_behind = false;
        for (id, namespace) in catalogue.all_namespaces() {
            if !rights.may_read(id) {
                is_behind = true;
                continue;
            }
            if id != 0 {
                guard::attach(&shadow.db, namespace)?;
            }
            let list = if is_behind { &mut shadow.late } else { &mut shadow.early };
            list.insert(namespace.to_ascii_lowercase());
        }
        shadow.db.exec("PRAGMA journal_mode=OFF; BEGIN").map_err(failed)?;
        let (mut held, mut early_sequence, mut late_sequence) = (Vec::new(), false, false);
        for (id, namespace) in catalogue.all_namespaces() {
            if !rights.may_read(id) {
                continue;
            }
            let is_early = shadow.is_early(namespace);
            let sql = format!(
                "SELECT type,name,sql FROM {}.sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid",
                quote(namespace)
            );
            let mut query = db.prepare(&sql).map_err(failed)?;
            while query.step().map_err(failed)? {
                let (kind, name, sql) = (query.text(0), query.text(1), query.text(2));
                if name.eq_ignore_ascii_case("sqlite_sequence") {
                    *(if is_early { &mut early_sequence } else { &mut late_sequence }) = true;
                    continue;
                }
                let what = || ApplyError::Catalogue { what: "the text of an object".to_owned() };
                let sql = create_in(namespace, &sql).ok_or_else(what)?;
                shadow.db.exec(&sql).map_err(failed)?;
                if kind == "table" || kind == "view" {
                    let name = name.to_ascii_lowercase();
                    if is_early {
                        shadow.bare.insert(name);
                    } else {
                        held.push(name);
                    }
                }
            }
        }
        held.into_iter().try_for_each(|name| shadow.hold(name)).map_err(failed)?;
        let mut reach = Reach::of(rights, catalogue);
        if late_sequence && !early_sequence {
            // SQLite makes temp.sqlite_sequence with it.
            let sql = "CREATE TEMP TABLE shmirror_sequence(id INTEGER PRIMARY KEY AUTOINCREMENT)";
            shadow.db.exec(sql).map_err(failed)?;
            reach = reach.map(Reach::without_sequence);
        }
        shadow.db.exec("COMMIT").map_err(failed)?;
        shadow.guard.limit(reach);
        Ok(shadow)
    }

    fn is_early(&self, namespace: &str) -> bool {
        self.early.contains(&namespace.to_ascii_lowercase())
    }

    /// Has a decoy hold a name of a late namespace, unless an early one has it.
    fn hold(&mut self, name: String) -> Result<(), SqlError> {
        if self.bare.contains(&name) || self.decoys.contains(&name) {
            return Ok(());
        }
        let (decoy, nothing) = (quote(&name), quote(&format!("{name}{MARK}")));
        self.db.exec(&format!("CREATE TEMP VIEW {decoy} AS SELECT 1 FROM {nothing}"))?;
        self.decoys.insert(name);
        Ok(())
    }

    /// Compiles the statement at `place`; one that explains, or drops what is not there, runs here.
    fn see(
        &self,
        params: &[Value],
        place: &Place<'_>,
        output: &mut Output,
    ) -> Result<Seen, Reject> {
        let (stmt, used, notes) = prepare(&self.db, &self.guard, place).map_err(|mut reject| {
            reject.message = reject.message.replace(MARK, "");
            reject
        })?;
        let text = place.rest().get(..used).unwrap_or_default();
        if let Some(what) = self.drops_behind(&notes, text) {
            return Err(Reject::new(RejectCode::Sql, format!("{}: {what}", place.name())));
        }
        let Some(mut stmt) = stmt else { return Ok(Seen::Compiles) };
        let is_drop = Words::new(text).next().is_some_and(|w| w.eq_ignore_ascii_case("DROP"));
        if !(stmt.is_explain() || is_drop && !notes.ddl) {
            return Ok(Seen::Compiles);
        }
        match step_all(&mut stmt, (&self.guard, &notes), params, output) {
            Ok(()) => Ok(Seen::Done(used)),
            Err(stop) => Err(stop.reject(place)),
        }
    }

    /// A bare DROP INDEX or DROP TRIGGER that finds its object behind a hidden namespace: the text of
    /// SQLite for what is not there. Decoys are of no use here: an index of one namespace may have the
    /// name of a table of another.
    fn drops_behind(&self, notes: &Notes, text: &str) -> Option<String> {
        let mut words = Words::new(text).filter(|w| !w.eq_ignore_ascii_case("EXPLAIN"));
        let first = words.find(|w| !["QUERY", "PLAN"].iter().any(|x| w.eq_ignore_ascii_case(x)))?;
        let kind = words.next()?.to_ascii_lowercase();
        let is_bare_drop = first.eq_ignore_ascii_case("DROP")
            && (kind == "index" || kind == "trigger")
            && !has_dot(text);
        let defined = notes.defined.as_ref().filter(|_| is_bare_drop)?;
        let namespace = defined.namespace.as_deref()?;
        (!self.is_early(namespace)).then(|| format!("no such {kind}: {}", defined.name))
    }

    /// Makes here too what a CREATE statement made in earnest. False where it did not come out.
    fn create(&mut self, place: &Place<'_>, notes: &Notes, params: &[Value]) -> bool {
        let Ok((Some(mut stmt), used, _)) = prepare(&self.db, &self.guard, place) else {
            return false;
        };
        let text = place.rest().get(..used).unwrap_or_default();
        let Some(defined) = &notes.defined else { return false };
        let is_table =
            Words::new(text).nth(1).is_some_and(|word| word.eq_ignore_ascii_case("TABLE"));
        // With rows it takes its time, and a sequence may need a decoy.
        if is_table && (has_keyword(text, "AS") || has_keyword(text, "AUTOINCREMENT")) {
            return false;
        }
        if step_all(&mut stmt, (&self.guard, notes), params, &mut Output::new(false, 0)).is_err() {
            return false;
        }
        drop(stmt);
        let name = defined.name.to_ascii_lowercase();
        let is_view = Words::new(text).nth(1).is_some_and(|w| w.eq_ignore_ascii_case("VIEW"));
        if !(is_table || is_view) {
            return true;
        }
        let Some(namespace) = &defined.namespace else { return false };
        if !self.is_early(namespace) {
            return self.hold(name).is_ok();
        }
        let is_held = self.decoys.remove(&name);
        let sql = format!("DROP VIEW temp.{}", quote(&name));
        self.bare.insert(name);
        !is_held || self.db.exec(&sql).is_ok()
    }
}

/// The shadows of a working copy, by the namespaces that may be read; thrown away when the schema
/// changes in any way.
#[derive(Default)]
pub(super) struct Shadows(Vec<(Rights, Shadow)>);

impl Shadows {
    /// Throws them all away.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    fn of(&mut self, db: &Db, catalogue: &Catalogue, rights: &Rights) -> Result<usize, ApplyError> {
        if let Some(at) = self.0.iter().position(|(of, _)| of == rights) {
            return Ok(at);
        }
        if self.0.len() >= SHADOWS {
            self.0.remove(0);
        }
        self.0.push((rights.clone(), Shadow::new(db, catalogue, rights)?));
        Ok(self.0.len() - 1)
    }

    /// Compiles the statement at `place` as who has `rights` sees the schema of `db`.
    ///
    /// # Errors
    /// What SQLite says of it, or what those rights do not allow.
    pub fn see(
        &mut self,
        (db, catalogue, rights): (&Db, &Catalogue, &Rights),
        params: &[Value],
        place: &Place<'_>,
        output: &mut Output,
    ) -> Result<Seen, Reject> {
        let at = self
            .of(db, catalogue, rights)
            .map_err(|e| Reject::internal("preparing a statement", e))?;
        match self.0.get(at) {
            Some((_, shadow)) => shadow.see(params, place, output),
            None => Err(Reject::internal("preparing a statement", "no shadow")),
        }
    }

    /// A CREATE statement ran: only the shadow of who sent it is taken along, so that a script of many
    /// does not make one after each.
    pub fn created(&mut self, rights: &Rights, place: &Place<'_>, notes: &Notes, params: &[Value]) {
        self.0.retain_mut(|(of, shadow)| of == rights && shadow.create(place, notes, params));
    }
}
