//! What came of each fault, as a table.

use std::fmt;

/// What came of one fault.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Its name.
    pub fault: String,
    /// How often it happened.
    pub injected: u64,
    /// What was checked, and how often: "acknowledged writes", 1234.
    pub checked: Vec<(&'static str, u64)>,
    /// What was lost, doubled or invented, each in a sentence.
    pub lost: Vec<String>,
    /// What was seen in part, or of no committed revision.
    pub torn: Vec<String>,
    /// Who waited longer than they may.
    pub hung: Vec<String>,
}

impl Row {
    /// A row for the fault of this name.
    pub fn of(fault: &str) -> Self {
        Self { fault: fault.to_owned(), ..Self::default() }
    }

    /// Whether all held, and the fault did happen: what was not injected was not survived.
    pub fn is_good(&self) -> bool {
        self.injected > 0
            && !self.checked.is_empty()
            && self.checked.iter().all(|(_, count)| *count > 0)
            && self.lost.is_empty()
            && self.torn.is_empty()
            && self.hung.is_empty()
    }
}

/// The rows of a run.
#[derive(Clone, Debug, Default)]
pub struct Report(Vec<Row>);

impl Report {
    /// Adds a row.
    pub fn add(&mut self, row: Row) {
        self.0.push(row);
    }

    /// Whether all faults happened and all held.
    pub fn is_good(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(Row::is_good)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.iter().map(|r| r.fault.len()).max().unwrap_or(0).max("fault".len());
        writeln!(f, "{:name$}  injected  lost  torn  hung  checked", "fault")?;
        for row in &self.0 {
            let checked: Vec<String> =
                row.checked.iter().map(|(what, count)| format!("{count} {what}")).collect();
            writeln!(
                f,
                "{:name$}  {:8}  {:4}  {:4}  {:4}  {}{}",
                row.fault,
                row.injected,
                row.lost.len(),
                row.torn.len(),
                row.hung.len(),
                checked.join(", "),
                if row.is_good() { "" } else { "  ← NOT GOOD" },
            )?;
        }
        for row in &self.0 {
            for (kind, found) in [("lost", &row.lost), ("torn", &row.torn), ("hung", &row.hung)] {
                for what in found.iter().take(20) {
                    writeln!(f, "{}: {kind}: {what}", row.fault)?;
                }
            }
        }
        Ok(())
    }
}
