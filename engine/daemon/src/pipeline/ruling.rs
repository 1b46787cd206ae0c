//! Changes of namespaces and of rules while the daemon runs, between two groups.

use std::sync::Arc;

use shmirror_shm::limits;
use shmirror_shm::snapshot::SegmentWriter;

use super::Pipeline;
use super::batch::WORK;
use super::segments::Part;
use crate::access::Rules;
use crate::error::DaemonError;
use crate::recovery;

impl Pipeline {
    /// Makes sure that namespaces of these names are there and published. On an error those before it
    /// are.
    pub(super) fn add_namespaces(&mut self, names: &[String]) -> Result<(), DaemonError> {
        let is_new = |name: &&String| self.catalogue.namespace_id(name).is_none();
        let found = self.catalogue.namespaces.len() + names.iter().filter(is_new).count();
        if found > limits::NAMESPACES {
            return Err(DaemonError::TooManyNamespaces { found });
        }
        for name in names {
            if self.catalogue.namespace_id(name).is_none() {
                self.instance.pulse.vouch(WORK);
                self.add_namespace(name)?;
            }
        }
        Ok(())
    }

    fn add_namespace(&mut self, name: &str) -> Result<(), DaemonError> {
        let instance = Arc::clone(&self.instance);
        let config = &instance.config;
        let generation = self.store.next_generation()?;
        let reserve = config.segment.reserve.unwrap_or_else(recovery::default_reserve);
        let segment = SegmentWriter::create(instance.id, generation, reserve)?;
        segment.region().lock_pages(config.segment.lock_memory);
        let mut catalogue = (*self.catalogue).clone();
        let id = catalogue.add_namespace(name);
        let segment = self.with_catalogue(&catalogue.part(id), segment)?;
        let (bytes, revision) = (config.lanes.events_bytes, self.newest_revision);
        let part = Part::new((id, name), segment, bytes, revision)?;
        let descriptors = part.descriptors()?;
        // Last, as only this cannot be taken back.
        let added = self.working.add_namespace(name)?;
        if added != id {
            let what = format!("namespace {id} is {added} in the working copy");
            return Err(DaemonError::Inconsistent(what));
        }
        self.catalogue = self.working.catalogue().clone();
        self.segments.add(part);
        instance.published.replace(id, descriptors);
        tracing::info!(namespace = id, generation, "a namespace is new");
        Ok(())
    }

    /// Holds lanes to `rules`, and takes what is published of the `withdrawn` namespaces away from who has
    /// it. False where that fails: then nothing more is published, and the daemon ends.
    pub(super) fn enforce(&mut self, rules: &Rules, withdrawn: &[u16]) -> bool {
        let ended = self.lanes.enforce(rules);
        for taken in self.carry.iter_mut().filter(|taken| ended.contains(&taken.lane)) {
            taken.deny("the rules of the instance have changed: it may no longer be done");
        }
        for &namespace in withdrawn {
            self.instance.pulse.vouch(WORK);
            if self.segments.part(namespace).is_none() {
                continue;
            }
            if let Err(error) = self.withdraw(namespace) {
                tracing::error!(namespace, %error, "who may no longer see it cannot be shut out");
                self.failure = Some(error);
                return false;
            }
        }
        true
    }
}
