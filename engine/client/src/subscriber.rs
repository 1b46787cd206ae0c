//! The following side: each change as it comes, in order, once.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use crate::bell::Bell;
use crate::connection::{Place, same_process};
use crate::error::Error;
use crate::event::Event;
use crate::feed::{Feed, Heard};
use crate::merge::Filled;
use crate::options::Options;

/// Longest sleep between two looks at whether the daemon is still there.
const LOOK: Duration = Duration::from_millis(150);
/// How often at most one who looks without pause asks whether the daemon is still there: that is a system
/// call, and most of what a look in vain would take.
const ASK: Duration = Duration::from_millis(1);
/// How often a user of `epoll` is woken to reattach while there is no daemon.
const RETRY: Duration = Duration::from_millis(100);
/// How soon to look again while an event waits for the lanes of other namespaces to be stepped.
const STEP: Duration = Duration::from_millis(1);

/// What a [`Subscriber`] is to follow.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing before subscribe()"]
pub struct SubscriberBuilder {
    options: Options,
    tables: Vec<String>,
    from: Option<u64>,
}

impl SubscriberBuilder {
    /// Only these tables: `namespace.name`, or a name of `main`. A name that is no table yet is followed
    /// as soon as there is one; also where its namespace is not yet to be seen, which the daemon is then
    /// asked for every few seconds.
    ///
    /// Where this is not called, all tables are followed that this process may see. Namespaces that come
    /// to be seen later are then followed from the next attachment on: after a restart of the daemon, or
    /// where rights were withdrawn meanwhile.
    pub fn tables(mut self, names: &[&str]) -> Self {
        self.tables.extend(names.iter().map(|n| (*n).to_owned()));
        self
    }

    /// From this revision on: first what the commit log has of it, then what comes. 0: from the oldest
    /// revision that the log holds.
    pub fn from_revision(mut self, revision: u64) -> Self {
        self.from = Some(revision);
        self
    }

    /// What is committed from now on. So it is where neither this nor
    /// [`SubscriberBuilder::from_revision`] is called.
    pub fn from_now(mut self) -> Self {
        self.from = None;
        self
    }

    /// Attaches. Every change that is committed after this returns is told.
    ///
    /// # Errors
    /// [`Error::TooOld`], which names the oldest revision there is; [`Error::NoDaemon`],
    /// [`Error::Denied`], [`Error::Layout`].
    pub fn subscribe(self) -> Result<Subscriber, Error> {
        let place = Place::of(&self.options)?;
        let feed = Feed::begin(place, self.options.attach_time(), &self.tables, self.from)?;
        Ok(Subscriber {
            feed: RefCell::new(feed),
            bell: Bell::new()?,
            bell_wanted: Cell::new(false),
            hung_for: RefCell::new(None),
            asked: None,
            pid: std::process::id(),
        })
    }
}

/// Follows the changes of some or all tables: each once, in the order of revisions, through restarts of
/// the daemon. One that is too slow for the events lane is told [`Event::Lagged`], once, and goes on.
///
/// Changes of several namespaces come as one stream: by revision, and within a revision by the number of
/// their namespace. Each namespace has a lane of its own, so in one of them alone it may be too slow: then
/// only changes of that one are missing. Where the daemon's rules are changed and a namespace may no
/// longer be seen, [`Error::Denied`] says so once, and the others go on; where nothing is left to follow,
/// each call says it. When the right comes back it goes on, and what was not seen is told as
/// [`Event::Lagged`].
///
/// One thread at a time reads it; it may be sent to another.
///
/// ```no_run
/// # use shmirror::{Event, Options, Subscriber};
/// # use std::time::Duration;
/// let mut changes = Subscriber::builder(&Options::new()).tables(&["tag"]).subscribe()?;
/// loop {
///     match changes.next(Duration::from_secs(60))? {
///         Some(Event::Change(c)) => println!("{} {} {:?}", c.revision, c.operation.name(), c.key),
///         Some(Event::Lagged { first_revision, .. }) => changes.resume_from(first_revision)?,
///         Some(other) => println!("{}", other.to_json()),
///         None => println!("a quiet minute"),
///     }
/// #   break;
/// }
/// # Ok::<(), shmirror::Error>(())
/// ```
pub struct Subscriber {
    feed: RefCell<Feed>,
    bell: Bell,
    /// Somebody waits for the descriptor.
    bell_wanted: Cell<bool>,
    /// What the bell was hung for.
    hung_for: RefCell<Option<Heard>>,
    /// When the daemon was last seen to be there by somebody who looks without pause.
    asked: Option<Instant>,
    pid: u32,
}

impl Subscriber {
    /// A subscriber in the making.
    pub fn builder(options: &Options) -> SubscriberBuilder {
        SubscriberBuilder { options: options.clone(), tables: Vec::new(), from: None }
    }

