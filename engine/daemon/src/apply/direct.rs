//! Typed changes of plain tables, done without SQLite: a row by its key takes new values as they are, and
//! there is nothing that SQLite would do besides.
//!
//! What flows in: typed changes. What flows out: the capture's net changes, as triggers would have told
//! them, and rows in the [overlay](super::overlay). Whatever is not certain to come out as SQLite has it,
//! each error included, is a [`Doubt`]: then nothing of the request is done here, and SQLite does it.
//!
//! A table is plain that has no triggers, foreign keys (its own, or to it), CHECKs, generated columns,
//! AUTOINCREMENT or conflict clauses, and whose indexes are on columns alone and, but for the key's, not
//! unique and not partial. Its key is an INTEGER PRIMARY KEY, or of columns that compare byte by byte.

use shmirror_shm::catalogue::{
    Affinity, Catalogue, Collation, ColumnDef, Generated, KeyKind, ObjectKind, TableDef,
};
use shmirror_shm::image::Image;
use shmirror_shm::key::Key;
use shmirror_shm::limits;
use shmirror_shm::request::{Action, Change, OnConflict};
use shmirror_shm::value::{Value, ValueRef};

use super::WorkingCopy;
use super::capture::{State, image_bytes};
use super::changes::{check_count, check_insert_revision, check_key, check_sizes, key_of};
use super::db::{Db, SqlError};
use super::delta::RowRevisions;
use super::overlay::{Overlay, Statements};
use super::plan::{Kind, Plan, plan};
use super::rows;
use super::tables::Table;
use super::words::Words;

/// Words in a table's definition with which it may not be plain.
const NOT_PLAIN: [&str; 8] =
    ["CHECK", "REFERENCES", "FOREIGN", "UNIQUE", "GENERATED", "AS", "CONFLICT", "AUTOINCREMENT"];

/// SQLite is to do it.
pub(super) struct Doubt;

/// Which values a column takes as they are.
#[derive(Clone, Copy, Debug)]
struct Rule {
    affinity: Affinity,
    takes_null: bool,
    strict: bool,
    is_key: bool,
    /// It is the rowid.
    is_rowid: bool,
}

impl Rule {
    fn of(def: &TableDef, index: usize, column: &ColumnDef) -> Self {
        let is_key = def.key_columns.iter().any(|&i| usize::from(i) == index);
        let takes_null = !column.not_null && !is_key;
        let is_rowid = is_key && def.key == KeyKind::Integer;
        Self { affinity: column.affinity, takes_null, strict: def.strict, is_key, is_rowid }
    }

    fn takes(self, value: ValueRef<'_>) -> bool {
        use Affinity::{Blob, Integer, Numeric, Real, Text};
        // In a STRICT table affinity BLOB is type BLOB or ANY: of the two only blobs are of both.
        match value {
            ValueRef::Null => self.takes_null,
            ValueRef::Integer(_) if self.is_rowid => true,
            _ if self.is_rowid => false,
            ValueRef::Integer(_) => match self.affinity {
                Integer => true,
                Numeric | Blob => !self.strict,
                Real | Text => false,
            },
            ValueRef::Real(r) => {
                // 0.0 and -0.0 are one where SQLite stores it as an integer; NaN is NULL.
                r.is_finite()
                    && r != 0.0
                    && !self.is_key
                    && match self.affinity {
                        Real => true,
                        Integer | Numeric => !self.strict && r.fract() != 0.0,
                        Blob => !self.strict,
                        Text => false,
                    }
            }
            ValueRef::Text(_) => match self.affinity {
                Text => true,
                Blob => !self.strict,
                Integer | Numeric | Real => false,
            },
            ValueRef::Blob(_) => self.affinity == Blob || !self.strict,
        }
    }
}

/// How changes of one kind to some columns of a plain table are done.
#[derive(Debug)]
pub(super) struct Direct {
    /// Of each column given.
    rules: Vec<Rule>,
    /// Of each column of the key.
    key_rules: Vec<Rule>,
    /// For each column of the image: where among those given its new value stands in a row that is there
    /// already. A key stays as it is.
    changed: Vec<Option<usize>>,
    /// The same for a new row, where all columns are given.
    new: Option<Vec<usize>>,
    /// Values of a row that is there stay.
    skips: bool,
    /// A row that is there is in doubt.
    only_new: bool,
}

