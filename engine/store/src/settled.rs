//! What became of a ticket: the log looked through backwards for the lane and ticket of a
//! transaction.
//!
//! A lane's requests are committed in the order of their tickets, so a group of the lane with an
//! earlier ticket ends the search: what came later was looked at already. What was looked at is kept
//! as one entry for each lane and group, so that the next question is answered from memory.

use crate::error::{StoreError, sqlite};
use crate::group::{LOG_COLUMNS, LogGroup};
use crate::reader::{LogReader, Tickets, reading};
use crate::seal::Opener;
use crate::state::State;

/// Entries of the index from which on it is begun anew.
const ENTRIES: usize = 1 << 20;

/// What the index knows.
enum Known {
    /// The ticket lies in this group's range.
    In(u64),
    /// It was not committed.
    Not,
    /// Older groups may have it.
    Unknown,
}

impl LogReader {
    /// The revision at which the transaction of `ticket` in `lane` was committed; `None` where the
    /// log holds none: it was rejected, changed nothing, was never taken, or was trimmed.
    ///
    /// # Errors
    /// [`StoreError::BadSeal`], or SQLite's.
    pub fn settled(&mut self, lane: u64, ticket: u64) -> Result<Option<u64>, StoreError> {
        let Self { conn, opener, buffer, tickets, .. } = self;
        let (conn, opener) = (&*conn, &*opener);
        if tickets.entries > ENTRIES {
            *tickets = Tickets::default();
        }
        reading(conn, opener, || {
            let failed = sqlite(&opener.file, "reading commit_log");
            let state = State::read(conn, opener)?;
            // Newer groups than those in the index, then older ones until the answer is known.
            let (lowest, highest) = tickets.span.unwrap_or((state.newest + 1, state.newest));
            let sql = format!(
                "SELECT {LOG_COLUMNS} FROM commit_log WHERE first_revision > ?1 AND \
                 first_revision < ?2 ORDER BY first_revision DESC"
            );
            let mut select = conn.prepare_cached(&sql).map_err(&failed)?;
            let mut newer = select.query((highest as i64, i64::MAX)).map_err(&failed)?;
            while let Some(found) = newer.next().map_err(&failed)? {
                let group = LogGroup::open(found, opener, buffer)?;
                tickets.note(&group, opener)?;
            }
            drop(newer);
            tickets.span = Some((lowest, state.newest));

            let mut older = select.query((0, lowest as i64)).map_err(&failed)?;
            let mut known = tickets.find(lane, ticket);
            while matches!(known, Known::Unknown) {
                let Some(found) = older.next().map_err(&failed)? else { break };
                let group = LogGroup::open(found, opener, buffer)?;
                tickets.note(&group, opener)?;
                tickets.span = Some((group.first, state.newest));
                known = tickets.find(lane, ticket);
            }
            drop(older);
            let Known::In(first) = known else { return Ok(None) };

            let sql = format!("SELECT {LOG_COLUMNS} FROM commit_log WHERE first_revision = ?1");
            let mut select = conn.prepare_cached(&sql).map_err(&failed)?;
            let mut group = select.query([first as i64]).map_err(&failed)?;
            let Some(found) = group.next().map_err(&failed)? else { return Ok(None) }; // trimmed
            let group = LogGroup::open(found, opener, buffer)?;
            let mut revision = None;
            group.for_each(opener, |_, record| {
                let header = record.header();
                if (header.lane, header.ticket) == (lane, ticket) {
                    revision = Some(header.revision);
                }
                Ok(())
            })?;
            Ok(revision)
        })
    }
}

impl Tickets {
    fn note(&mut self, group: &LogGroup<'_>, opener: &Opener) -> Result<(), StoreError> {
        let mut here: Vec<(u64, u64, u64)> = Vec::new(); // lane, first and last ticket
        group.for_each(opener, |_, record| {
            let (lane, ticket) = (record.header().lane, record.header().ticket);
            // The same lane mostly comes many times in a row.
            match here.iter_mut().rev().find(|(l, ..)| *l == lane) {
                Some((_, first, last)) => {
                    *first = ticket.min(*first);
                    *last = ticket.max(*last);
                }
                None => here.push((lane, ticket, ticket)),
            }
            Ok(())
        })?;
        for (lane, first, last) in here {
            self.lanes.entry(lane).or_default().insert(first, (last, group.first));
            self.entries += 1;
        }
        Ok(())
    }

    fn find(&self, lane: u64, ticket: u64) -> Known {
        let Some(groups) = self.lanes.get(&lane) else { return Known::Unknown };
        match groups.range(..=ticket).next_back() {
            Some((_, &(last, first_revision))) if ticket <= last => Known::In(first_revision),
            Some(_) => Known::Not,
            None => Known::Unknown,
        }
    }
}
