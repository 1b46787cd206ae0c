//! Programs that were built against an older minor version run on the newer library: every declaration
//! of each frozen header still holds, and a program that was built against it runs on a library of the
//! next minor version, which is made here from the same source.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::declared::{self, Declared};
use crate::program::{self, STRICT, output, prefix, root, run};

const MAJOR: &str = env!("CARGO_PKG_VERSION_MAJOR");
const MINOR: &str = env!("CARGO_PKG_VERSION_MINOR");
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn current() -> PathBuf {
    root().join("include/shmirror.h")
}

/// The frozen headers of this major version.
fn frozen() -> Vec<PathBuf> {
    let folders = std::fs::read_dir(root().join("ffi/abi")).unwrap().map(|e| e.unwrap());
    let of_major = format!("{MAJOR}.");
    let headers: Vec<PathBuf> = folders
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&of_major))
        .map(|entry| entry.path().join("shmirror.h"))
        .collect();
    assert!(!headers.is_empty(), "no frozen header of version {MAJOR}: `make freeze-abi`");
    headers
}

/// Compiles C text against one header, with these further arguments; what the compiler says if it does not take it.
fn compile(name: &str, header: &Path, text: &str, further: &[&str]) -> Result<PathBuf, String> {
    let source = output().join(format!("{name}.c"));
    let program = output().join(name);
    let text = format!("#include \"{}\"\n{text}", header.display());
    std::fs::write(&source, text).unwrap();
    let mut compiler = program::cc();
    compiler.args(STRICT).arg("-std=c99").arg(&source).args(further).arg("-o").arg(&program);
    let said = compiler.output().unwrap();
    match said.status.success() {
        true => Ok(program),
        false => Err(String::from_utf8_lossy(&said.stderr).into_owned()),
    }
}

/// What a C compiler makes of enumerators, structs and unions: a line for each value, size and offset.
fn layout(name: &str, header: &Path, old: &Declared) -> Result<String, String> {
    let mut body = String::new();
    for enumerator in old.enums.values().flatten() {
        writeln!(body, "    printf(\"{enumerator} = %ld\\n\", (long)({enumerator}));").unwrap();
    }
    for (of, members) in &old.members {
        writeln!(body, "    printf(\"{of}: %zu bytes\\n\", sizeof({of}));").unwrap();
        for m in members {
            let size = format!("sizeof((({of} *)0)->{m})");
            let format = format!("{of}.{m} at %zu, %zu bytes\\n");
            writeln!(body, "    printf(\"{format}\", offsetof({of}, {m}), {size});").unwrap();
        }
    }
    let text = format!("#include <stdio.h>\nint main(void)\n{{\n{body}    return 0;\n}}\n");
    Ok(run(&mut Command::new(compile(name, header, &text, &[])?)))
}

/// What of the old header the new one breaks, in words; `name` is for what is compiled meanwhile.
fn broken(name: &str, old_header: &Path, new_header: &Path) -> Vec<String> {
    let (old, new) = (declared::of(old_header), declared::of(new_header));
    let mut complaints = Vec::new();
    for function in old.functions.keys().filter(|f| !new.functions.contains_key(*f)) {
        complaints.push(format!("function {function} is gone"));
    }
    for function in old.inlines.keys().filter(|f| !new.inlines.contains_key(*f)) {
        complaints.push(format!("inline function {function} is gone"));
    }
    for (kind, old, new) in [("type", &old.types, &new.types), ("macro", &old.macros, &new.macros)]
    {
        for (name, text) in old {
            match new.get(name) {
                Some(now) if now == text => {}
                Some(now) => complaints.push(format!("{kind} {name} was {text}, is {now}")),
                None => complaints.push(format!("{kind} {name} is gone")),
            }
        }
    }
    // The compiler compares the types of a function that is declared twice.
    let again: String = old
        .functions
        .values()
        .chain(old.inlines.values())
        .fold(String::new(), |text, prototype| text + prototype + ";\n");
    complaints.extend(compile(name, new_header, &again, &["-fsyntax-only"]).err());
    let was = layout(&format!("{name}-old"), old_header, &old).expect("the old header compiles");
    match layout(&format!("{name}-new"), new_header, &old) {
        Err(error) => complaints.push(error),
        Ok(is) => complaints.extend(
            was.lines()
                .zip(is.lines())
                .filter(|(was, is)| was != is)
                .map(|(was, is)| format!("was {was}, is {is}")),
        ),
    }
    complaints
}

