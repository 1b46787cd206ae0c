//! One running daemon, embeddable: a configuration goes in, threads that serve it run until it is
//! stopped. It touches nothing global: no signals, no logger, so that several can live in one process.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use shmirror_shm::catalogue::Catalogue;

use crate::access::Rules;
use crate::config::Config;
use crate::control::Control;
use crate::control::socket::ControlSocket;
use crate::denials::Denials;
use crate::error::DaemonError;
use crate::exchange::{ControlMail, Post, mailbox};
use crate::instance::{Instance, Published};
use crate::keys::Secrets;
use crate::pipeline::Pipeline;
use crate::pipeline::mail::PipelineMail;
use crate::pulse::Pulse;
use crate::readers::Readers;
use crate::recovery;

/// A running daemon. Dropping it stops it as [`Daemon::stop`] does.
pub struct Daemon {
    instance: Arc<Instance>,
    pipeline: Part<PipelineMail>,
    control: Part<ControlMail>,
    /// Told the name of each thread that ends.
    ended: Receiver<&'static str>,
}

struct Part<T> {
    post: Post<T>,
    thread: Option<JoinHandle<Result<(), DaemonError>>>,
}

impl Daemon {
    /// Opens the store, or makes it where there is none, and serves it. Returns when clients can
    /// attach.
    ///
    /// # Errors
    /// A data directory that is in use or not ours, a wrong or missing key, a damaged store, no
    /// memory, a socket that cannot be made. The store is left as it was.
    pub fn start(config: Config) -> Result<Self, DaemonError> {
        Self::start_with(config, Secrets::default())
    }

    /// As [`Daemon::start`], with what opens the store and stands in no configuration.
    ///
    /// # Errors
    /// As there.
    pub fn start_with(config: Config, secrets: Secrets) -> Result<Self, DaemonError> {
        Self::start_logged(config, secrets, || Ok(()))
    }

    /// As [`Daemon::start_with`]; `opened` is called once the data directory is known to be ours.
    pub(crate) fn start_logged(
        config: Config,
        secrets: Secrets,
        opened: impl FnOnce() -> Result<(), DaemonError>,
    ) -> Result<Self, DaemonError> {
        let started = Instant::now();
        config.check().map_err(|message| {
            let file = config.data.join(crate::config::FILE_NAME);
            DaemonError::Config { file, message }
        })?;
        let data = std::path::absolute(&config.data).map_err(|source| DaemonError::File {
            what: "find",
            path: config.data.clone(),
            source,
        })?;
        let config = Config { data, ..config };
        let (id, foundation) = recovery::recover(&config, &secrets, opened)?;
        drop(secrets); // the store's provider keeps what it needs
        let provider = foundation.store.key_provider();
        let key = (provider.name(), provider.place());
        let uid = rustix::process::geteuid().as_raw();
        let rules = Rules::resolve(&config, uid, &foundation.catalogue)?;
        let socket = ControlSocket::bind(&config.socket_path())?;
        socket.admit(rules.admits_others());
        let readers = Arc::new(Readers::open(&foundation.store)?);
        let instance = Arc::new(Instance {
            id,
            socket: socket.path().to_owned(),
            pid: std::process::id(),
            uid,
            started,
            key,
            generation: foundation.generation,
            published: Published::default(),
            denials: Denials::default(),
            pulse: Pulse::default(),
            config,
        });
        let parts = foundation.segments.parts();
        for part in parts {
            instance.published.replace(part.id, part.descriptors()?);
        }
        let locked = parts.iter().all(|part| part.segment.locked());
        tracing::info!(
            revision = foundation.newest_revision,
            generation = foundation.generation,
            namespaces = parts.len(),
            locked,
            "recovered in {} ms; decrypted memory stays out of core dumps{}",
            started.elapsed().as_millis(),
            if locked { " and out of swap" } else { ", and may be swapped" },
        );
        let (to_control, control_mail) = mailbox()?;
        let (to_pipeline, pipeline_mail) = mailbox()?;
        let pipeline = Pipeline::new(
            Arc::clone(&instance),
            foundation,
            Arc::clone(&readers),
            pipeline_mail,
            to_control.clone(),
        )?;
        let control = Control::new(
            Arc::clone(&instance),
            socket,
            (to_control.clone(), control_mail),
            to_pipeline.clone(),
            readers,
            rules,
        )?;
        let (end, ended) = unbounded();
        let pipeline = spawn("pipeline", end.clone(), move || pipeline.run())?;
        let mut daemon = Self {
            instance,
            pipeline: Part { post: to_pipeline, thread: Some(pipeline) },
            control: Part { post: to_control, thread: None },
            ended,
        };
        daemon.control.thread = Some(spawn("control", end, move || control.run())?);
        Ok(daemon)
    }

