//! Typed changes of plain tables, done without SQLite: a row by its key takes new values as they are, and
//! there is nothing that SQLite would do besides.
//!
//! What flows in: packed changes. What flows out: rows in the [overlay](super::overlay), which tells what the
//! net changes are. Whatever is not certain to come out as SQLite has it,
//! each error included, is a [`Doubt`]: then nothing of the request is done here, and SQLite does it.
//!
//! A table is plain that has no triggers, foreign keys (its own, or to it), CHECKs, generated columns,
//! AUTOINCREMENT or conflict clauses, and whose indexes are on columns alone and, but for the key's, not
//! unique and not partial. Its key is an INTEGER PRIMARY KEY, or of columns that compare byte by byte.

use shmirror_shm::catalogue::{
    Affinity, Catalogue, Collation, ColumnDef, Generated, KeyKind, ObjectKind, TableDef,
};
use shmirror_shm::image::{Image, ImageRef, tag_words};
use shmirror_shm::key::Key;
use shmirror_shm::limits;
use shmirror_shm::packed::{Packed, PackedKind, Reader};
use shmirror_shm::record::HEADER_WORDS;
use shmirror_shm::request::OnConflict;
use shmirror_shm::snapshot::FORESEEN;
use shmirror_shm::value::{StorageClass, ValueRef};
use zerocopy::IntoBytes;

use super::WorkingCopy;
use super::db::{Db, SqlError};
use super::delta::RowRevisions;
use super::overlay::{Overlay, Statements};
use super::places::RowHash;
use super::plan::{Kind, Plan, plan_packed};
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
    /// Whether it takes an integer.
    takes_integer: bool,
}

impl Rule {
    fn of(def: &TableDef, index: usize, column: &ColumnDef) -> Self {
        use Affinity::{Blob, Integer, Numeric};
        let is_key = def.key_columns.iter().any(|&i| usize::from(i) == index);
        let takes_null = !column.not_null && !is_key;
        let is_rowid = is_key && def.key == KeyKind::Integer;
        let (affinity, strict) = (column.affinity, def.strict);
        let takes_integer =
            is_rowid || affinity == Integer || matches!(affinity, Numeric | Blob) && !strict;
        Self { affinity, takes_null, strict, is_key, is_rowid, takes_integer }
    }

    #[inline]
    fn takes(self, value: ValueRef<'_>) -> bool {
        match value {
            ValueRef::Integer(_) => self.takes_integer,
            _ => self.takes_other(value),
        }
    }