    /// The next event; `None` if there is none for so long. While there is no daemon it tries to
    /// reattach, and that is no error.
    ///
    /// # Errors
    /// [`Error::OtherInstance`]: another store is served at the socket now;
    /// [`Subscriber::resume_from`] accepts it. [`Error::Denied`]: a namespace may no longer be seen; the
    /// next call goes on with the others. [`Error::Layout`], [`Error::Forked`].
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Event>, Error> {
        self.next_until(Instant::now().checked_add(timeout))
    }

    /// The next event; `None` if there is none until `deadline`.
    ///
    /// # Errors
    /// As [`Subscriber::next`].
    pub fn next_deadline(&mut self, deadline: Instant) -> Result<Option<Event>, Error> {
        self.next_until(Some(deadline))
    }

    fn next_until(&mut self, deadline: Option<Instant>) -> Result<Option<Event>, Error> {
        same_process(self.pid)?;
        loop {
            let feed = self.feed.get_mut();
            if feed.fill()? == Filled::Ready {
                return Ok(feed.pop());
            }
            let left = deadline.map_or(LOOK, |d| d.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                // Who looks now and then, without waiting, must learn of the daemon's end too, and the
                // descriptor is to be silent after a look that found nothing.
                return self.try_next();
            }
            let left = left.min(LOOK);
            if let Some(only) = feed.single() {
                only.wait(left);
                continue;
            }
            // Several lanes have no word in common to sleep on: the bell rings for all of them.
            self.bell_wanted.set(true);
            if let Some(event) = self.try_next()? {
                return Ok(Some(event));
            }
            self.bell.wait(left);
        }
    }

    /// The next event, if there is one now. Of this kind are the calls of an `epoll` loop: once
    /// [`Subscriber::fd`] is readable, until `None`.
    ///
    /// # Errors
    /// As [`Subscriber::next`].
    pub fn try_next(&mut self) -> Result<Option<Event>, Error> {
        same_process(self.pid)?;
        let mut filled = self.feed.get_mut().fill()?;
        if filled != Filled::Ready {
            if !self.bell_wanted.get() {
                let now = Instant::now();
                if self.asked.is_none_or(|asked| now.duration_since(asked) >= ASK) {
                    self.asked = Some(now);
                    self.feed.get_mut().check_links();
                }
                return Ok(None);
            }
            // Silenced before the last look, so that what comes after it rings again.
            self.bell.hush();
            self.feed.get_mut().check_links();
            self.hang_bell();
            filled = self.feed.get_mut().fill()?;
            if filled == Filled::Held {
                self.bell.ring_after(Some(STEP));
            }
        }
        if filled == Filled::Ready { Ok(self.feed.get_mut().pop()) } else { Ok(None) }
    }

    /// A descriptor that becomes readable when [`Subscriber::try_next`] may have something, for `poll`
    /// and `epoll`; it stays the same through restarts of the daemon. Do not read from it: `try_next`
    /// silences it when it returns `None`. It may be readable though there is nothing.
    pub fn fd(&self) -> BorrowedFd<'_> {
        if !self.bell_wanted.replace(true) {
            self.hang_bell();
            // What came before this call is to be found too.
            self.bell.ring_after(Some(Duration::ZERO));
        }
        self.bell.as_fd()
    }

    /// Goes to a revision, back or forth: what comes next is the first event of it, or after it. Events
    /// not yet read are forgotten. 0: the oldest revision that the commit log holds.
    ///
    /// # Errors
    /// [`Error::TooOld`], and it stays where it is; [`Error::NoDaemon`], [`Error::Disconnected`].
    pub fn resume_from(&mut self, revision: u64) -> Result<(), Error> {
        same_process(self.pid)?;
        self.feed.get_mut().resume(revision)
    }

    /// Sees to it that the daemon of now rings, for the tables of now, or that the user asks again
    /// soon.
    fn hang_bell(&self) {
        let feed = self.feed.borrow();
        let bell = &self.bell;
        if let Some(time) = feed.next_look() {
            bell.ring_after(Some(time));
        }
        if feed.is_empty() {
            return bell.take_down();
        }
        if !feed.is_linked() {
            bell.take_down();
            bell.ring_after(Some(RETRY));
            return;
        }
        let heard = Some(feed.heard());
        if bell.is_hung() && *self.hung_for.borrow() == heard {
            return;
        }
        match feed.bell().and_then(|pipe| bell.hang(pipe)) {
            Ok(()) => _ = self.hung_for.replace(heard),
            Err(error) => {
                tracing::debug!(%error, "the daemon cannot ring now");
                bell.take_down();
                bell.ring_after(Some(RETRY));
            }
        }
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber").finish_non_exhaustive()
    }
}