#[test]
fn this_version_is_frozen_as_it_is() {
    let header = root().join(format!("ffi/abi/{MAJOR}.{MINOR}/shmirror.h"));
    assert!(header.exists(), "version {MAJOR}.{MINOR} has no frozen header: `make freeze-abi`");
    let (frozen, now) = (declared::of(&header), declared::of(&current()));
    let names = |of: &Declared| -> BTreeSet<String> {
        of.functions.keys().chain(of.enums.values().flatten()).cloned().collect()
    };
    let (before, after) = (names(&frozen), names(&now));
    let differs: Vec<_> = before.symmetric_difference(&after).collect();
    assert!(
        frozen == now,
        "the header declares something else than ffi/abi/{MAJOR}.{MINOR}/shmirror.h ({differs:?}). \
         Before {MAJOR}.{MINOR} is released: `make freeze-abi`. After that, what is new needs the \
         next minor version."
    );
}

#[test]
fn what_was_frozen_holds() {
    for (i, header) in frozen().iter().enumerate() {
        let complaints = broken(&format!("abi-{i}"), header, &current());
        assert!(complaints.is_empty(), "{}: {complaints:#?}", header.display());
    }
}

#[test]
fn a_break_is_noticed_and_an_addition_is_none() {
    let text = std::fs::read_to_string(current()).unwrap();
    let breaks = [
        ("SHMIRROR_NOT_FOUND = 1,", "SHMIRROR_NOT_FOUND = 9,", "SHMIRROR_NOT_FOUND = 1"),
        ("SHMIRROR_NOT_FOUND = 1,", "", "SHMIRROR_NOT_FOUND"),
        ("uint32_t shmirror_version_number(void);", "", "shmirror_version_number is gone"),
        ("uint32_t shmirror_version_number(", "uint64_t shmirror_version_number(", "conflicting"),
        ("int32_t reserved;", "int64_t reserved;", "shmirror_value"),
        ("int32_t type;", "float type;", "type shmirror_value"),
        ("#define SHMIRROR_FROM_NOW UINT64_MAX", "#define SHMIRROR_FROM_NOW 0", "FROM_NOW"),
        ("shmirror_integer(int64_t", "shmirror_integer(int32_t", "conflicting"),
    ];
    for (i, (from, to, complaint)) in breaks.into_iter().enumerate() {
        assert!(text.contains(from), "{from} is not in the header");
        let header = output().join(format!("break-{i}.h"));
        std::fs::write(&header, text.replace(from, to)).unwrap();
        let found = broken(&format!("break-{i}"), &current(), &header);
        assert!(found.iter().any(|said| said.contains(complaint)), "{to}: {found:#?}");
    }
    let header = output().join("addition.h");
    let added = "SHMIRROR_END = 2, SHMIRROR_NEW_ONE = 15,";
    let text = text.replace("SHMIRROR_END = 2,", added);
    let at = text.find("uint32_t shmirror_version_number(").unwrap();
    std::fs::write(&header, format!("{}int shmirror_new(void);\n{}", &text[..at], &text[at..]))
        .unwrap();
    assert_eq!(broken("addition", &current(), &header), [""; 0]);
}

/// Builds abi/program.c against a header. It does not say where the library is.
fn program(name: &str, header: &Path) -> PathBuf {
    let text = std::fs::read_to_string(root().join("ffi/abi/program.c")).unwrap();
    let include = format!("-I{}", header.parent().unwrap().display());
    let library = prefix().join("lib/libshmirror.so");
    compile(name, header, &text, &[&include, library.to_str().unwrap()]).unwrap()
}

/// Copies a file or folder; what is the same already keeps its time, and cargo its work.
fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let name = entry.unwrap().file_name();
            copy(&from.join(&name), &to.join(&name));
        }
    } else {
        write(to, std::fs::read(from).unwrap());
    }
}

fn write(to: &Path, text: Vec<u8>) {
    if std::fs::read(to).ok().as_ref() != Some(&text) {
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(to, text).unwrap();
    }
}

