//! Lines about the instance, and those that set something for the lines after them.

use std::time::Duration;

use shmirror::{Mirror, Options, Producer, Value};

use super::words::{text, value};
use super::{Run, key};

impl Run {
    pub(super) fn instance(&mut self, command: &str, words: &[&str]) {
        match command {
            "mark" => drop(self.marks.insert(text(words[0]), self.last)),
            "params" => self.params = key(words).0,
            "revision" => {
                let revision = self.since(self.mirror.revision());
                self.say(&format!("revision {revision}"));
            }
            "wait-revision" => {
                let revision = self.revision(words[0]).unwrap();
                let waited = self.mirror.wait_revision(revision, Duration::from_millis(1));
                if self.failed(waited).is_some() {
                    self.say("ok");
                }
            }
            "live" => {
                let (reader, writer) = (self.mirror.is_live(), self.producer.is_live());
                let name = self.mirror.instance_name();
                let (reader, writer) = (u8::from(reader), u8::from(writer));
                self.say(&format!("mirror {reader} producer {writer} name {name}"));
            }
            "attach" => {
                let Value::Text(place) = value(words[1]) else { panic!("expected a text") };
                let options = match words[0] {
                    "socket" => Options::new().socket(place),
                    _ => Options::new().instance(&place),
                };
                let _ = self.failed(Mirror::attach(&options));
                let _ = self.failed(Producer::attach(&options));
            }
            "check" => {
                let checked = self.mirror.check();
                if let Some(checked) = self.failed(checked) {
                    let ok = checked["ok"] == serde_json::Value::Bool(true);
                    self.say(if ok { "ok" } else { "not ok" });
                }
            }
            "backup" => {
                let path = self.folder.join(text(words[0]));
                let made = self.mirror.backup(&path);
                if let Some(made) = self.failed(made) {
                    let named = made.to_string().contains(path.to_str().unwrap());
                    self.say(if named { "ok" } else { "another file" });
                }
            }
            other => panic!("no such command: {other}"),
        }
    }
}
