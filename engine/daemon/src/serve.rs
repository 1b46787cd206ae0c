//! `serve`: a daemon as a service. Options go in; signals, logs, readiness and the last word to the
//! system's service manager are here, everything else is [`Daemon`].

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam_channel::{bounded, select};
use rustix::process::{DumpableBehavior, Resource, getrlimit, set_dumpable_behavior, setrlimit};
use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::backup;
use crate::config::{Config, FILE_NAME};
use crate::daemon::Daemon;
use crate::error::DaemonError;
use crate::keys::{ProviderName, Secrets};
use crate::logging;
use crate::passphrase::Asking;

/// What the command line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServeOptions {
    /// The data directory; or a file that `backup` wrote, which is then copied into a data directory
    /// `FILE.data` beside it.
    pub data: PathBuf,
    /// The configuration file; by default `shmirror.toml` in the data directory, if it is there.
    pub config: Option<PathBuf>,
    /// The instance's name, instead of the configured one.
    pub instance: Option<String>,
    /// The control socket, instead of the configured one.
    pub socket: Option<PathBuf>,
    /// A descriptor to read passphrases from, a line each; without it the terminal is asked.
    pub passphrase_fd: Option<i32>,
}

/// Serves until SIGTERM or SIGINT; then everything accepted is committed and answered, and it
/// returns. On SIGHUP it takes the rules of access, `[access]` and `[namespaces]`, from the configuration
/// file as it is then. Prints where the socket is, and a line that begins with `ready` once clients can attach.
///
/// # Errors
/// What keeps the daemon from starting, or from going on.
pub fn serve(options: ServeOptions) -> Result<(), DaemonError> {
    // Before anything is opened: the number would name that.
    let asking = match options.passphrase_fd {
        Some(number) => Asking::descriptor(number).map_err(|source| DaemonError::System {
            what: "read passphrases from the file descriptor given",
            source,
        })?,
        None => Asking::terminal(),
    };
    // From here on a signal is not lost, however long the start takes.
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])
        .map_err(|source| DaemonError::System { what: "wait for signals", source })?;
    // A limit on the size of files is then an error of the write, as a full disk is, not our end.
    signal_hook::flag::register(SIGXFSZ, Arc::default())
        .map_err(|source| DaemonError::System { what: "survive a limit on files", source })?;
    harden();
    let called_off = Arc::default();
    for signal in [SIGTERM, SIGINT] {
        // A question for a passphrase ends with them; later on nobody looks at this.
        signal_hook::flag::register(signal, Arc::clone(&called_off))
            .map_err(|source| DaemonError::System { what: "wait for signals", source })?;
    }
    let (config, first_start) = configure(options.clone())?;
    let secrets = Secrets::new(Arc::new(asking.until(called_off))).take_variable(&config.key);
    let log_dir = config.data.join("log");
    let log = logging::start(&config.log.level);
    let daemon = Daemon::start_logged(config.clone(), secrets, || {
        logging::write_files(&log, &log_dir, config.log.keep_files)
    })?;
    if first_start {
        write_template(&config.data.join(FILE_NAME));
    }
    announce(&config, &daemon);
    notify(&[NotifyState::Ready]);

    let (send, came) = bounded(16);
    let handle = signals.handle();
    let waiting = std::thread::Builder::new()
        .name("shmirror-signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                // One more than there is room for changes nothing: those before it are not done with yet.
                let _ = send.try_send(signal);
            }
        })
        .map_err(|source| DaemonError::System { what: "start a thread", source })?;
    loop {
        select! {
            recv(came) -> signal => match signal {
                Ok(SIGHUP) => reload(&options, &config, &daemon),
                Ok(SIGINT) => break tracing::info!("SIGINT: stopping"),
                _ => break tracing::info!("SIGTERM: stopping"),
            },
            recv(daemon.ended()) -> thread => {
                let thread = thread.unwrap_or("first");
                break tracing::error!("the {thread} thread has ended; stopping");
            }
        }
    }
    notify(&[NotifyState::Stopping]);
    let stopped = daemon.stop();
    handle.close();
    // The thread ends with its handle; it has nothing to tell.
    let _ = waiting.join();
    match &stopped {
        Ok(()) => tracing::info!("stopped"),
        Err(error) => tracing::error!(%error, "stopped"),
    }
    stopped
}

/// Takes the rules of access out of the configuration file as it is now. Where anything about it is
/// wrong, the rules before stay.
fn reload(options: &ServeOptions, started: &Config, daemon: &Daemon) {
    notify(&[NotifyState::Reloading]);
    let done = configure(options.clone()).and_then(|(config, _)| {
        let AccessParts { same, config } = AccessParts::of(started, config);
        if !same {
            tracing::warn!(
                "the configuration has changed in more than its rules: that needs a restart"
            );
        }
        daemon.reload_rules(&config)
    });
    match done {
        Ok(()) => tracing::info!("SIGHUP: the rules of access are those of the configuration file"),
        Err(error) => tracing::error!(%error, "SIGHUP: the rules of access stay as they were"),
    }
    notify(&[NotifyState::Ready]);
}

