//! The configuration. In: the file's text.

use std::path::Path;
use std::time::Duration;

use shmirror_daemon::DaemonError;
use shmirror_daemon::config::{Config, Principal};
use shmirror_shm::limits;

use crate::is_understood;
use crate::memory::within;

/// Reads a file; what it says, written out in full, is read as the same.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let file = Path::new("shmirror.toml");
    let read = within((256 << 10) + 1024 * data.len(), "a configuration", || {
        Config::parse("/data", file, text)
    });
    let config = match read {
        Ok(config) => config,
        Err(DaemonError::Config { file: named, message }) => {
            assert_eq!(named, file);
            assert!(!message.is_empty());
            return;
        }
        Err(other) => panic!("{other}"),
    };
    sound(&config);
    let written = write(&config);
    match Config::parse("/data", file, &written) {
        Ok(again) => {
            assert_eq!(again, config, "{written}");
            is_understood();
        }
        Err(error) => panic!("{error}: {written}"),
    }
}

/// Ranges that a configuration which was read holds to.
fn sound(config: &Config) {
    assert!((64 << 10..=256 << 20).contains(&config.lanes.requests_bytes));
    assert!((64 << 10..=16 << 30).contains(&config.lanes.events_bytes));
    let reserve = config.segment.reserve.unwrap_or(1 << 20);
    assert!((1 << 20..=1 << 40).contains(&reserve));
    assert!(config.limits.transaction_time > Duration::ZERO);
    assert!(config.namespaces.contains_key("main"));
    assert!(config.namespaces.len() <= limits::NAMESPACES + 1);
    assert!(!config.instance.name.contains(['/', '\0']));
    let rules =
        config.namespaces.values().flat_map(|space| space.readers.iter().chain(&space.writers));
    for principal in rules.chain(&config.access.administrators) {
        assert_eq!(principal.to_string().parse::<Principal>().as_ref(), Ok(principal));
    }
}

/// A basic string (<https://toml.io/en/v1.0.0#string>).
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out + "\""
}

fn write(config: &Config) -> String {
    let path = |path: &Path| quoted(path.to_str().expect("it came from text"));
    let span = |time: Duration| format!("\"{}ms\"", time.as_millis());
    let bytes = |bytes: u64| format!("\"{bytes}B\"");
    let list = |principals: &[Principal]| {
        let each: Vec<String> = principals.iter().map(|p| quoted(&p.to_string())).collect();
        format!("[{}]", each.join(", "))
    };
    let (store, key) = (&config.store, &config.key);
    let mut lines = vec![
        "[instance]".to_owned(),
        format!("name = {}", quoted(&config.instance.name)),
        "[store]".to_owned(),
        format!("synchronous = {}", quoted(store.synchronous.name())),
        format!("log_keep = {}", span(store.log_keep)),
        format!("log_keep_bytes = {}", bytes(store.log_keep_bytes)),
        format!("cipher = {}", quoted(store.cipher.name)),
        format!("key_file = {}", path(&store.key_file)),
        "[key]".to_owned(),
        format!("provider = {}", quoted(key.provider.name())),
        format!("argon2_memory = {}", bytes(key.argon2_memory)),
        format!("argon2_passes = {}", key.argon2_passes),
        format!("argon2_lanes = {}", key.argon2_lanes),
        format!("public = {}", path(&key.public)),
        format!("private = {}", path(&key.private)),
        format!("rsa_bits = {}", key.rsa_bits),
        format!("variable = {}", quoted(&key.variable)),
        format!("credential = {}", quoted(&key.credential)),
        "[segment]".to_owned(),
        format!("reserve = {}", config.segment.reserve.map_or(quoted("auto"), bytes)),
        format!("lock_memory = {}", config.segment.lock_memory),
        "[lanes]".to_owned(),
        format!("requests_bytes = {}", bytes(config.lanes.requests_bytes)),
        format!("events_bytes = {}", bytes(config.lanes.events_bytes)),
        "[limits]".to_owned(),
        format!("transaction_time = {}", span(config.limits.transaction_time)),
        format!("query_time = {}", span(config.limits.query_time)),
        "[log]".to_owned(),
        format!("level = {}", quoted(&config.log.level)),
        format!("keep_files = {}", config.log.keep_files),
        "[access]".to_owned(),
        format!("administrators = {}", list(&config.access.administrators)),
    ];
    if let Some(socket) = &config.instance.socket {
        lines.insert(1, format!("socket = {}", path(socket)));
    }
    for (name, space) in &config.namespaces {
        lines.push(format!("[namespaces.{}]", quoted(name)));
        lines.push(format!("readers = {}", list(&space.readers)));
        lines.push(format!("writers = {}", list(&space.writers)));
    }
    lines.join("\n")
}

/// The template, as it is and with its lines uncommented, and rules.
pub fn seeds() -> Vec<Vec<u8>> {
    let template = Config::template();
    let mut said = String::new();
    for line in template.lines() {
        match line.strip_prefix("# ") {
            Some(rest) if rest.contains(" = ") => said.extend([rest, "\n"]),
            _ if line.starts_with('[') => said.extend([line, "\n"]),
            _ => {}
        }
    }
    let rules = "[namespaces.plant]\nreaders = [\"group:operators\", \"user:1001\", \"everyone\"]\n\
                 writers = [\"group:50\"]\n[segment]\nreserve = 1048576\n[limits]\nquery_time = \"2d\"\n";
    [template, &said, rules].map(|text| text.as_bytes().to_vec()).to_vec()
}
