//! What was committed, out of the commit log.
//!
//! In: a revision. Out: records from it on, chunk by chunk, each chunk whole transactions; and, on top
//! of that, an iterator of events.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use shmirror_shm::record::records;
use shmirror_shm::wire::{Answer, Call, RefuseCode};

use crate::connection::{CALL, only, wrong_answer};
use crate::error::Error;
use crate::event::Event;
use crate::memfd::read_words;
use crate::name::Wanted;
use crate::render::{Renderer, bad_record};
use crate::spaces::Spaces;

/// About so many bytes of records are fetched at a time.
const CHUNK: u64 = 4 << 20;

/// Records of whole transactions.
pub(crate) struct Chunk {
    pub(crate) words: Vec<u64>,
    /// All revisions from the one asked for up to this are covered.
    pub(crate) through: u64,
}

/// Who carries a call to the daemon and its answer back.
pub(crate) type Ask<'a> = &'a mut dyn FnMut(&Call, &str) -> Result<(Answer, Vec<OwnedFd>), Error>;

/// Records from revision `from` on, at least one transaction if there is any; of this namespace (all that
/// may be seen where empty), of these tables (all where empty) and, always, of the schema.
pub(crate) fn chunk(
    ask: Ask<'_>,
    from: u64,
    (namespace, tables): (&str, &[u32]),
    bytes: u64,
) -> Result<Chunk, Error> {
    let what = "reading the commit log";
    let (namespace, tables) = (namespace.to_owned(), tables.to_vec());
    let call = Call::History { from, namespace, tables, max_bytes: bytes };
    let (answer, mut fds) = match ask(&call, what) {
        Err(Error::Refused { code: RefuseCode::TooOld, .. }) => {
            return Err(Error::TooOld { asked: from, oldest: oldest(ask)? });
        }
        other => other?,
    };
    let Answer::History { through, bytes, .. } = answer else { return Err(wrong_answer(what)) };
    // The records' descriptor is the last one.
    let fd = only(fds.split_off(fds.len().saturating_sub(1)), what)?;
    Ok(Chunk { words: read_words(&fd, bytes, "the commit log's records")?, through })
}

/// The oldest revision that the log holds.
pub(crate) fn oldest(ask: Ask<'_>) -> Result<u64, Error> {
    let what = "asking for the commit log's oldest revision";
    let call = Call::History {
        from: u64::MAX,
        namespace: String::new(),
        tables: Vec::new(),
        max_bytes: 0,
    };
    match ask(&call, what)?.0 {
        Answer::History { oldest, .. } => Ok(oldest),
        _ => Err(wrong_answer(what)),
    }
}

/// Iterator over what was committed, from [`Mirror::history`](crate::Mirror::history). It ends at the
/// newest revision that there is when it gets there; an error ends it too.
pub struct History {
    spaces: Arc<Spaces>,
    renderer: Renderer,
    /// The namespace that all tables are in; empty where they are in several.
    namespace: String,
    tables: Vec<u32>,
    next: u64,
    ready: VecDeque<Event>,
    ended: bool,
}

impl History {
    pub(crate) fn new(spaces: Arc<Spaces>, from: u64, names: &[&str]) -> Result<Self, Error> {
        let parts = spaces.parts()?;
        let mut wanted = Vec::with_capacity(names.len());
        for name in names {
            let is_there = |space: &str, name: &str| {
                parts.iter().any(|(_, part)| part.table_in(space, name).is_some())
            };
            let table = Wanted::of(name, is_there);
            let Some(def) = parts.iter().find_map(|(_, part)| table.find(part)) else {
                return Err(spaces.unknown_table(name));
            };
            wanted.push(Wanted { namespace: def.namespace.clone(), ..table });
        }
        let one = wanted
            .first()
            .map(|first| first.namespace.clone())
            .filter(|one| wanted.iter().all(|other| other.namespace == *one));
        let parts = parts.into_iter().map(|(namespace, part)| (namespace, (*part).clone()));
        let renderer = Renderer::new(wanted, parts);
        let mut history = Self {
            tables: renderer.ids().unwrap_or_default(),
            namespace: one.unwrap_or_default(),
            spaces,
            renderer,
            next: from,
            ready: VecDeque::new(),
            ended: false,
        };
        if from == 0 {
            let core = history.spaces.primary().core();
            history.next = oldest(&mut |call, what| core.ask(call, CALL, what))?;
        }
        // At once, so that a revision that is too old is told here.
        history.fetch()?;
        Ok(history)
    }

    fn fetch(&mut self) -> Result<(), Error> {
        let core = self.spaces.primary().core();
        let mut ask = |call: &Call, what: &str| core.ask(call, CALL, what);
        let chunk = chunk(&mut ask, self.next, (&self.namespace, &self.tables), CHUNK)?;
        for record in records(&chunk.words) {
            let record = record.map_err(bad_record)?;
            self.ready.extend(self.renderer.render(&record)?);
        }
        self.ended = chunk.through < self.next;
        self.next = self.next.max(chunk.through + 1);
        Ok(())
    }
}

impl Iterator for History {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            if self.ended {
                return None;
            }
            if let Err(error) = self.fetch() {
                self.ended = true;
                return Some(Err(error));
            }
        }
    }
}

impl std::fmt::Debug for History {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("History").field("next", &self.next).finish_non_exhaustive()
    }
}
