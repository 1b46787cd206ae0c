//! Redis, over its Unix socket.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use redis::{Connection, ConnectionLike};

use super::{KeyKind, Read, Shape, key_bytes, second};
use crate::context::{self, Context};
use crate::instance::terminate;

/// Why it may not be there.
pub const WITHOUT: &str = "no redis-server here";

/// A server of one's own; stopped when dropped.
pub struct Server {
    child: Child,
    directory: tempfile::TempDir,
}

/// A file that a server can start with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// All commands, in text.
    Aof,
    /// An image.
    Rdb,
}

impl Server {
    /// Starts one on the core of those who serve; `None` where Redis is not installed. `durable`: every write is
    /// synced before it is answered.
    pub fn start(context: &Context, durable: bool) -> Result<Option<Self>> {
        if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_err() {
            return Ok(None);
        }
        let directory = context::directory()?;
        let child = launch(context, directory.path(), durable)?;
        Ok(Some(Self { child, directory }))
    }

    /// Starts it again, out of this file; how long that took until it had all of it.
    pub fn restart(&mut self, context: &Context, kept: Kept) -> Result<Duration> {
        terminate(&mut self.child)?;
        let begun = Instant::now();
        self.child = launch(context, self.directory.path(), kept == Kept::Aof)?;
        Ok(begun.elapsed())
    }

