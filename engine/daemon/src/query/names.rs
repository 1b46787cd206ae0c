//! Which namespaces, tables and views an SQL text can mean, without parsing it.
//!
//! A name that occurs anywhere in the text, in a comment too, counts as meant: some too many are
//! found, never one too few. Only SQLite's rule for a name without a namespace is followed, which is
//! that the first namespace that has it is meant, so that who reads `main` alone has nothing else
//! made ready.

use shmirror_shm::catalogue::{Catalogue, ObjectKind, SchemaObject};

/// Indices into the lists of a catalogue, rising.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// Of its namespaces, `main` not counted.
    pub namespaces: Vec<usize>,
    /// Of its tables.
    pub tables: Vec<usize>,
    /// Of its objects: views.
    pub views: Vec<usize>,
}

/// Ids of the tables that `sql` can mean, and of those that views which it can mean can mean.
pub(super) fn mentioned(catalogue: &Catalogue, sql: &str) -> Vec<u32> {
    let tables = names_in(catalogue, sql).tables;
    tables.into_iter().filter_map(|i| catalogue.tables.get(i)).map(|t| t.id).collect()
}

/// What of `catalogue` the text can mean, itself or by a view.
pub(super) fn names_in(catalogue: &Catalogue, sql: &str) -> Names {
    let sql = sql.to_ascii_lowercase();
    let mut found = Names::default();
    let mut before: Vec<Space<'_>> = Vec::new();
    for (id, name) in catalogue.all_namespaces() {
        let space = Space::of(catalogue, name);
        let is_named = id == 0 || occurs(&sql, name);
        let (tables, views) = space.meant(|name| {
            occurs(&sql, name) && (is_named || !before.iter().any(|space| space.has(name)))
        });
        if id != 0 && (is_named || !tables.is_empty() || !views.is_empty()) {
            found.namespaces.extend(catalogue.namespaces.iter().position(|n| n.id == id));
        }
        found.tables.extend(tables);
        found.views.extend(views);
        before.push(space);
    }
    found.tables.sort_unstable();
    found.views.sort_unstable();
    found
}

/// Whether `text`, which is in lower case, has this name in it, in whatever quotes.
fn occurs(text: &str, name: &str) -> bool {
    let plain = name.to_ascii_lowercase();
    let in_quotes =
        |q: char| plain.contains(q) && text.contains(&plain.replace(q, &format!("{q}{q}")));
    text.contains(&plain) || ['"', '`', '\''].into_iter().any(in_quotes)
}

/// Tables and views of one namespace, with their indices.
struct Space<'a> {
    tables: Vec<(usize, &'a str)>,
    views: Vec<(usize, &'a SchemaObject)>,
}

impl<'a> Space<'a> {
    fn of(catalogue: &'a Catalogue, space: &str) -> Self {
        let is_its = |of: &str| of.eq_ignore_ascii_case(space);
        let tables = catalogue.tables.iter().enumerate().filter(|(_, t)| is_its(&t.namespace));
        let views = catalogue
            .objects
            .iter()
            .enumerate()
            .filter(|(_, o)| o.kind == ObjectKind::View && is_its(&o.namespace));
        Self { tables: tables.map(|(i, t)| (i, t.name.as_str())).collect(), views: views.collect() }
    }

    fn has(&self, name: &str) -> bool {
        let mut views = self.views.iter().map(|(_, view)| view.name.as_str());
        self.tables.iter().any(|(_, of)| of.eq_ignore_ascii_case(name))
            || views.any(|of| of.eq_ignore_ascii_case(name))
    }

    /// Indices of the tables and of the views that the query means, or a view that is meant: what is
    /// in a view is of the view's own namespace, as SQLite has it.
    fn meant(&self, by_sql: impl Fn(&str) -> bool) -> (Vec<usize>, Vec<usize>) {
        let mut texts: Vec<String> = Vec::new();
        let mut views: Vec<usize> = Vec::new();
        let is_meant = |texts: &[String], name: &str| {
            by_sql(name) || texts.iter().any(|text| occurs(text, name))
        };
        loop {
            let more: Vec<_> = self
                .views
                .iter()
                .filter(|(i, view)| !views.contains(i) && is_meant(&texts, &view.name))
                .collect();
            if more.is_empty() {
                break;
            }
            texts.extend(more.iter().map(|(_, view)| view.sql.to_ascii_lowercase()));
            views.extend(more.iter().map(|(i, _)| i));
        }
        let tables = self.tables.iter().filter(|(_, name)| is_meant(&texts, name));
        (tables.map(|(i, _)| *i).collect(), views)
    }
}
