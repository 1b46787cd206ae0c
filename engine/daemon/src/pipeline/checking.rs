//! The pipeline's part of a check, between two groups: fix store and segments at one revision, then
//! compare the working copy with the segments, one table at a time.

use std::collections::{HashMap, VecDeque};

use crossbeam_channel::Sender;
use shmirror_shm::snapshot::RowBuf;
use shmirror_store::LogReader;

use super::Pipeline;
use crate::apply::reject::show_values;
use crate::check::{Boundary, Fingerprint, Part, WorkingPart};

/// Most differing keys that are told of one table.
const KEYS: usize = 100;

/// A check that is under way.
pub(super) struct Checking {
    tables: VecDeque<u32>,
    to: Sender<Part>,
}

impl Pipeline {
    /// Store and segments as they are now.
    pub(super) fn begin_check(&mut self, mut reader: LogReader, to: Sender<Part>) {
        let reader = match reader.pin() {
            Ok(_) => Ok(reader),
            Err(error) => Err((reader, error)),
        };
        let (mut rows, mut images) = (HashMap::new(), HashMap::new());
        for def in &self.catalogue.tables {
            rows.reserve(self.segments.rows(def.id) as usize);
            self.segments.for_each(def.id, |row: &RowBuf| {
                let image = row.image();
                rows.insert(row.birth(), Fingerprint::of(def.id, row.revision(), &image));
                if !def.past_shapes.is_empty() {
                    images.insert(row.birth(), image.to_image());
                }
            });
        }
        let (revision, catalogue) = (self.newest_revision, self.catalogue.clone());
        let sequences = self.working.sequences_now();
        let boundary = Boundary { reader, revision, catalogue, rows, images, sequences };
        // A worker that gave up takes nothing more.
        if to.send(Part::Boundary(Box::new(boundary))).is_ok() {
            let tables = self.catalogue.tables.iter().map(|t| t.id).collect();
            self.checking = Some(Checking { tables, to });
        }
    }

    /// Compares one table of the check under way, if there is one.
    pub(super) fn check_a_table(&mut self) {
        let Some(mut checking) = self.checking.take() else { return };
        let Some(table) = checking.tables.pop_front() else {
            // A worker that gave up takes nothing more.
            let _ = checking.to.send(Part::End);
            return;
        };
        let Some(def) = self.catalogue.table_by_id(table) else {
            // It was dropped since the check began.
            self.checking = Some(checking);
            return;
        };
        let mut part = WorkingPart {
            table,
            rows: 0,
            segment_rows: self.segments.rows(table),
            differences: Vec::new(),
            error: None,
        };
        let mut seen = RowBuf::default();
        let read = self.working.for_each_row(table, |key, image| {
            let what = if !self.segments.read(table, key, &mut seen) {
                "in the working copy, not in shared memory"
            } else if seen.image() != *image {
                "working copy and shared memory have different values"
            } else {
                return;
            };
            if part.differences.len() < KEYS {
                let key = def.key_columns.iter().filter_map(|&i| image.get(i.into()).ok());
                part.differences.push((show_values(key), what));
            }
        });
        match read {
            Ok(rows) => part.rows = rows,
            Err(error) => part.error = Some(error.to_string()),
        }
        if checking.to.send(Part::Working(part)).is_ok() {
            self.checking = Some(checking);
        }
    }
}
