//! The daemon embedded in one's own program: `config_server DIR [SOCKET]` serves the data directory
//! DIR until its standard input ends, and does its own work beside it.

use std::error::Error;
use std::io::Read;

use shmirror::{Mirror, Options, Producer};
use shmirror_daemon::{Config, Daemon};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let Some(directory) = arguments.next() else {
        return Err("usage: config_server DIR [SOCKET]".into());
    };
    let mut config = Config::default_for(directory);
    if let Some(socket) = arguments.next() {
        config.instance.socket = Some(socket.into());
    }

    let daemon = Daemon::start(config)?;
    let options = Options::new().socket(daemon.socket()).program("config_server");

    // The server's own program is a client like any other.
    let producer = Producer::attach(&options)?;
    producer.execute(
        "CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
         INSERT INTO setting VALUES ('greeting', 'hello') ON CONFLICT DO NOTHING",
    )?;
    let mirror = Mirror::attach(&options)?;
    let greeting: String =
        mirror.table("setting")?.get("greeting")?.ok_or("no greeting")?.get("value")?;

    println!(
        "serving on {}: greeting is {greeting:?}; end the input to stop",
        daemon.socket().display()
    );
    std::io::stdin().read_to_end(&mut Vec::new())?;
    daemon.stop()?;
    println!("stopped");
    Ok(())
}
