//! Every input that was ever kept, through its target: the corpus, and what once failed.

use std::path::{Path, PathBuf};

use shmirror_fuzz::{TARGETS, Target, understood};

fn folder(kind: &str, target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(target.name)
}

fn inputs(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(files) = std::fs::read_dir(folder) else { return vec![] };
    let mut paths: Vec<_> = files.map(|file| file.expect("a listed file").path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read(path).expect("a file"))).collect()
}

/// Names the input that a target fails on.
struct Named<'a>(&'a Path);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("fails on {}", self.0.display());
        }
    }
}

fn replay(target: &Target, inputs: &[(PathBuf, Vec<u8>)]) {
    for (path, input) in inputs {
        let _named = Named(path);
        (target.run)(input);
    }
}

fn one(name: &str) {
    let target = shmirror_fuzz::target(name).expect("a target of this name");
    let kept = inputs(&folder("corpus", target));
    assert!(kept.len() >= 5, "{} inputs in the corpus of {name}", kept.len());
    replay(target, &kept);
    replay(target, &inputs(&folder("regressions", target)));
    let seeds = (target.seeds)();
    let mut good = 0;
    for (i, seed) in seeds.iter().enumerate() {
        let (path, before) = (PathBuf::from(format!("seed {i} of {name}")), understood());
        replay(target, &[(path, seed.clone())]);
        good += usize::from(understood() > before);
    }
    // Some are bad on purpose. Where others are that no longer fit, the target tries nothing.
    assert!(2 * good >= seeds.len(), "{good} of the {} seeds of {name} are good", seeds.len());
    // What is cut off somewhere is bad input, and nothing worse.
    for (path, input) in kept.iter().take(20) {
        for cut in [1, input.len() / 3, input.len() / 2, input.len().saturating_sub(1)] {
            replay(target, &[(path.clone(), input[..cut.min(input.len())].to_vec())]);
        }
    }
}

macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        $(#[test] fn $name() { one(stringify!($name)); })*

        #[test]
        fn every_target_is_replayed() {
            let replayed = [$(stringify!($name)),*];
            let all: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(replayed[..], all[..]);
            for kind in ["corpus", "regressions"] {
                let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join(kind);
                for folder in std::fs::read_dir(kept).expect("a folder of the package") {
                    let name = folder.expect("a listed folder").file_name();
                    assert!(all.iter().any(|target| name == *target), "{kind}: {name:?}");
                }
            }
        }
    };
}
tests![
    record,
    image,
    catalogue,
    request,
    packed,
    wire,
    group,
    seal,
    key,
    csv,
    json,
    config,
    requests_lane,
    events_lane,
];

#[test]
fn the_corpus_is_small() {
    let all = TARGETS.iter().flat_map(|target| inputs(&folder("corpus", target)));
    let bytes: usize = all.map(|(_, input)| input.len()).sum();
    assert!(bytes < 1 << 20, "{bytes} bytes in fuzz/corpus, under 1 MiB expected");
}

/// A parser that takes more than its share is found out.
#[test]
#[should_panic(expected = "took")]
fn memory_is_counted() {
    shmirror_fuzz::memory::within(1000, "a vector", || Vec::<u8>::with_capacity(1001));
}