    /// The control socket.
    pub fn socket(&self) -> &Path {
        &self.instance.socket
    }

    /// The key provider that opened the store, and where its key is.
    pub(crate) fn key(&self) -> (&'static str, &str) {
        (self.instance.key.0, &self.instance.key.1)
    }

    /// The instance's name.
    pub fn name(&self) -> &str {
        &self.instance.config.instance.name
    }

    /// Takes the rules of access from `config`, all else of which is left aside: who may no longer do what
    /// they could is shut out, namespaces that are new are there from now on. Waits until it is done.
    ///
    /// # Errors
    /// A user or group that the system does not know, too many namespaces, or no memory for a new one. The
    /// rules stay as they were.
    pub fn reload_rules(&self, config: &Config) -> Result<(), DaemonError> {
        config
            .check()
            .map_err(|message| DaemonError::Config { file: config.file.clone(), message })?;
        // Names that nobody knows are found before anything is done.
        let mut numbers = Catalogue::default();
        config.namespaces.keys().for_each(|name| _ = numbers.add_namespace(name));
        Rules::resolve(config, self.instance.uid, &numbers)?;
        let names = config.namespaces.keys().cloned().collect();
        let (done, published) = bounded(1);
        self.pipeline.post.send(PipelineMail::Namespaces { names, done });
        let stopping = |_| DaemonError::Thread("pipeline");
        published.recv().map_err(stopping)??;
        let rules =
            Rules::resolve(config, self.instance.uid, &self.instance.published.catalogue())?;
        let (done, followed) = bounded(1);
        self.control.post.send(ControlMail::Rules { rules, done });
        followed.recv().map_err(stopping)
    }

    /// Takes no more attaches, commits and answers everything that producers have submitted, and
    /// ends.
    ///
    /// # Errors
    /// What a thread of the daemon ended with.
    pub fn stop(mut self) -> Result<(), DaemonError> {
        self.end()
    }

    /// Waits until the daemon ends by itself, which it does only when it cannot go on.
    ///
    /// # Errors
    /// Why it ended.
    pub fn wait(mut self) -> Result<(), DaemonError> {
        let _ = self.ended.recv();
        self.end()
    }

    /// Becomes ready when a thread of the daemon has ended by itself.
    pub(crate) fn ended(&self) -> &Receiver<&'static str> {
        &self.ended
    }

    fn end(&mut self) -> Result<(), DaemonError> {
        self.control.post.send(ControlMail::Closing);
        self.pipeline.post.send(PipelineMail::Stop);
        let pipeline = self.pipeline.join("pipeline");
        self.control.post.send(ControlMail::End);
        let control = self.control.join("control");
        pipeline.and(control)
    }
}

impl std::fmt::Debug for Daemon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Daemon")
            .field("name", &self.name())
            .field("socket", &self.socket())
            .finish_non_exhaustive()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::error!(%error, "the daemon ended with an error");
        }
    }
}

impl<T> Part<T> {
    fn join(&mut self, name: &'static str) -> Result<(), DaemonError> {
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(DaemonError::Thread(name)),
        }
    }
}

/// A thread that tells `end` its name when it ends, also by a panic.
fn spawn(
    name: &'static str,
    end: Sender<&'static str>,
    body: impl FnOnce() -> Result<(), DaemonError> + Send + 'static,
) -> Result<JoinHandle<Result<(), DaemonError>>, DaemonError> {
    let body = move || {
        let _end = AtEnd { name, end };
        body()
    };
    std::thread::Builder::new()
        .name(format!("shmirror-{name}"))
        .spawn(body)
        .map_err(|source| DaemonError::System { what: "start a thread", source })
}

struct AtEnd {
    name: &'static str,
    end: Sender<&'static str>,
}

impl Drop for AtEnd {
    fn drop(&mut self) {
        // A daemon that is gone itself need not know.
        let _ = self.end.send(self.name);
    }
}
