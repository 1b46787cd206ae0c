//! In which order rows go: parents before children, as a foreign key is checked at every statement.
//! Tables first; within tables that refer to each other, or to themselves, row by row.

use std::collections::HashMap;

use rusqlite::types::ValueRef;

use super::Source;
use super::schema::{Schema, Table};
use crate::failure::Failure;
use crate::text::quoted_name;

/// Groups of tables, parents first; the tables of one group refer to each other in a circle. These
/// are the strongly connected components (Tarjan, "Depth-first search and linear graph algorithms",
/// 1972), whose order of discovery is the one wanted.
pub fn groups(tables: &[Table]) -> Vec<Vec<usize>> {
    let parents: Vec<Vec<usize>> = tables
        .iter()
        .map(|table| {
            let names = table.references.iter().map(|r| r.parent.as_str());
            names.filter_map(|n| position(tables, n)).collect()
        })
        .collect();
    components(&parents)
}

fn position(tables: &[Table], name: &str) -> Option<usize> {
    tables.iter().position(|t| t.name.eq_ignore_ascii_case(name))
}

fn components(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    struct Search<'a> {
        edges: &'a [Vec<usize>],
        number: Vec<Option<usize>>,
        low: Vec<usize>,
        stack: Vec<usize>,
        on_stack: Vec<bool>,
        found: Vec<Vec<usize>>,
        next: usize,
    }
    // As deep as the longest chain of tables, which limits::TABLES bounds.
    fn visit(s: &mut Search<'_>, v: usize) {
        s.number[v] = Some(s.next);
        s.low[v] = s.next;
        s.next += 1;
        s.stack.push(v);
        s.on_stack[v] = true;
        for i in 0..s.edges[v].len() {
            let w = s.edges[v][i];
            match s.number[w] {
                None => {
                    visit(s, w);
                    s.low[v] = s.low[v].min(s.low[w]);
                }
                Some(number) if s.on_stack[w] => s.low[v] = s.low[v].min(number),
                Some(_) => {}
            }
        }
        if s.number[v] == Some(s.low[v]) {
            let mut component = Vec::new();
            while let Some(w) = s.stack.pop() {
                s.on_stack[w] = false;
                component.push(w);
                if w == v {
                    break;
                }
            }
            component.sort_unstable();
            s.found.push(component);
        }
    }
    let n = edges.len();
    let mut search = Search {
        edges,
        number: vec![None; n],
        low: vec![0; n],
        stack: Vec::new(),
        on_stack: vec![false; n],
        found: Vec::new(),
        next: 0,
    };
    for v in 0..n {
        if search.number[v].is_none() {
            visit(&mut search, v);
        }
    }
    search.found
}

/// The rows of a group in an order in which each comes after those that it refers to.
pub struct RowOrder {
    /// Index of the table and what tells the row.
    pub rows: Vec<(usize, Vec<rusqlite::types::Value>)>,
    /// From here on, rows refer to each other in a circle: they have to be one transaction.
    pub circle: usize,
}

/// Whether rows of this group can refer to rows of the same group at all.
pub fn refers_to_itself(schema: &Schema, group: &[usize]) -> bool {
    group.iter().any(|&i| {
        let parents = schema.tables[i].references.iter();
        parents.filter_map(|r| position(&schema.tables, &r.parent)).any(|p| group.contains(&p))
    })
}

