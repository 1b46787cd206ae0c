//! The namespaces of a mirror: which there are for this process, and which are in use.
//!
//! In: what a daemon said at its greeting, and names of tables. Out: the attachment in which a table
//! is, made when first needed; and the catalogue of all that is visible.
//!
//! A namespace that nobody reads from is not attached to for its catalogue alone: its segment is
//! glanced at over a connection that there is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use shmirror_shm::catalogue::Catalogue;
use shmirror_shm::snapshot::ReadError;
use shmirror_shm::wire::{ROLE_MIRROR, Seen};

use crate::attachment::{Attachment, Core, MOVING};
use crate::by_id::ById;
use crate::connection::{Connection, Place};
use crate::error::Error;
use crate::kept::Kept;
use crate::name::{Name, readings, seen_as};
use crate::table::Table;

/// Pause between two looks at a catalogue that is on the move.
const PAUSE: Duration = Duration::from_micros(100);

/// The namespaces of a mirror, shared by its clones.
pub(crate) struct Spaces {
    place: Place,
    /// That with the lowest number, in use from the start.
    primary: Arc<Kept>,
    state: Mutex<State>,
    /// One thread at a time attaches to another namespace.
    attaching: Mutex<()>,
}

struct State {
    /// What this process may see, by rising number, as it was last heard.
    seen: Vec<Seen>,
    /// When that was.
    heard: Instant,
    /// By number.
    used: ById<Arc<Kept>>,
    glances: ById<Glance>,
    merged: Option<Merged>,
}

impl State {
    /// The connection that was greeted last. Each keeper has one, and attaches by itself.
    fn newest(&self) -> Option<Arc<Connection>> {
        self.used.values().map(|kept| kept.core().connection()).max_by_key(|c| c.opened())
    }
}

/// The segment of a namespace that is not in use.
#[derive(Clone)]
struct Glance {
    attachment: Arc<Attachment>,
    over: Arc<Connection>,
}

/// A catalogue, and of what it was put together.
struct Merged {
    parts: Vec<Arc<Catalogue>>,
    whole: Arc<Catalogue>,
}

impl Spaces {
    /// Attaches to the first namespace that this process may see.
    pub(crate) fn attach(place: Place, patience: Duration) -> Result<Self, Error> {
        let connection = Arc::new(Connection::open(&place, ROLE_MIRROR, patience)?);
        let seen = connection.visible()?.to_vec();
        let core = Core::attach(place.clone(), connection.clone(), &seen[0].name)?;
        let primary = Kept::start(core)?;
        let mut used = ById::new();
        used.insert(seen[0].id, primary.clone());
        let state =
            State { used, seen, heard: connection.opened(), glances: ById::new(), merged: None };
        Ok(Self { place, primary, state: Mutex::new(state), attaching: Mutex::new(()) })
    }

    /// The namespace that is in use from the start.
    pub(crate) fn primary(&self) -> &Arc<Kept> {
        &self.primary
    }