/// The folder with a library of the next minor version.
fn next() -> (PathBuf, String) {
    let minor: u32 = MINOR.parse().unwrap();
    let version = format!("{MAJOR}.{}.0", minor + 1);
    let build = root().join("target/next-minor");
    let source = build.join("source");
    let members = ["engine/shm", "engine/client", "ffi"];
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let manifest: String = manifest
        .lines()
        .map(|line| match line {
            line if line.starts_with("members = ") => format!("members = {members:?}\n"),
            line if line.starts_with("default-members = ") => String::new(),
            line if line == format!("version = \"{VERSION}\"") => {
                format!("version = \"{version}\"\n")
            }
            line => format!("{line}\n"),
        })
        .collect();
    assert!(manifest.contains(&version), "no version in {manifest}");
    write(&source.join("Cargo.toml"), manifest.into_bytes());
    for member in members {
        let (from, to) = (root().join(member), source.join(member));
        let manifest = std::fs::read_to_string(from.join("Cargo.toml")).unwrap();
        // Tests and what they depend on stay behind.
        let mut kept = true;
        let manifest: String = manifest
            .lines()
            .filter(|line| {
                let test = ["[dev-dependencies", "[[test", "[[bench", "[[example"];
                if line.starts_with('[') {
                    kept = !test.iter().any(|section| line.starts_with(section));
                }
                kept
            })
            .map(|line| format!("{line}\n"))
            .collect();
        write(&to.join("Cargo.toml"), manifest.into_bytes());
        copy(&from.join("src"), &to.join("src"));
    }
    copy(&root().join("ffi/build.rs"), &source.join("ffi/build.rs"));
    // The same dependencies; cargo strikes out those that are not needed.
    let lock = std::fs::read(root().join("Cargo.lock")).unwrap();
    let origin = build.join("Cargo.lock");
    if std::fs::read(&origin).ok().as_ref() != Some(&lock) {
        write(&source.join("Cargo.lock"), lock.clone());
        write(&origin, lock);
    }
    run(Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--offline", "-p", "shmirror-ffi", "--target-dir"])
        .arg(build.join("target"))
        // The workspace optimises its dependencies, which takes four times as long.
        .args(["--config", "profile.dev.package.\"*\".opt-level=0"])
        .current_dir(&source)
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_INCREMENTAL", "0")
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("RUSTFLAGS"));
    let library = build.join("lib");
    copy(
        &build.join("target/debug/libshmirror_ffi.so"),
        &library.join(format!("libshmirror.so.{MAJOR}")),
    );
    (library, version)
}

#[test]
fn a_program_of_an_older_version_runs_on_newer_libraries() {
    let instance = program::instance();
    instance.sql("CREATE TABLE pump(id INTEGER PRIMARY KEY, state TEXT, flow REAL)");
    instance.sql("INSERT INTO pump VALUES (7, 'run', 12.5)");
    let (next, next_version) = next();
    for (i, header) in frozen().iter().enumerate() {
        let program = program(&format!("abi-program-{i}"), header);
        let on = |library: &Path| {
            run(Command::new(&program)
                .env("SHMIRROR_SOCKET", instance.socket())
                .env("LD_LIBRARY_PATH", library))
        };
        assert_eq!(on(&prefix().join("lib")), format!("{VERSION} id 7 state run flow 12.5\n"));
        assert_eq!(on(&next), format!("{next_version} id 7 state run flow 12.5\n"));
    }
}

#[test]
fn a_program_of_a_newer_version_is_refused() {
    let minor: u32 = MINOR.parse().unwrap();
    let header = output().join("newer/shmirror.h");
    let text = std::fs::read_to_string(current()).unwrap();
    let own = format!("#define SHMIRROR_VERSION_MINOR {minor}\n");
    assert!(text.contains(&own), "{own} is not in the header");
    let newer = format!("#define SHMIRROR_VERSION_MINOR {}\n", minor + 1);
    write(&header, text.replace(&own, &newer).into_bytes());
    let ran = Command::new(program("abi-newer", &header))
        .env("LD_LIBRARY_PATH", prefix().join("lib"))
        .output()
        .unwrap();
    let error = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(22), "{error}");
    let told = format!("is {VERSION}, the program was built for {MAJOR}.{}", minor + 1);
    assert!(error.starts_with("SHMIRROR_VERSION: ") && error.contains(&told), "{error}");
}
