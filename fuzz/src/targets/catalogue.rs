//! The archive of a catalogue.
//!
//! In: the archive.

use shmirror_shm::catalogue::{Catalogue, MAIN};
use shmirror_shm::key::KeyPart;

use crate::is_understood;
use crate::memory::within;
use crate::samples;

/// Reads an archive and asks the catalogue everything.
pub fn run(data: &[u8]) {
    let read = within(8192 + 16 * data.len(), "a catalogue", || Catalogue::from_bytes(data));
    match read {
        Ok(catalogue) => check(&catalogue),
        Err(error) => assert!(error.to_string().contains("Catalogue")),
    }
}

/// What must hold of a catalogue that was read.
fn check(catalogue: &Catalogue) {
    let archive = catalogue.to_bytes().expect("there is memory");
    assert_eq!(Catalogue::from_bytes(&archive).as_ref().ok(), Some(catalogue));
    for table in &catalogue.tables {
        let found = catalogue.table_in(&table.namespace, &table.name).expect("it is listed");
        assert!(found.is(&table.namespace, &table.name));
        let full = format!("{MAIN}.{}", table.name);
        if table.namespace.eq_ignore_ascii_case(MAIN) {
            assert!(catalogue.table(&full).is_some());
        }
        // Those that the daemon makes have no dot in a namespace's name.
        if !table.namespace.contains('.') {
            assert!(catalogue.table(&table.full_name()).is_some());
        }
        assert!(catalogue.table_by_id(table.id).is_some_and(|t| t.id == table.id));
        assert!(table.key_defs().count() <= table.key_columns.len());
        for (index, column) in table.visible() {
            assert!(!column.hidden);
            assert!(table.column_index(&column.name).is_some_and(|first| first <= index));
            assert_eq!(KeyPart::of(index, column).affinity, column.affinity);
        }
        assert_eq!(table.shape_columns(table.shape).map(|c| c.len()), Some(table.columns.len()));
        assert!(table.past_shapes.iter().all(|past| table.shape_columns(past.shape).is_some()));
    }
    let mut parts = 0;
    for (id, name) in catalogue.all_namespaces() {
        let part = catalogue.part(id);
        let found = catalogue.namespace_name(id).expect("it is listed");
        assert!(part.tables.iter().all(|table| table.namespace.eq_ignore_ascii_case(found)));
        assert!(part.objects.iter().all(|object| object.namespace.eq_ignore_ascii_case(found)));
        assert!((part.next_table_id, part.next_namespace_id) == (0, 0));
        assert!(catalogue.namespace_id(name).is_some());
        parts += 1;
    }
    assert_eq!(parts, catalogue.namespaces.len() + 1);
    is_understood();
}

/// The sample, and its parts.
pub fn seeds() -> Vec<Vec<u8>> {
    let all = samples::catalogue();
    let each = [all.part(0), all.part(1), Catalogue::default(), all];
    each.iter().filter_map(|catalogue| catalogue.to_bytes().ok()).collect()
}
