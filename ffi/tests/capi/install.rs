//! What `make install` puts where, and that it serves those who find it there: pkg-config, the linker,
//! `man` and bash.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::{self, STRICT, output, prefix, root, run};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const MAJOR: &str = env!("CARGO_PKG_VERSION_MAJOR");

/// What `--help` of a command says; of none, that of the whole.
fn help(command: &[String]) -> String {
    run(Command::new(prefix().join("bin/shmirror")).args(command).arg("--help"))
}

/// The commands that `--help` lists, and those below them: `["key", "status"]`.
fn commands() -> Vec<Vec<String>> {
    fn below(command: &[String], into: &mut Vec<Vec<String>>) {
        let help = help(command);
        let Some((_, list)) = help.split_once("\nCommands:\n") else { return };
        let lines = list.lines().take_while(|line| !line.is_empty());
        for line in lines.filter_map(|l| l.strip_prefix("  ")).filter(|l| !l.starts_with(' ')) {
            let name = line.split(' ').next().unwrap_or_default().to_owned();
            into.push([command, &[name]].concat());
            below(&into.last().unwrap().clone(), into);
        }
    }
    let mut all = Vec::new();
    below(&[], &mut all);
    assert!(all.len() > 10, "{all:?}");
    all
}

/// Every file and link below a folder, with what can be said of it in a word.
fn tree(folder: &Path) -> BTreeMap<String, String> {
    fn walk(top: &Path, folder: &Path, into: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let word = if metadata.is_symlink() {
                format!("-> {}", path.read_link().unwrap().display())
            } else {
                format!("{:o}", metadata.permissions().mode() & 0o7777)
            };
            if metadata.is_dir() {
                assert_eq!(word, "755", "{}", path.display());
                walk(top, &path, into);
            } else {
                into.insert(path.strip_prefix(top).unwrap().display().to_string(), word);
            }
        }
    }
    let mut files = BTreeMap::new();
    walk(folder, folder, &mut files);
    files
}

fn expected() -> BTreeMap<String, String> {
    let mut files = BTreeMap::from([
        ("bin/shmirror".into(), "755".into()),
        ("include/shmirror.h".into(), "644".into()),
        ("include/shmirror.hpp".into(), "644".into()),
        ("lib/libshmirror.a".into(), "644".into()),
        ("lib/libshmirror.so".into(), format!("-> libshmirror.so.{MAJOR}")),
        (format!("lib/libshmirror.so.{MAJOR}"), format!("-> libshmirror.so.{VERSION}")),
        (format!("lib/libshmirror.so.{VERSION}"), "755".into()),
        ("lib/pkgconfig/shmirror.pc".into(), "644".into()),
        ("share/bash-completion/completions/shmirror".into(), "644".into()),
        ("share/zsh/site-functions/_shmirror".into(), "644".into()),
        ("share/fish/vendor_completions.d/shmirror.fish".into(), "644".into()),
        ("share/man/man1/shmirror.1".into(), "644".into()),
    ]);
    for part in tree(&root().join("include/shmirror")).into_keys() {
        files.insert(format!("include/shmirror/{part}"), "644".into());
    }
    for command in commands() {
        files.insert(format!("share/man/man1/shmirror-{}.1", command.join("-")), "644".into());
    }
    files
}

/// `make install` and its like of what prefix() built.
fn make(target: &str, places: &[(&str, &str)]) -> Command {
    prefix();
    let mut command = program::make(target);
    command.arg("CARGO=true").args(places.iter().map(|(name, value)| format!("{name}={value}")));
    command
}