    /// To be called only by the process that attached.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(newest) = state.newest()
            && newest.opened() > state.heard
        {
            state.seen.clone_from(&newest.welcome().namespaces);
            state.heard = newest.opened();
        }
        state
    }

    /// The namespaces that are in use.
    pub(crate) fn used(&self) -> Vec<Arc<Kept>> {
        self.state().used.values().cloned().collect()
    }

    /// What this process may see now: the daemon is asked.
    pub(crate) fn look(&self) -> Result<Vec<Seen>, Error> {
        self.primary.core().same_process()?;
        let fresh = Connection::try_open(&self.place, ROLE_MIRROR)?;
        let mut state = self.state();
        state.heard = fresh.opened();
        if state.seen != fresh.welcome().namespaces {
            state.seen.clone_from(&fresh.welcome().namespaces);
            self.primary.core().ask_anew();
        }
        Ok(state.seen.clone())
    }

    /// What this process may see, as it was last heard.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// A handle of the table of this name, as [`Catalogue::table`] reads it.
    pub(crate) fn table(&self, name: &str) -> Result<Table, Error> {
        self.primary.core().same_process()?;
        if let Some(found) = self.find(name)? {
            return Ok(found);
        }
        let seen = self.seen();
        let is_known =
            readings(name).next().is_some_and(|(space, _)| seen_as(&seen, space).is_some());
        // The namespace may be newer than what was heard, or the right to it.
        if !is_known
            && self.look()? != seen
            && let Some(found) = self.find(name)?
        {
            return Ok(found);
        }
        Err(self.unknown_table(name))
    }

    fn find(&self, name: &str) -> Result<Option<Table>, Error> {
        for (space, bare) in readings(name) {
            let Some(kept) = self.kept_as(space)? else { continue };
            match Table::new(kept, Name::new(name, bare)) {
                Err(Error::UnknownTable { .. }) => {}
                found => return found.map(Some),
            }
        }
        Ok(None)
    }

    /// The attachment to the namespace of this name, ASCII case folded; `None` where there is none to be
    /// seen. One that is in use is there, though it may be shut: that is then what it says.
    fn kept_as(&self, namespace: &str) -> Result<Option<Arc<Kept>>, Error> {
        let seen = {
            let state = self.state();
            let is_it = |kept: &&Arc<Kept>| kept.core().namespace().eq_ignore_ascii_case(namespace);
            if let Some(kept) = state.used.values().find(is_it) {
                return Ok(Some(kept.clone()));
            }
            seen_as(&state.seen, namespace).cloned()
        };
        seen.map_or(Ok(None), |seen| self.kept(&seen))
    }

    /// The attachment to a namespace, made if need be; `None` where it is no longer to be seen.
    fn kept(&self, seen: &Seen) -> Result<Option<Arc<Kept>>, Error> {
        let used = || self.state().used.get(seen.id).cloned();
        if let Some(kept) = used() {
            return Ok(Some(kept));
        }
        let _one = self.attaching.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = used() {
            return Ok(Some(kept));
        }
        let connection = Arc::new(Connection::try_open(&self.place, ROLE_MIRROR)?);
        if connection.sees(&seen.name).is_err() {
            return Ok(None);
        }
        let core = match Core::attach(self.place.clone(), connection, &seen.name) {
            // Withdrawn at this very moment.
            Err(Error::Denied { .. }) => return Ok(None),
            other => other?,
        };
        let kept = Kept::start(core)?;
        let mut state = self.state();
        state.glances.remove(seen.id);
        state.used.insert(seen.id, kept.clone());
        Ok(Some(kept))
    }

    /// What one says of a name that is no table which this process may see.
    pub(crate) fn unknown_table(&self, name: &str) -> Error {
        // What cannot be had now is left out: the answer does not depend on it.
        let mut known: Vec<(u32, String)> = Vec::new();
        for seen in self.seen() {
            if let Ok(Some(part)) = self.part(&seen, Instant::now()) {
                known.extend(part.tables.iter().map(|t| (t.id, t.full_name().into_owned())));
            }
        }
        known.sort();
        let known = known.into_iter().map(|(_, name)| name).collect();
        Error::UnknownTable { table: name.to_owned(), known }
    }

    /// What is published in each namespace now.
    pub(crate) fn parts(&self) -> Result<Vec<(u16, Arc<Catalogue>)>, Error> {
        self.primary.core().same_process()?;
        let deadline = Instant::now() + MOVING;
        let mut parts = Vec::new();
        for seen in self.seen() {
            if let Some(part) = self.part(&seen, deadline)? {
                parts.push((seen.id, part));
            }
        }
        if parts.is_empty() {
            // It says why.
            self.primary.core().readable(deadline)?;
        }
        Ok(parts)
    }

    /// The catalogue of all that is visible.
    pub(crate) fn catalogue(&self) -> Result<Arc<Catalogue>, Error> {
        let parts: Vec<_> = self.parts()?.into_iter().map(|(_, part)| part).collect();
        if let [only] = &parts[..] {
            return Ok(only.clone());
        }
        let mut state = self.state();
        let same = |m: &&Merged| {
            m.parts.len() == parts.len()
                && m.parts.iter().zip(&parts).all(|(a, b)| Arc::ptr_eq(a, b))
        };
        if let Some(merged) = state.merged.as_ref().filter(same) {
            return Ok(merged.whole.clone());
        }
        let whole = Arc::new(merge(&parts));
        state.merged = Some(Merged { parts, whole: whole.clone() });
        Ok(whole)
    }

    /// What is published in one namespace now; `None` where this process may no longer see it.
    fn part(&self, seen: &Seen, deadline: Instant) -> Result<Option<Arc<Catalogue>>, Error> {
        let used = self.state().used.get(seen.id).cloned();
        loop {
            let known = match &used {
                Some(kept) => match kept.core().readable(deadline) {
                    Err(Error::Denied { .. }) => return Ok(None),
                    attachment => attachment?.catalogue(),
                },
                None => match self.glance(seen) {
                    Err(Error::Denied { .. }) => return Ok(None),
                    glance => glance?.attachment.catalogue(),
                },
            };
            match known {
                Ok(known) => return Ok(Some(known.catalogue)),
                Err(ReadError::Moved | ReadError::Contended { .. }) => {}
                Err(error) => return Err(Error::Protocol(format!("catalogue: {error}"))),
            }
            if Instant::now() >= deadline {
                return Err(Error::Contended { what: "the catalogue".to_owned() });
            }
            thread::sleep(PAUSE);
        }
    }

    /// The segment of a namespace that is not in use.
    fn glance(&self, seen: &Seen) -> Result<Glance, Error> {
        let (over, last) = {
            let state = self.state();
            let over = state.newest().unwrap_or_else(|| self.primary.core().connection());
            (over, state.glances.get(seen.id).cloned())
        };
        if let Some(last) = last
            && Arc::ptr_eq(&last.over, &over)
            && !last.attachment.segment.is_retired()
        {
            return Ok(last);
        }
        let fetched = match Attachment::fetch(&over, &seen.name) {
            // The connection is older than the right.
            Err(Error::Denied { .. }) => {
                let fresh = Connection::try_open(&self.place, ROLE_MIRROR)?;
                fresh.sees(&seen.name)?;
                Attachment::fetch(&fresh, &seen.name)
            }
            fetched => fetched,
        };
        let mut state = self.state();
        match fetched {
            Ok(attachment) => {
                let glance = Glance { attachment: Arc::new(attachment), over };
                state.glances.insert(seen.id, glance.clone());
                Ok(glance)
            }
            Err(error) => {
                if matches!(error, Error::Denied { .. }) {
                    state.glances.remove(seen.id);
                }
                Err(error)
            }
        }
    }
}

/// One catalogue of several, tables in the order of their creation.
fn merge(parts: &[Arc<Catalogue>]) -> Catalogue {
    let mut whole = Catalogue {
        schema_version: parts.iter().map(|p| p.schema_version).max().unwrap_or_default(),
        ..Catalogue::default()
    };
    for part in parts {
        whole.namespaces.extend(part.namespaces.iter().cloned());
        whole.tables.extend(part.tables.iter().cloned());
        whole.objects.extend(part.objects.iter().cloned());
    }
    whole.tables.sort_unstable_by_key(|t| t.id);
    whole
}