/// Orders the rows of a group. SQLite itself compares the keys, so affinity and collation are its
/// own.
pub fn rows(source: &Source<'_>, schema: &Schema, group: &[usize]) -> Result<RowOrder, Failure> {
    let mut all: Vec<(usize, Vec<rusqlite::types::Value>)> = Vec::new();
    let mut numbers: HashMap<(usize, Vec<u8>), usize> = HashMap::new();
    for &t in group {
        let table = &schema.tables[t];
        let sql = format!("SELECT {} FROM {} AS c", identity("c", table), quoted_name(&table.name));
        each(source, &sql, |row| {
            let values = take(row, 0, table.identity.len())?;
            numbers.insert((t, encoded(&values)), all.len());
            all.push((t, values));
            Ok(())
        })?;
    }
    let mut waiting_for = vec![0u32; all.len()];
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); all.len()];
    for &t in group {
        let table = &schema.tables[t];
        for reference in &table.references {
            let Some(p) = position(&schema.tables, &reference.parent) else { continue };
            if !group.contains(&p) {
                continue;
            }
            let parent = &schema.tables[p];
            let on: Vec<String> = reference
                .pairs
                .iter()
                .map(|(from, to)| format!("p.{} = c.{}", quoted_name(to), quoted_name(from)))
                .collect();
            let sql = format!(
                "SELECT {}, {} FROM {} AS c JOIN {} AS p ON {}",
                identity("c", table),
                identity("p", parent),
                quoted_name(&table.name),
                quoted_name(&parent.name),
                on.join(" AND ")
            );
            each(source, &sql, |row| {
                let own = encoded(&take(row, 0, table.identity.len())?);
                let theirs = encoded(&take(row, table.identity.len(), parent.identity.len())?);
                if let (Some(&child), Some(&parent)) =
                    (numbers.get(&(t, own)), numbers.get(&(p, theirs)))
                    && child != parent
                {
                    waiting_for[child] += 1;
                    children[parent].push(child);
                }
                Ok(())
            })?;
        }
    }
    let (order, circle) = sorted(waiting_for, &children);
    let mut slots: Vec<Option<_>> = all.into_iter().map(Some).collect();
    let rows = order.into_iter().filter_map(|i| slots[i].take()).collect();
    Ok(RowOrder { rows, circle })
}

/// Topological order (Kahn, 1962); what lies on circles stands at the end, from the number given on.
fn sorted(mut waiting_for: Vec<u32>, children: &[Vec<usize>]) -> (Vec<usize>, usize) {
    let mut order: Vec<usize> = (0..waiting_for.len()).filter(|&i| waiting_for[i] == 0).collect();
    let mut at = 0;
    while let Some(&row) = order.get(at) {
        at += 1;
        for &child in &children[row] {
            waiting_for[child] -= 1;
            if waiting_for[child] == 0 {
                order.push(child);
            }
        }
    }
    let circle = order.len();
    order.extend((0..waiting_for.len()).filter(|&i| waiting_for[i] > 0));
    (order, circle)
}

fn identity(alias: &str, table: &Table) -> String {
    let columns: Vec<String> =
        table.identity.iter().map(|c| format!("{alias}.{}", quoted_name(c))).collect();
    columns.join(", ")
}

fn each(
    source: &Source<'_>,
    sql: &str,
    mut f: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<()>,
) -> Result<(), Failure> {
    let failed = |e| source.failed(e);
    let mut statement = source.connection.prepare(sql).map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        f(row).map_err(failed)?;
    }
    Ok(())
}

fn take(
    row: &rusqlite::Row<'_>,
    from: usize,
    count: usize,
) -> rusqlite::Result<Vec<rusqlite::types::Value>> {
    (from..from + count).map(|i| row.get(i)).collect()
}

/// Values as bytes, to find a row again by exactly what it holds.
fn encoded(values: &[rusqlite::types::Value]) -> Vec<u8> {
    let mut out = Vec::new();
    for value in values {
        let (tag, bytes): (u8, &[u8]) = match ValueRef::from(value) {
            ValueRef::Null => (0, &[]),
            ValueRef::Integer(i) => (1, &i.to_le_bytes()),
            ValueRef::Real(r) => (2, &r.to_le_bytes()),
            ValueRef::Text(t) => (3, t),
            ValueRef::Blob(b) => (4, b),
        };
        out.push(tag);
        out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        out.extend_from_slice(bytes);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_come_before_children() {
        // 0 → 1 → 2, 3 ⇄ 4 → 2, 5 → 5
        let edges = [vec![1], vec![2], vec![], vec![4], vec![3, 2], vec![5]];
        let found = components(&edges);
        let place = |v: usize| found.iter().position(|c| c.contains(&v)).unwrap();
        assert!(place(2) < place(1) && place(1) < place(0));
        assert_eq!(place(3), place(4));
        assert!(place(2) < place(3));
        assert_eq!(found.iter().map(Vec::len).sum::<usize>(), 6);
    }

    #[test]
    fn rows_wait_for_their_parents() {
        // 2 is the parent of 0, 0 of 1; 3 and 4 wait for each other.
        let children = [vec![1], vec![], vec![0], vec![4], vec![3]];
        let (order, circle) = sorted(vec![1, 1, 0, 1, 1], &children);
        assert_eq!(order, [2, 0, 1, 3, 4]);
        assert_eq!(circle, 3);
    }
}
