//! How far a long command is: a bar on standard error, where that is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over bytes or rows; it goes away when it is dropped.
pub struct Progress(ProgressBar);

impl Progress {
    /// A bar named `what` over `total` units; a hidden one where `shown` is false.
    pub fn new(what: &str, total: u64, shown: bool) -> Self {
        let bar = if shown { ProgressBar::new(total) } else { ProgressBar::hidden() };
        if let Ok(style) =
            ProgressStyle::with_template("{prefix:10} {bar:32} {percent:>3} %  {msg}  {elapsed}")
        {
            bar.set_style(style);
        }
        bar.set_prefix(what.to_owned());
        Self(bar)
    }

    /// It is at `position` now.
    pub fn at(&self, position: u64, rows: u64) {
        self.0.set_position(position);
        if !self.0.is_hidden() {
            self.0.set_message(format!("{} rows", crate::table::thousands(rows)));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