    /// Has it write all that it holds into such a file.
    pub fn keep(&self, kept: Kept) -> Result<()> {
        let mut connection = connect(&self.socket())?;
        let mut set = |name: &str, value: &str| -> Result<()> {
            Ok(redis::cmd("CONFIG").arg("SET").arg(name).arg(value).query(&mut connection)?)
        };
        if kept == Kept::Rdb {
            return Ok(redis::cmd("SAVE").query(&mut connection)?);
        }
        // Else it would begin with an image.
        set("aof-use-rdb-preamble", "no")?;
        set("appendonly", "yes")?;
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let found: String = redis::cmd("INFO").arg("persistence").query(&mut connection)?;
            let is = |line: &str| found.lines().any(|found| found == line);
            if is("aof_rewrite_in_progress:0") && is("aof_rewrite_scheduled:0") {
                ensure!(is("aof_last_bgrewrite_status:ok"), "{found}");
                break;
            }
            ensure!(Instant::now() < until, "it does not end to write: {found}");
            std::thread::sleep(Duration::from_millis(10));
        }
        let off = redis::cmd("CONFIG").arg("SET").arg("appendonly").arg("no").clone();
        Ok(off.query(&mut connection)?)
    }

    /// Where such a file is.
    pub fn kept(&self, kept: Kept) -> std::path::PathBuf {
        self.directory.path().join(match kept {
            Kept::Aof => "appendonlydir",
            Kept::Rdb => "dump.rdb",
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its socket.
    pub fn socket(&self) -> std::path::PathBuf {
        self.directory.path().join("redis.sock")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing of it is kept.
        let _ = terminate(&mut self.child);
    }
}

/// A server that answers, and so has read what is in its directory.
fn launch(context: &Context, directory: &Path, durable: bool) -> Result<Child> {
    let socket = directory.join("redis.sock");
    let mut command = Command::new("redis-server");
    command
        .args(["--port", "0", "--unixsocket"])
        .arg(&socket)
        .arg("--dir")
        .arg(directory)
        .args(["--save", ""])
        // Subscribers that are slow for a while are not sent away.
        .args(["--client-output-buffer-limit", "pubsub 0 0 0"])
        .args(["--appendonly", if durable { "yes" } else { "no" }, "--appendfsync", "always"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = context::spawn_on(context.serving(), &mut command)?;
    let answers = || -> Result<()> { Ok(redis::cmd("PING").query::<()>(&mut connect(&socket)?)?) };
    let until = Instant::now() + Duration::from_secs(60);
    while answers().is_err() {
        if Instant::now() > until || child.try_wait()?.is_some() {
            // Nothing of it is kept.
            let _ = terminate(&mut child);
            bail!("redis-server did not start");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(child)
}

/// A connection.
pub fn connect(socket: &Path) -> Result<Connection> {
    let client = redis::Client::open(format!("unix://{}", socket.display()))?;
    Ok(client.get_connection()?)
}

/// Sets all rows.
pub fn fill(socket: &Path, shape: &Shape) -> Result<()> {
    let mut connection = connect(socket)?;
    let mut at = 0;
    while at < shape.rows {
        let upto = shape.rows.min(at + (1 << 22) / shape.bytes as u64);
        let mut all = redis::pipe();
        for key in at..upto {
            all.cmd("SET").arg(name(shape.key, key)).arg(shape.value(key)).ignore();
        }
        all.query::<()>(&mut connection)?;
        at = upto;
    }
    Ok(())
}

/// The name of a row: the digits of its key, or its text.
fn name(kind: KeyKind, key: u64) -> Vec<u8> {
    match kind {
        KeyKind::Integer => key.to_string().into(),
        kind => key_bytes(kind, key),
    }
}

/// Gets rows one by one.
pub fn reader(socket: &Path, shape: &Shape) -> Result<Read> {
    let mut connection = connect(socket)?;
    ensure!(connection.check_connection(), "no connection");
    let names: Vec<_> = (0..shape.rows).map(|key| name(shape.key, key)).collect();
    Ok(Box::new(move |key: u64| {
        let value: Vec<u8> = redis::cmd("GET").arg(&names[key as usize]).query(&mut connection)?;
        second(&value).context("no word")
    }))
}

/// The channel that is published to.
pub const CHANNEL: &str = "n";

/// A subscription, whose messages all have the same length: they are found without being parsed, which no
/// general client could do faster.
pub struct Channel {
    stream: UnixStream,
    spins: bool,
    /// Bytes before the message in what comes for it.
    head: usize,
    /// Bytes of all of that.
    whole: usize,
    buffer: Vec<u8>,
    from: usize,
    upto: usize,
}

impl Channel {
    /// Subscribes to messages of so many bytes. `spins`: looks for them without sleeping.
    pub fn subscribe(socket: &Path, bytes: usize, spins: bool) -> Result<Self> {
        let mut stream = UnixStream::connect(socket)?;
        write!(stream, "SUBSCRIBE {CHANNEL}\r\n")?;
        let confirmed =
            format!("*3\r\n$9\r\nsubscribe\r\n${}\r\n{CHANNEL}\r\n:1\r\n", CHANNEL.len());
        let mut found = vec![0; confirmed.len()];
        stream.read_exact(&mut found)?;
        ensure!(found == confirmed.as_bytes(), "{:?}", String::from_utf8_lossy(&found));
        stream.set_nonblocking(spins)?;
        let head =
            format!("*3\r\n$7\r\nmessage\r\n${}\r\n{CHANNEL}\r\n${bytes}\r\n", CHANNEL.len());
        let (head, whole) = (head.len(), head.len() + bytes + 2);
        Ok(Self { stream, spins, head, whole, buffer: vec![0; 1 << 18], from: 0, upto: 0 })
    }

    /// The next message.
    pub fn next(&mut self) -> Result<&[u8]> {
        while self.upto - self.from < self.whole {
            self.buffer.copy_within(self.from..self.upto, 0);
            (self.from, self.upto) = (0, self.upto - self.from);
            match self.stream.read(&mut self.buffer[self.upto..]) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(more) => self.upto += more,
                Err(error) if self.spins && error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        let message = &self.buffer[self.from..self.from + self.whole];
        self.from += self.whole;
        ensure!(message.starts_with(b"*3\r\n$7\r\n") && message.ends_with(b"\r\n"), "no message");
        Ok(&message[self.head..self.whole - 2])
    }
}