#[test]
fn exactly_these_files_come_and_go() {
    let stage = tempfile::Builder::new().prefix("a stage & more ").tempdir().unwrap();
    let places = [("DESTDIR", stage.path().to_str().unwrap()), ("PREFIX", "/opt/the mirror")];
    let foreign = stage.path().join("opt/the mirror/lib/other.so");
    for _ in 0..2 {
        run(&mut make("install", &places));
        assert_eq!(tree(&stage.path().join("opt/the mirror")), expected());
    }
    let pc = stage.path().join("opt/the mirror/lib/pkgconfig/shmirror.pc");
    let pc = std::fs::read_to_string(pc).unwrap();
    assert!(pc.starts_with("prefix=/opt/the mirror\n"), "{pc}");
    assert!(pc.contains("\nlibdir=${prefix}/lib\nincludedir=${prefix}/include\n"), "{pc}");
    assert!(pc.contains(&format!("\nVersion: {VERSION}\n")), "{pc}");
    assert!(!pc.contains("stage") && !pc.contains('@'), "{pc}");

    std::fs::write(&foreign, "").unwrap();
    run(&mut make("uninstall", &places));
    assert_eq!(tree(stage.path()).into_keys().collect::<Vec<_>>(), ["opt/the mirror/lib/other.so"]);
}

#[test]
fn each_place_can_be_another() {
    let stage = tempfile::tempdir().unwrap();
    let mut places = vec![("DESTDIR", stage.path().to_str().unwrap()), ("PREFIX", "/usr")];
    let others = [
        ("BINDIR", "/b"),
        ("LIBDIR", "/usr/lib/machine"),
        ("INCLUDEDIR", "/i"),
        ("PKGCONFIGDIR", "/p"),
        ("MANDIR", "/m"),
        ("BASHCOMPDIR", "/c/bash"),
        ("ZSHCOMPDIR", "/c/zsh"),
        ("FISHCOMPDIR", "/c/fish"),
    ];
    places.extend(others);
    run(&mut make("install", &places));
    let found: BTreeSet<String> = tree(stage.path())
        .into_keys()
        .map(|file| file.rsplit_once('/').expect("no file stands at the top").0.to_owned())
        .collect();
    let expected = others.map(|(name, place)| match name {
        "MANDIR" => "m/man1".to_owned(),
        _ => place[1..].to_owned(),
    });
    let mut expected = BTreeSet::from(expected);
    expected.insert("i/shmirror".to_owned());
    assert_eq!(found, expected);
    let pc = std::fs::read_to_string(stage.path().join("p/shmirror.pc")).unwrap();
    assert!(pc.contains("\nlibdir=${prefix}/lib/machine\nincludedir=/i\n"), "{pc}");
    run(&mut make("uninstall", &places));
    assert_eq!(tree(stage.path()), BTreeMap::new());
}

#[test]
fn a_relative_place_is_refused() {
    for target in ["install", "uninstall"] {
        let output = make(target, &[("PREFIX", "some/where")]).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{error}");
        assert!(error.contains("BINDIR is 'some/where/bin'"), "{error}");
        assert!(error.contains("expected an absolute path"), "{error}");
        assert!(!root().join("some").exists());
    }
}

fn pkg_config(options: &[&str]) -> Vec<String> {
    let mut command = Command::new("pkg-config");
    command.args(options).arg("shmirror");
    command.env("PKG_CONFIG_PATH", prefix().join("lib/pkgconfig"));
    run(&mut command).split_whitespace().map(str::to_owned).collect()
}

/// Compiles linked.c with these flags and runs it beside a daemon. Gives what ld.so loads for it.
fn linked(name: &str, flags: &[String]) -> Vec<String> {
    let program = output().join(name);
    let source = root().join("ffi/tests/c/linked.c");
    run(program::cc().args(STRICT).arg("-std=c99").arg(source).args(flags).arg("-o").arg(&program));
    let instance = program::instance();
    instance.sql("CREATE TABLE t(a INTEGER PRIMARY KEY)");
    let said = run(Command::new(&program)
        .env("SHMIRROR_SOCKET", instance.socket())
        .env("LD_LIBRARY_PATH", prefix().join("lib")));
    assert_eq!(said, format!("{VERSION} revision 1\n"));
    needed(&program)
}

/// The libraries that a program or library names as needed.
fn needed(file: &Path) -> Vec<String> {
    dynamic(file, "(NEEDED)")
}

