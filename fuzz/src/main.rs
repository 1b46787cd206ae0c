//! libFuzzer over one of the targets: `fuzz/run.sh` starts it.
//!
//! In: the target's name in `SHMIRROR_FUZZ`, the engine's own flags on the command line. With
//! `SHMIRROR_FUZZ_SEEDS=DIR` it writes the target's seeds there, made from real values, and ends.
#![no_main]

use std::sync::OnceLock;

use shmirror_fuzz::Target;

static TARGET: OnceLock<&'static Target> = OnceLock::new();

fn chosen() -> &'static Target {
    TARGET.get_or_init(|| {
        let name = std::env::var("SHMIRROR_FUZZ").unwrap_or_default();
        match shmirror_fuzz::target(&name) {
            Some(target) => target,
            None => {
                let all: Vec<&str> = shmirror_fuzz::TARGETS.iter().map(|t| t.name).collect();
                eprintln!("SHMIRROR_FUZZ={name:?}, expected one of {}", all.join(", "));
                std::process::exit(2);
            }
        }
    })
}

fn prepare() {
    let target = chosen();
    let Some(dir) = std::env::var_os("SHMIRROR_FUZZ_SEEDS") else { return };
    let dir = std::path::PathBuf::from(dir);
    for (i, seed) in (target.seeds)().into_iter().enumerate() {
        if let Err(error) = std::fs::write(dir.join(format!("seed-{i:02}")), seed) {
            eprintln!("{}: {error}", dir.display());
            std::process::exit(2);
        }
    }
    std::process::exit(0);
}

libfuzzer_sys::fuzz_target!(init: prepare(), |data: &[u8]| (chosen().run)(data));