impl Direct {
    /// `None` where SQLite has to do it. `columns` are those given, as indices into the image.
    pub fn of(
        db: &Db,
        catalogue: &Catalogue,
        table: &Table,
        kind: Kind,
        columns: &[usize],
    ) -> Result<Option<Self>, SqlError> {
        let def = &*table.def;
        let (skips, only_new) = match kind {
            Kind::Insert(OnConflict::Update) | Kind::Update => (false, false),
            Kind::Insert(OnConflict::Skip) => (true, false),
            Kind::Insert(OnConflict::Fail) => (false, true),
            Kind::Insert(OnConflict::Replace) | Kind::Delete => return Ok(None),
        };
        let is_key = |i: usize| table.parts.iter().any(|part| part.index == i);
        if kind == Kind::Update && columns.iter().any(|&i| is_key(i)) {
            return Ok(None);
        }
        if !is_plain(db, catalogue, def)? {
            return Ok(None);
        }
        let rule = |i: usize| def.columns.get(i).map(|column| Rule::of(def, i, column));
        let rules = columns.iter().map(|&i| rule(i)).collect::<Option<_>>();
        let key_rules = table.parts.iter().map(|part| rule(part.index)).collect::<Option<_>>();
        let (Some(rules), Some(key_rules)) = (rules, key_rules) else { return Ok(None) };
        let given = |i: usize| columns.iter().position(|&c| c == i);
        let all = 0..def.columns.len();
        Ok(Some(Self {
            rules,
            key_rules,
            changed: all.clone().map(|i| given(i).filter(|_| !is_key(i))).collect(),
            new: all.map(given).collect(),
            skips,
            only_new,
        }))
    }

    fn takes(&self, values: &[Value]) -> bool {
        values.iter().zip(&self.rules).all(|(value, rule)| rule.takes(value.as_ref()))
    }
}

