//! Whether a statement may replace rows, which needs care in two ways: rows that REPLACE removes are
//! told of only with recursive triggers on, and a trigger may get in the way of their removal.

use shmirror_shm::catalogue::{Catalogue, ObjectKind, SchemaObject};
use shmirror_shm::request::RejectCode;

use super::guard::Touched;
use super::reject::Reject;
use super::words::{Words, has_keyword};

/// Whether a definition says what to replace: REPLACE in a constraint or in a trigger's body.
pub(crate) fn replaces(catalogue: &Catalogue, tables: &[Touched], programs: &[Touched]) -> bool {
    let among = |list: &[Touched], namespace: &str, name: &str| {
        list.iter().any(|touched| touched.is(namespace, name))
    };
    catalogue
        .tables
        .iter()
        .any(|t| among(tables, &t.namespace, &t.name) && has_keyword(&t.sql, "REPLACE"))
        || catalogue.objects.iter().any(|o| {
            o.kind == ObjectKind::Trigger
                && among(programs, &o.namespace, &o.name)
                && has_keyword(&o.sql, "REPLACE")
        })
}

/// Refuses to replace rows of a table that has a trigger among `programs` which can keep them, by
/// RAISE(IGNORE) before their delete: SQLite 3.54 would keep the old row *and* write the new one, so
/// that keys are no longer unique (seen in tables WITHOUT ROWID). `by_statement` says that the
/// statement itself replaces, in which its triggers follow it.
pub(crate) fn check_replace(
    catalogue: &Catalogue,
    programs: &[Touched],
    by_statement: bool,
) -> Result<(), Reject> {
    let named = |o: &SchemaObject| programs.iter().any(|p| p.is(&o.namespace, &o.name));
    let triggers: Vec<&SchemaObject> =
        catalogue.objects.iter().filter(|o| o.kind == ObjectKind::Trigger && named(o)).collect();
    let is_replaced = |of: &SchemaObject| {
        let name = of.table.to_ascii_lowercase();
        let is_beside = |t: &&SchemaObject| t.namespace.eq_ignore_ascii_case(&of.namespace);
        let table = catalogue.table_in(&of.namespace, &of.table);
        by_statement
            || table.is_some_and(|t| has_keyword(&t.sql, "REPLACE"))
            || triggers.iter().copied().filter(is_beside).any(|t| {
                if !has_keyword(&t.sql, "REPLACE") {
                    return false;
                }
                let sql = t.sql.to_ascii_lowercase();
                sql.find("begin").is_some_and(|body| sql[body..].contains(&name))
            })
    };
    let table = |of: &SchemaObject| {
        let table = catalogue.table_in(&of.namespace, &of.table);
        table.map_or_else(|| of.table.clone(), |t| t.full_name().into_owned())
    };
    match triggers.iter().find(|t| ignores_deletes(&t.sql) && is_replaced(t)) {
        None => Ok(()),
        Some(trigger) => Err(Reject::new(
            RejectCode::NotAllowed,
            format!(
                "REPLACE is not allowed in table \"{}\", as its trigger \"{}\" can ignore the delete \
                 of the row that is replaced, and SQLite would keep both; use INSERT … ON CONFLICT DO \
                 UPDATE",
                table(trigger),
                trigger.name
            ),
        )),
    }
}

fn ignores_deletes(trigger: &str) -> bool {
    let words: Vec<String> = Words::new(trigger).map(str::to_ascii_uppercase).collect();
    // Without BEFORE or AFTER a trigger is a BEFORE trigger.
    let head = |word| words.iter().take_while(|w| *w != "ON").any(|w| w == word);
    let ignores = words.windows(2).any(|w| w[0] == "RAISE" && w[1] == "IGNORE");
    !head("AFTER") && head("DELETE") && ignores
}
