//! What a store contains, as text: what the commands print of it. Beside each golden store in files of
//! these names, so that a reader can see what must come out.

use std::path::Path;

use crate::home::Home;

/// Everything in a store.
#[derive(Clone, Debug)]
pub struct Contents {
    /// Each table with its columns and rows, a line each.
    pub tables: String,
    /// What each namespace's schema in SQL is.
    pub schema: String,
    /// Each table's rows, rowids too.
    pub dump: String,
    /// The log.
    pub log: String,
    /// What the views show.
    pub views: String,
}

const FILES: [&str; 5] = ["tables.txt", "schema.txt", "dump.txt", "log.ndjson", "views.txt"];

impl Contents {
    /// Of the instance that is served.
    pub fn of(home: &Home) -> Self {
        let status = crate::status(home);
        let (mut tables, mut dump) = (String::new(), String::new());
        for table in status["tables"].as_array().unwrap() {
            let name = table["name"].as_str().unwrap();
            tables.push_str(&format!(
                "{name}: {} columns, {} rows\n",
                table["columns"], table["rows"]
            ));
            let rows = home.run(&["dump", name, "--rowid"]).ok();
            dump.push_str(&format!("== {name}\n{rows}\n"));
        }
        let (mut schema, mut views) = (String::new(), String::new());
        for space in status["namespaces"].as_array().unwrap() {
            let space = space["name"].as_str().unwrap();
            let sql = format!(
                "SELECT type, name, tbl_name, sql FROM {space}.sqlite_schema \
                 WHERE sql IS NOT NULL ORDER BY type, name"
            );
            let found = crate::rows(home, &sql);
            for object in found.as_array().unwrap() {
                let text = |name: &str| object[name].as_str().unwrap();
                let (kind, name, table) = (text("type"), text("name"), text("tbl_name"));
                schema.push_str(&format!("{kind} {space}.{name} of {table}\n{}\n\n", text("sql")));
                if kind == "view" {
                    let rows =
                        home.run(&["sql", "--json", &format!("SELECT * FROM {space}.\"{name}\"")]);
                    views.push_str(&format!("== {space}.{name}\n{}\n", rows.ok()));
                }
            }
        }
        let log = home.run(&["log", "--json"]).ok();
        Self { tables, schema, dump, log, views }
    }

    fn parts(&self) -> [&str; 5] {
        [&self.tables, &self.schema, &self.dump, &self.log, &self.views]
    }

    /// Out of files in this directory.
    pub fn read(directory: &Path) -> Self {
        let [tables, schema, dump, log, views] =
            FILES.map(|file| std::fs::read_to_string(directory.join(file)).unwrap());
        Self { tables, schema, dump, log, views }
    }

    /// Into files in this directory.
    pub fn write(&self, directory: &Path) {
        for (file, text) in FILES.iter().zip(self.parts()) {
            std::fs::write(directory.join(file), text).unwrap();
        }
    }

    /// These are the expected ones, or the first line that is not is told.
    #[track_caller]
    pub fn assert_are(&self, expected: &Self, when: &str) {
        for ((file, found), expected) in FILES.iter().zip(self.parts()).zip(expected.parts()) {
            let mut lines = found.lines().zip(expected.lines()).enumerate();
            if let Some((line, (found, expected))) = lines.find(|(_, (a, b))| a != b) {
                panic!("{when}, {file}:{}: found\n{found}\nexpected\n{expected}", line + 1);
            }
            assert!(
                found == expected,
                "{when}, {file}: {} lines found, {} expected",
                found.lines().count(),
                expected.lines().count()
            );
        }
    }
}
