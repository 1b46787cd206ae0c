//! Lines that follow changes, as they come and out of the commit log.

use std::fmt::Write as _;

use shmirror::{Event, History, Subscriber};

use super::words::{shown, shown_json, shown_value, text};
use super::{PATIENCE, Run};

impl Run {
    pub(super) fn events(&mut self, command: &str, words: &[&str]) {
        let filter = |from: usize| -> Vec<String> {
            words.get(from..).unwrap_or_default().iter().map(|w| text(w)).collect()
        };
        fn names(filter: &[String]) -> Vec<&str> {
            filter.iter().map(String::as_str).collect()
        }
        match command {
            "history" => {
                let from = self.revision(words[0]).unwrap();
                let history = self.mirror.history(from, &names(&filter(1)));
                let Some(history) = self.failed_with_message::<History>(history) else { return };
                for event in history {
                    self.event(&event.unwrap(), false);
                }
                self.say("end");
            }
            "subscribe" => {
                let builder = Subscriber::builder(&self.options).tables(&names(&filter(2)));
                let builder = match self.revision(words[1]) {
                    Some(revision) => builder.from_revision(revision),
                    None => builder.from_now(),
                };
                if let Some(made) = self.failed_with_message(builder.subscribe()) {
                    self.subscribers.insert(text(words[0]), made);
                }
            }
            "events" => {
                for _ in 0..words[1].parse::<u32>().unwrap() {
                    let subscriber = self.subscribers.get_mut(words[0]).unwrap();
                    let event = subscriber.next(PATIENCE).unwrap().expect("an event in time");
                    self.event(&event, words.len() > 2);
                }
            }
            "quiet" => {
                let subscriber = self.subscribers.get_mut(words[0]).unwrap();
                let event = subscriber.try_next();
                if let Some(None) = self.failed(event) {
                    self.say("SHMIRROR_PENDING");
                }
            }
            _ => {
                let revision = self.revision(words[1]).unwrap();
                let subscriber = self.subscribers.get_mut(words[0]).unwrap();
                let resumed = subscriber.resume_from(revision);
                if self.failed_with_message(resumed).is_some() {
                    self.say("ok");
                }
            }
        }
    }

    pub(super) fn event(&mut self, event: &Event, as_json: bool) {
        if as_json {
            return self.say(&shown_json(&event.to_json().to_string()));
        }
        let list = |label: &str, names: &[String]| {
            let shown: Vec<String> = names.iter().map(|n| shown(n)).collect();
            let equals = if names.is_empty() { "" } else { "=" };
            format!(" {label}{equals}{}", shown.join(","))
        };
        let mut line = String::new();
        let (uid, pid, at_us) = match event {
            Event::Schema(e) => {
                write!(line, "schema {}", self.since(e.revision)).unwrap();
                line += &list("created", &e.created);
                line += &list("changed", &e.changed);
                line += &list("dropped", &e.dropped);
                (e.uid, e.pid, e.at_us)
            }
            Event::Change(e) => {
                let (revision, table) = (self.since(e.revision), shown(&e.table));
                write!(line, "change {revision} {table} {} key", e.operation.name()).unwrap();
                for value in &e.key {
                    write!(line, " {}", shown_value(value.as_ref())).unwrap();
                }
                line += &list("columns", &e.changed);
                match &e.row {
                    Some(row) => {
                        line.push(' ');
                        line += &self.shown_row(row.as_ref());
                    }
                    None => line += " none",
                }
                line += if e.sequence == 0 { " log" } else { " lane" };
                line += if e.last_of_transaction { " last" } else { "" };
                (e.uid, e.pid, e.at_us)
            }
            other => panic!("an event of another kind: {other:?}"),
        };
        line += if uid == rustix::process::getuid().as_raw() { "" } else { " uid?" };
        line += if pid == std::process::id() { "" } else { " pid?" };
        // Microseconds: not before 2001 and not after 2286.
        let likely = 1_000_000_000_000_000..10_000_000_000_000_000;
        line += if likely.contains(&at_us) { "" } else { " at?" };
        self.say(&line);
    }
}