/// A configuration that was read again, and whether it is the one of the start apart from its rules.
struct AccessParts {
    same: bool,
    config: Config,
}

impl AccessParts {
    fn of(started: &Config, config: Config) -> Self {
        let (access, namespaces) = (config.access.clone(), config.namespaces.clone());
        let with_its_rules = Config { access, namespaces, ..started.clone() };
        Self { same: with_its_rules == config, config }
    }
}

/// Nobody of the same uid may look into this process, and its limits are as high as they may be.
fn harden() {
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        eprintln!("warning: this process cannot be shielded from debuggers: {error}");
    }
    for resource in [Resource::Nofile, Resource::Memlock] {
        let mut limit = getrlimit(resource);
        limit.current = limit.maximum;
        // Without it fewer clients attach, or less memory is locked; both are told where they occur.
        let _ = setrlimit(resource, limit);
    }
}

/// The configuration, and whether its file is to be written.
fn configure(options: ServeOptions) -> Result<(Config, bool), DaemonError> {
    let ServeOptions { data, config: file, instance, socket, passphrase_fd: _ } = options;
    let data = if data.is_file() { unpack(&data)? } else { data };
    let own = data.join(FILE_NAME);
    let first_start = file.is_none() && own.symlink_metadata().is_err();
    let mut config = match file {
        Some(file) => Config::load(&data, &file)?,
        None if first_start => Config::default_for(&data),
        None => Config::load(&data, &own)?,
    };
    if let Some(name) = instance {
        config.instance.name = name;
    }
    if socket.is_some() {
        config.instance.socket = socket;
    }
    Ok((config, first_start))
}

/// A data directory `FILE.data` with a copy of the backup `file` and its key. One that is there
/// already is taken as it is.
fn unpack(file: &Path) -> Result<PathBuf, DaemonError> {
    let beside = |suffix: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let data = beside(".data");
    if data.is_dir() {
        return Ok(data);
    }
    let key = backup::key_beside(file);
    // Only a key file goes with a backup; for other providers there may be one all the same.
    let has_key = key.is_file();
    let error = |what, path: &Path| {
        let path = path.to_owned();
        move |source| DaemonError::File { what, path, source }
    };
    if !has_key && needs_key_file(file)? {
        let source = std::io::ErrorKind::NotFound.into();
        return Err(error("find the key of a backup, which is expected as", &key)(source));
    }
    // Made under another name: a start that is cut short leaves no half-made data directory.
    let making = beside(".data.new");
    if making.exists() {
        std::fs::remove_dir_all(&making).map_err(error("clear", &making))?;
    }
    let copied = std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700)
        .create(&making)
        .and_then(|()| backup::copy_secret(file, &making.join(shmirror_store::STORE_FILE)))
        .and_then(|()| match has_key {
            true => backup::copy_secret(&key, &making.join(shmirror_store::KEY_FILE)),
            false => Ok(()),
        })
        .and_then(|()| std::fs::rename(&making, &data));
    copied.map_err(error("copy a backup into", &data))?;
    Ok(data)
}

/// Whether the backup opens with a key file.
fn needs_key_file(file: &Path) -> Result<bool, DaemonError> {
    let slots = shmirror_store::KeyStatus::of_file(file)?.slots;
    Ok(slots.iter().any(|slot| slot.provider == ProviderName::KeyFile.name()))
}

fn write_template(path: &Path) {
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(Config::template().as_bytes()));
    if let Err(error) = written {
        tracing::warn!(%error, "the commented configuration file could not be written");
    }
}

/// What a person at the terminal, or a script, wants to know.
fn announce(config: &Config, daemon: &Daemon) {
    let mut options = String::new();
    if config.instance.socket.is_some() {
        options = format!(" --socket {}", daemon.socket().display());
    } else if daemon.name() != shmirror_shm::socket_path::DEFAULT_INSTANCE {
        options = format!(" --instance {}", daemon.name());
    }
    let (provider, key) = daemon.key();
    let care = match provider {
        "passphrase" => "",
        _ => "keep a copy elsewhere: ",
    };
    let text = format!(
        "shmirror {version}: instance {name}\n\
         data    {data}\n\
         socket  {socket}\n\
         key     {key} ({care}without it nobody can open the store)\n\
         \n\
         Try in another terminal:\n\
         \x20 shmirror sql{options} \"CREATE TABLE setting(name TEXT PRIMARY KEY, value)\"\n\
         \x20 shmirror put{options} setting greeting value=hello\n\
         \x20 shmirror get{options} setting greeting\n\
         \x20 shmirror watch{options} setting\n\
         \n\
         ready: pid {pid}, serving until SIGTERM or SIGINT (Ctrl-C)\n",
        version = crate::instance::VERSION,
        name = daemon.name(),
        data = config.data.display(),
        socket = daemon.socket().display(),
        key = key,
        pid = std::process::id(),
    );
    let mut out = std::io::stdout().lock();
    // Who closed our output does not want to know.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}