fn is_plain(db: &Db, catalogue: &Catalogue, def: &TableDef) -> Result<bool, SqlError> {
    let (namespace, name) = (def.namespace.as_str(), def.name.as_str());
    let has_plain_key = match def.key {
        KeyKind::Integer => true,
        KeyKind::Columns => def.key_defs().all(|c| c.collation == Collation::Binary),
        KeyKind::Rowid => false,
    };
    let is_computed = |c: &ColumnDef| c.generated != Generated::No || c.hidden;
    let has_trigger = catalogue.objects.iter().any(|object| {
        object.kind == ObjectKind::Trigger
            && object.namespace.eq_ignore_ascii_case(namespace)
            && object.table.eq_ignore_ascii_case(name)
    });
    let is_strange = |word: &str| NOT_PLAIN.iter().any(|w| word.eq_ignore_ascii_case(w));
    if !has_plain_key
        || def.columns.iter().any(is_computed)
        || has_trigger
        || Words::new(&def.sql).any(is_strange)
    {
        return Ok(false);
    }
    let [name, namespace] = [name, namespace].map(ValueRef::Text);
    let mut query = db.prepare(
        "SELECT 1 FROM pragma_index_list(?1,?2) AS l WHERE l.origin<>'pk' AND (l.\"unique\" OR l.partial)
         UNION ALL
         SELECT 1 FROM pragma_index_list(?1,?2) AS l, pragma_index_xinfo(l.name,?2) AS x WHERE x.cid=-2",
    )?;
    query.bind(&[name, namespace])?;
    if query.step()? {
        return Ok(false);
    }
    let parents = "SELECT 1 FROM pragma_foreign_key_list(?1,?2) WHERE \"table\"=?3 COLLATE NOCASE";
    let is_beside = |t: &&TableDef| t.namespace.eq_ignore_ascii_case(&def.namespace);
    let refers = |t: &&TableDef| Words::new(&t.sql).any(|w| w.eq_ignore_ascii_case("REFERENCES"));
    for child in catalogue.tables.iter().filter(is_beside).filter(refers) {
        let mut query = db.prepare(parents)?;
        query.bind(&[ValueRef::Text(&child.name), namespace, name])?;
        if query.step()? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Does `changes` in their order. In doubt, the caller takes back what was done.
pub(super) fn run(
    copy: &mut WorkingCopy,
    changes: &[Change],
    revisions: &dyn RowRevisions,
) -> Result<(), Doubt> {
    for change in changes {
        match &change.action {
            Action::Insert { columns, rows, on_conflict, if_revision } => {
                let plan = sure(plan(copy, &change.table, Kind::Insert(*on_conflict), columns))?;
                let (Some(direct), Some(key_at)) = (&plan.direct, &plan.key_at) else {
                    return Err(Doubt);
                };
                if let Some(wanted) = *if_revision {
                    let [row] = &rows[..] else { return Err(Doubt) };
                    sure(check_insert_revision(&plan, row, wanted, revisions))?;
                }
                let mut target = Target::new(copy, &plan, direct)?;
                target.state.reserve(rows.len());
                for row in rows {
                    sure(check_count(&plan, row))?;
                    target.put(row, key_at.iter().map(|&i| &row[i]))?;
                }
            }
            Action::Update { key, columns, values, if_revision } => {
                let plan = sure(plan(copy, &change.table, Kind::Update, columns))?;
                let Some(direct) = &plan.direct else { return Err(Doubt) };
                sure(check_count(&plan, values))?;
                sure(check_key(&plan, key, *if_revision, revisions))?;
                Target::new(copy, &plan, direct)?.put(values, key.iter())?;
            }
            Action::Delete { .. } => return Err(Doubt),
        }
    }
    Ok(())
}

fn sure<T, E>(result: Result<T, E>) -> Result<T, Doubt> {
    result.map_err(|_| Doubt)
}

/// A table that is changed.
struct Target<'a> {
    db: &'a Db,
    overlay: &'a mut Overlay,
    state: std::sync::MutexGuard<'a, State>,
    plan: &'a Plan,
    direct: &'a Direct,
    statements: Statements,
}

impl<'a> Target<'a> {
    fn new(copy: &'a mut WorkingCopy, plan: &'a Plan, direct: &'a Direct) -> Result<Self, Doubt> {
        let WorkingCopy { db, overlay, capture, .. } = copy;
        let statements = sure(overlay.statements(db, &plan.table))?;
        Ok(Self { db, overlay, state: capture.state(), plan, direct, statements })
    }

    /// Gives `values`, of the columns that are given, to the row with this key.
    fn put<'v>(
        &mut self,
        values: &[Value],
        key: impl Iterator<Item = &'v Value> + Clone,
    ) -> Result<(), Doubt> {
        let (plan, direct, table) = (self.plan, self.direct, &*self.plan.table);
        if !direct.takes(values) {
            return Err(Doubt);
        }
        sure(check_sizes(plan, values))?;
        let mut rules = direct.key_rules.iter();
        if !key.clone().all(|v| rules.next().is_some_and(|rule| rule.takes(v.as_ref()))) {
            return Err(Doubt);
        }
        let canonical = match key.clone().next() {
            Some(Value::Integer(i)) if direct.key_rules.len() == 1 => Key::Int(*i),
            _ => {
                let refs: Vec<ValueRef<'_>> = key.clone().map(Value::as_ref).collect();
                sure(key_of(plan, &refs))?
            }
        };
        let id = table.def.id;
        let hash = self.overlay.hash(id, &canonical);
        let place = self.overlay.find(hash, id, &canonical);
        let old = match place {
            Some(place) => Some(self.overlay.image(place).clone()),
            None => self.ask(key)?,
        };
        let is_new = old.is_none();
        let new = match &old {
            Some(_) if direct.only_new => return Err(Doubt),
            Some(_) if direct.skips => return Ok(()),
            Some(old) => {
                let old = old.as_ref();
                Image::encode(direct.changed.iter().enumerate().map(|(i, given)| match given {
                    Some(given) => values[*given].as_ref(),
                    None => old.get(i).unwrap_or_default(),
                }))
            }
            None => {
                let all = direct.new.as_ref().filter(|_| plan.kind != Kind::Update).ok_or(Doubt)?;
                Image::encode(all.iter().map(|&given| values[given].as_ref()))
            }
        };
        if old.as_ref() == Some(&new) {
            return Ok(());
        }
        if image_bytes(&new) > limits::ROW_BYTES {
            return Err(Doubt);
        }
        match place {
            Some(place) => self.overlay.change(place, new.clone()),
            None => self.overlay.enter(hash, id, canonical.clone(), new.clone(), is_new),
        }
        sure(self.state.record(table, canonical, old, Some(new)))
    }

    /// The row with this key, as SQLite has it.
    fn ask<'v>(&self, key: impl Iterator<Item = &'v Value>) -> Result<Option<Image>, Doubt> {
        let values: Vec<ValueRef<'_>> = key.map(Value::as_ref).collect();
        let mut query = sure(self.db.kept(self.statements.select))?;
        sure(query.bind(&values))?;
        if !sure(query.step())? {
            return Ok(None);
        }
        sure(rows::image_of(&self.plan.table, &query)).map(Some)
    }
}