fn dynamic(file: &Path, tag: &str) -> Vec<String> {
    let listed = run(Command::new("readelf").arg("-dW").arg(file).env("LC_ALL", "C"));
    let lines = listed.lines().filter(|line| line.contains(tag));
    lines.filter_map(|l| Some(l.split_once('[')?.1.split_once(']')?.0.to_owned())).collect()
}

#[test]
#[cfg_attr(not(pkg_config), ignore = "no pkg-config")]
fn pkg_config_leads_to_the_shared_library() {
    assert_eq!(pkg_config(&["--modversion"]), [VERSION]);
    let loaded = linked("linked-shared", &pkg_config(&["--cflags", "--libs"]));
    assert!(loaded.contains(&format!("libshmirror.so.{MAJOR}")), "{loaded:?}");
}

#[test]
#[cfg_attr(not(pkg_config), ignore = "no pkg-config")]
fn pkg_config_leads_to_the_archive() {
    let mut flags = pkg_config(&["--cflags", "--static", "--libs"]);
    for flag in flags.iter_mut().filter(|flag| *flag == "-lshmirror") {
        *flag = "-l:libshmirror.a".into();
    }
    let loaded = linked("linked-archive", &flags);
    assert!(!loaded.iter().any(|name| name.contains("shmirror")), "{loaded:?}");
}

#[test]
#[cfg_attr(not(pkg_config), ignore = "no pkg-config")]
#[cfg_attr(not(static_libc), ignore = "no static C library")]
fn pkg_config_leads_to_a_program_that_loads_nothing() {
    let mut flags = pkg_config(&["--cflags", "--static", "--libs"]);
    flags.push("-static".into());
    assert_eq!(linked("linked-static", &flags), [""; 0]);
}

/// Without the archive's names being its own, two Rusts would be defined twice.
#[test]
fn the_archive_goes_with_another_of_rust() {
    let library = output().join("libsecond_rust.a");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    run(Command::new(rustc)
        .args(["--edition=2024", "--crate-type=staticlib", "-Cpanic=unwind", "-o"])
        .arg(&library)
        .arg(root().join("ffi/tests/c/second_rust.rs")));
    let own = prefix().join("lib/libshmirror.a");
    for (name, archives) in [("first", [&own, &library]), ("second", [&library, &own])] {
        let program = output().join(format!("second-rust-{name}"));
        run(program::cc()
            .args(STRICT)
            .arg("-I")
            .arg(prefix().join("include"))
            .arg(root().join("ffi/tests/c/second_rust.c"))
            .args(archives)
            .args(["-lpthread", "-ldl", "-lm", "-o"])
            .arg(&program));
        run(&mut Command::new(program));
    }
}

fn shared() -> PathBuf {
    prefix().join("lib/libshmirror.so")
}

/// The names that a library or archive defines for others.
fn names(file: &Path, options: &[&str]) -> BTreeSet<String> {
    let listed = run(Command::new("nm").args(options).arg("--defined-only").arg(file));
    let names = listed.lines().filter_map(|line| line.split(' ').nth(2));
    names.map(str::to_owned).collect()
}

#[test]
fn what_is_exported_is_what_the_header_declares() {
    let header = crate::declared::of(&prefix().join("include/shmirror.h"));
    let declared: BTreeSet<String> = header.functions.into_keys().collect();
    assert!(declared.iter().all(|name| name.starts_with("shmirror_")), "{declared:?}");
    assert_eq!(names(&shared(), &["-D"]), declared);
    assert_eq!(names(&prefix().join("lib/libshmirror.a"), &["-g"]), declared);
}

