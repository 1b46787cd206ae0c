//! Redis, over its Unix socket.

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

impl Server {
    /// Starts one on the core of those who serve; `None` where Redis is not installed. `durable`: every write is
    /// synced before it is answered.
    pub fn start(context: &Context, durable: bool) -> Result<Option<Self>> {
        let directory = context::directory()?;
        let mut command = Command::new("redis-server");
        command
            .args(["--port", "0", "--unixsocket"])
            .arg(directory.path().join("redis.sock"))
            .arg("--dir")
            .arg(directory.path())
            .args(["--save", ""])
            .args(["--appendonly", if durable { "yes" } else { "no" }, "--appendfsync", "always"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_err() {
            return Ok(None);
        }
        let this = Self { child: context::spawn_on(context.serving(), &mut command)?, directory };
        let until = Instant::now() + Duration::from_secs(20);
        while connect(&this.socket()).is_err() {
            if Instant::now() > until {
                bail!("redis-server did not start");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Some(this))
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