    fn takes_other(self, value: ValueRef<'_>) -> bool {
        use Affinity::{Blob, Integer, Numeric, Real, Text};
        // In a STRICT table affinity BLOB is type BLOB or ANY: of the two only blobs are of both.
        match value {
            ValueRef::Null => self.takes_null,
            _ if self.is_rowid => false,
            ValueRef::Integer(_) => self.takes_integer,
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
    /// Where all of them take integers: the tags of a row that has nothing else.
    integers: Option<Vec<u64>>,
    /// Of each column of the key.
    key_rules: Vec<Rule>,
    /// 0, 1, …: one for each of them.
    in_order: Vec<usize>,
    /// For each column of the image: where among those given its new value stands in a row that is there
    /// already. A key stays as it is.
    changed: Vec<Option<usize>>,
    /// The same for a new row, where all columns are given.
    new: Option<Vec<usize>>,
    /// All columns are given, in their order: the row given is the new image.
    as_given: bool,
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
        let rules: Option<Vec<Rule>> = columns.iter().map(|&i| rule(i)).collect();
        let key_rules: Option<Vec<Rule>> = table.parts.iter().map(|p| rule(p.index)).collect();
        let (Some(rules), Some(key_rules)) = (rules, key_rules) else { return Ok(None) };
        let given = |i: usize| columns.iter().position(|&c| c == i);
        let all = 0..def.columns.len();
        Ok(Some(Self {
            integers: integers(&rules),
            rules,
            in_order: (0..key_rules.len()).collect(),
            key_rules,
            changed: all.clone().map(|i| given(i).filter(|_| !is_key(i))).collect(),
            as_given: columns.iter().copied().eq(all.clone()),
            new: all.map(given).collect(),
            skips,
            only_new,
        }))
    }

    /// Whether each column takes its value of `row` as it is, and the row is what it would be if it were made
    /// here: rows are compared word by word.
    fn takes(&self, row: &ImageRef<'_>) -> bool {
        if row.columns() != self.rules.len() || row.var_bytes() > limits::VALUE_BYTES {
            return false;
        }
        let (tags, cells) = row.head().split_at(tag_words(row.columns()));
        if row.var_bytes() == 0 && self.integers.as_deref() == Some(tags) {
            return true;
        }
        let mut var_bytes = 0;
        let words = tags.iter().zip(self.rules.chunks(16).zip(cells.chunks(16)));
        for (i, (&tags, (rules, cells))) in words.enumerate() {
            let mut left = tags;
            for (j, (rule, &cell)) in rules.iter().zip(cells).enumerate() {
                let tag = left & 0xF;
                left >>= 4;
                if tag == StorageClass::Integer as u64 {
                    if !rule.takes_integer {
                        return false;
                    }
                    continue;
                }
                let Ok(value) = row.get(i * 16 + j) else { return false };
                let length = value.var_len();
                let made = match value {
                    ValueRef::Null => 0,
                    ValueRef::Text(_) | ValueRef::Blob(_) => {
                        var_bytes as u64 | (length as u64) << 32
                    }
                    _ => cell,
                };
                var_bytes += length;
                if cell != made || !rule.takes_other(value) {
                    return false;
                }
            }
            if left != 0 {
                return false;
            }
        }
        let rest = row.var_words().as_bytes().get(var_bytes..).unwrap_or(&[1]);
        var_bytes == row.var_bytes() && rest.iter().all(|byte| *byte == 0)
    }
}

/// The tags of a row of integers alone, where each column takes one.
fn integers(rules: &[Rule]) -> Option<Vec<u64>> {
    let mut tags = vec![0; tag_words(rules.len())];
    for (i, rule) in rules.iter().enumerate() {
        tags[i / 16] |= (StorageClass::Integer as u64) << (4 * (i % 16));
        if !rule.takes_integer {
            return None;
        }
    }
    Some(tags)
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
    changes: &Packed,
    revisions: &dyn RowRevisions,
) -> Result<(), Doubt> {
    let (count, mut reader) = sure(changes.read())?;
    let (mut rows, mut bytes) = (0, 0);
    for _ in 0..count {
        let head = sure(reader.change())?;
        let kind = match head.kind {
            PackedKind::Insert(on_conflict) => Kind::Insert(on_conflict),
            PackedKind::Update => Kind::Update,
            PackedKind::Delete => return Err(Doubt),
        };
        let plan = plan_packed(copy, kind, head.columns, head.names).ok_or(Doubt)?;
        let Some(direct) = &plan.direct else { return Err(Doubt) };
        let mut target = Target::new(copy, &plan, direct, head.if_revision, revisions)?;
        if kind == Kind::Update {
            let (key, values) = (sure(reader.row())?, sure(reader.row())?);
            if key.columns() != direct.key_rules.len() {
                return Err(Doubt);
            }
            target.put(values, (key, &direct.in_order))?;
        } else {
            let key_at = plan.key_at.as_ref().ok_or(Doubt)?;
            if head.if_revision.is_some() && head.rows != 1 {
                return Err(Doubt);
            }
            for at in 0..head.rows {
                if at % FORESEEN == 0 {
                    target.foresee(reader.clone(), key_at);
                }
                let row = sure(reader.row())?;
                target.put(row, (row, key_at))?;
            }
        }
        (rows, bytes) = (rows + target.rows, bytes + target.bytes);
        if rows > limits::TRANSACTION_ROWS || bytes > limits::TRANSACTION_BYTES {
            return Err(Doubt);
        }
    }
    if reader.is_at_end() { Ok(()) } else { Err(Doubt) }
}

fn sure<T, E>(result: Result<T, E>) -> Result<T, Doubt> {
    result.map_err(|_| Doubt)
}

/// Calls `f` with the values that stand at these places.
fn with_key<T>(
    from: &ImageRef<'_>,
    key_at: &[usize],
    f: impl FnOnce(&[ValueRef<'_>]) -> Result<T, Doubt>,
) -> Result<T, Doubt> {
    let mut values = [ValueRef::Null; limits::KEY_COLUMNS];
    let values = values.get_mut(..key_at.len()).ok_or(Doubt)?;
    for (value, &at) in values.iter_mut().zip(key_at) {
        *value = sure(from.get(at))?;
    }
    f(values)
}

/// A table that is changed.
struct Target<'a> {
    db: &'a Db,
    overlay: &'a mut Overlay,
    plan: &'a Plan,
    direct: &'a Direct,
    statements: Statements,
    if_revision: Option<u64>,
    revisions: &'a dyn RowRevisions,
    /// Where an image is made.
    made: Vec<u64>,
    /// Rows that were changed, and bytes that they come to, at most.
    rows: usize,
    bytes: usize,
}

impl<'a> Target<'a> {
    fn new(
        copy: &'a mut WorkingCopy,
        plan: &'a Plan,
        direct: &'a Direct,
        if_revision: Option<u64>,
        revisions: &'a dyn RowRevisions,
    ) -> Result<Self, Doubt> {
        let WorkingCopy { db, overlay, .. } = copy;
        let statements = sure(overlay.statements(db, &plan.table))?;
        let (made, rows, bytes) = (Vec::new(), 0, 0);
        Ok(Self {
            db,
            overlay,
            plan,
            direct,
            statements,
            if_revision,
            revisions,
            made,
            rows,
            bytes,
        })
    }

    /// Fetches what the next few rows will look at, if their keys are integers.
    fn foresee(&self, mut reader: Reader<'_>, key_at: &[usize]) {
        let [at] = key_at else { return };
        let (mut hashes, mut count) = ([RowHash::default(); FORESEEN], 0);
        while count < FORESEEN
            && let Ok(row) = reader.row()
            && let Some(key) = row.integer(*at)
        {
            hashes[count] = self.overlay.hash(self.plan.table.def.id, &Key::Int(key));
            count += 1;
        }
        self.overlay.foresee(&hashes[..count]);
    }

    /// Gives `values`, of the columns that are given, to the row whose key's values stand at these places
    /// in an image.
    fn put(
        &mut self,
        values: ImageRef<'_>,
        (from, key_at): (ImageRef<'_>, &[usize]),
    ) -> Result<(), Doubt> {
        let (plan, direct, table) = (self.plan, self.direct, &*self.plan.table);
        if !direct.takes(&values) {
            return Err(Doubt);
        }
        let key = match (key_at, &direct.key_rules[..]) {
            ([at], [rule]) if from.integer(*at).is_some() && rule.takes_integer => {
                Key::Int(from.integer(*at).unwrap_or_default())
            }
            _ => self.key(&from, key_at)?,
        };
        let id = table.def.id;
        if let Some(wanted) = self.if_revision {
            let found = self.revisions.revision_of(id, &key).unwrap_or(0);
            if found != wanted {
                return Err(Doubt);
            }
        }
        let hash = self.overlay.hash(id, &key);
        let place = self.overlay.find(hash, id, &key);
        let asked = match place {
            Some(_) => None,
            None => self.ask(&from, key_at)?,
        };
        let asked = asked.as_ref().map(Image::as_ref);
        let old = place.map(|place| self.overlay.image(place)).or(asked);
        match &old {
            Some(_) if direct.only_new => return Err(Doubt),
            Some(_) if direct.skips => return Ok(()),
            None if plan.kind == Kind::Update || direct.new.is_none() => return Err(Doubt),
            _ => {}
        }
        // A key stays as it is, be it 1.0 where 1 is given.
        let has_key = |old: &ImageRef<'_>| {
            table.parts.iter().zip(key_at).all(|(part, at)| match old.integer(part.index) {
                Some(integer) => from.integer(*at) == Some(integer),
                None => old.get(part.index) == from.get(*at),
            })
        };
        let new = if direct.as_given && old.as_ref().is_none_or(has_key) {
            values
        } else {
            let columns = table.def.columns.len();
            let given = |i: usize| values.get(i).unwrap_or_default();
            self.made.clear();
            let var_bytes = match (&old, &direct.new) {
                (Some(old), _) => {
                    let value = |(i, given_at): (usize, &Option<usize>)| match given_at {
                        Some(at) => given(*at),
                        None => old.get(i).unwrap_or_default(),
                    };
                    Image::append(direct.changed.iter().enumerate().map(value), &mut self.made)
                }
                (None, Some(all)) => Image::append(all.iter().map(|&at| given(at)), &mut self.made),
                (None, None) => return Err(Doubt),
            };
            sure(ImageRef::new(columns, var_bytes, &self.made))?
        };
        if old.as_ref() == Some(&new) {
            return Ok(());
        }
        let bytes = new.words().len() * 8;
        if bytes > limits::ROW_BYTES {
            return Err(Doubt);
        }
        self.rows += 1;
        self.bytes += bytes + HEADER_WORDS * 8;
        match place {
            Some(place) => self.overlay.change(place, new),
            None => self.overlay.enter(hash, (id, key), new, asked),
        }
        Ok(())
    }

    /// The key whose values stand at these places, where its columns take them as they are.
    fn key(&self, from: &ImageRef<'_>, key_at: &[usize]) -> Result<Key, Doubt> {
        with_key(from, key_at, |values| {
            let mut rules = self.direct.key_rules.iter();
            if !values.iter().all(|value| rules.next().is_some_and(|rule| rule.takes(*value))) {
                return Err(Doubt);
            }
            sure(Key::new(&self.plan.table.parts, values))
        })
    }

    /// The row with this key, as SQLite has it.
    fn ask(&self, from: &ImageRef<'_>, key_at: &[usize]) -> Result<Option<Image>, Doubt> {
        let mut query = sure(self.db.kept(self.statements.select))?;
        with_key(from, key_at, |values| sure(query.bind(values)))?;
        if !sure(query.step())? {
            return Ok(None);
        }
        sure(rows::image_of(&self.plan.table, &query)).map(Some)
    }
}
