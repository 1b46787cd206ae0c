//! Lines that ask what tables there are, and what they are.

use shmirror::{Affinity, Collation, Generated, KeyKind, ObjectKind, TableDef};

use super::Run;
use super::words::{message, shown};

impl Run {
    pub(super) fn schema(&mut self, command: &str, words: &[&str]) {
        if command == "schema" {
            let Some(table) = self.table(words[0]) else { return };
            let schema = self.tables[&table].schema();
            return self.definition(&schema);
        }
        let catalogue = self.mirror.catalogue();
        let Some(catalogue) = self.failed(catalogue) else { return };
        self.say(&format!("catalogue {}", catalogue.schema_version));
        catalogue.tables.iter().for_each(|t| self.definition(t));
        for object in &catalogue.objects {
            let kind = match object.kind {
                ObjectKind::Index => "index",
                ObjectKind::View => "view",
                ObjectKind::Trigger => "trigger",
            };
            let (name, table) = (shown(&object.name), shown(&object.table));
            self.say(&format!("{kind} {name} of {table} {}", message(&object.sql)));
        }
    }

    pub(super) fn definition(&mut self, def: &TableDef) {
        let kind = match def.key {
            KeyKind::Integer => "integer",
            KeyKind::Columns => "columns",
            KeyKind::Rowid => "rowid",
        };
        let parts: String = def.key_columns.iter().map(|i| format!(" {i}")).collect();
        let (without_rowid, strict) = (u8::from(def.without_rowid), u8::from(def.strict));
        let name = shown(&def.name);
        self.say(&format!(
            "table {name} key={kind} without-rowid={without_rowid} strict={strict} parts{parts}"
        ));
        self.say(&format!("  {}", message(&def.sql)));
        for c in &def.columns {
            let affinity = match c.affinity {
                Affinity::Blob => "blob",
                Affinity::Text => "text",
                Affinity::Numeric => "numeric",
                Affinity::Integer => "integer",
                Affinity::Real => "real",
            };
            let collation = match c.collation {
                Collation::Binary => "binary",
                Collation::NoCase => "nocase",
                Collation::RTrim => "rtrim",
            };
            let generated = match c.generated {
                Generated::No => "no",
                Generated::Virtual => "virtual",
                Generated::Stored => "stored",
            };
            let found = def.column_index(&c.name).unwrap();
            self.say(&format!(
                "  column {} type={} default={} affinity={affinity} collation={collation} \
                 generated={generated} key={} not-null={} hidden={} found={found}",
                shown(&c.name),
                shown(&c.decl_type),
                shown(c.default_sql.as_deref().unwrap_or("-")),
                c.key_position,
                u8::from(c.not_null),
                u8::from(c.hidden),
            ));
        }
    }
}