#[test]
fn the_library_is_small_and_stands_on_the_c_library_alone() {
    let file = shared();
    assert_eq!(dynamic(&file, "(SONAME)"), [format!("libshmirror.so.{MAJOR}")]);
    let system = ["libc.so.", "libgcc_s.so.", "libm.so.", "ld-linux"];
    let strange: Vec<String> =
        needed(&file).into_iter().filter(|n| !system.iter().any(|s| n.starts_with(s))).collect();
    assert_eq!(strange, [""; 0]);
    let bytes = std::fs::read(&file).unwrap();
    println!("{} bytes", bytes.len());
    assert!(bytes.len() <= 1_500_000, "{} bytes, 1.5 MB at most", bytes.len());
    let sections = run(Command::new("readelf").arg("-SW").arg(&file));
    assert!(!sections.contains(".symtab") && !sections.contains(".debug"), "{sections}");
    for sqlite in [&b"sqlite3_"[..], b"SQLite format 3"] {
        assert!(!bytes.windows(sqlite.len()).any(|w| w == sqlite), "SQLite is in it");
    }
}

#[test]
fn there_is_a_man_page_for_each_command() {
    let pages = prefix().join("share/man/man1");
    for command in std::iter::once(vec![]).chain(commands()) {
        let name = [&["shmirror".to_owned()], command.as_slice()].concat().join("-");
        let text = std::fs::read_to_string(pages.join(format!("{name}.1"))).unwrap();
        let requests: Vec<&str> = text.lines().filter(|line| line.starts_with('.')).collect();
        let first = format!(".TH {name} 1 \"\" \"shmirror {VERSION}\" ");
        assert!(text.starts_with(&first), "{name}: no {first}");
        let sections: Vec<&&str> = requests.iter().filter(|r| r.starts_with(".SH ")).collect();
        assert!(
            sections.starts_with(&[&".SH NAME", &".SH SYNOPSIS", &".SH DESCRIPTION"]),
            "{name}: {sections:?}"
        );
        let count = |request: &str| requests.iter().filter(|r| **r == request).count();
        assert_eq!(count(".nf"), count(".fi"), "{name}: lines as they are, to no end");
        // Every option that --help tells of; roff has a backslash before each dash.
        let help = help(&command);
        let (_, options) = help.split_once("Options:").expect("a list of options");
        let lines = options.lines().map(str::trim_start);
        let options: Vec<&str> = lines
            .filter(|line| line.starts_with('-') && !line.starts_with("- "))
            .flat_map(|line| line.split([' ', ',']).filter(|word| word.starts_with('-')))
            .collect();
        assert!(options.contains(&"--socket"), "{help}");
        for option in options {
            let bold = format!("\\fB{}\\fR", option.replace('-', "\\-"));
            assert!(text.contains(&bold), "{name}: no {option}");
        }
    }
}

#[test]
fn shells_complete_commands_and_options() {
    let share = prefix().join("share");
    let complete = |words: &[&str]| {
        let script = r#"source "$0"
            COMP_WORDS=(shmirror "$@") COMP_CWORD=$#
            _shmirror shmirror "${!#}" "${COMP_WORDS[COMP_CWORD - 1]}" || true
            printf '%s\n' "${COMPREPLY[@]}""#;
        run(Command::new("bash")
            .args(["--norc", "-euc", script])
            .arg(share.join("bash-completion/completions/shmirror"))
            .args(words))
    };
    assert_eq!(complete(&["che"]), "check\n");
    assert_eq!(complete(&["dump", "--fo"]), "--format\n");
    assert_eq!(complete(&["dump", "--format", "nd"]), "ndjson\n");

    let zsh = std::fs::read_to_string(share.join("zsh/site-functions/_shmirror")).unwrap();
    assert!(zsh.starts_with("#compdef shmirror\n"), "{zsh}");
    let fish = share.join("fish/vendor_completions.d/shmirror.fish");
    let fish = std::fs::read_to_string(fish).unwrap();
    for command in commands().into_iter().filter(|c| c.len() == 1).flatten() {
        assert!(zsh.contains(&format!("\n'{command}:")), "zsh: no {command}");
        assert!(fish.contains(&format!(" -a \"{command}\" ")), "fish: no {command}");
    }
    assert!(!zsh.contains("(part)") && !fish.contains("\"part\""), "a hidden command is told");
    assert_eq!(complete(&["par"]), "\n", "a hidden command is told");
}
