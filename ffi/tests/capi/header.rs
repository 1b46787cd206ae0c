//! The committed header is the one that the source makes.

#[path = "../../header/generate.rs"]
mod generate;

#[test]
fn the_committed_header_is_current() {
    let path = generate::path();
    let committed = std::fs::read_to_string(&path).expect("include/shmirror.h");
    let made = generate::header();
    if let Some((line, (found, expected))) =
        committed.lines().zip(made.lines()).enumerate().find(|(_, (a, b))| a != b)
    {
        let line = line + 1;
        panic!("include/shmirror.h:{line}: found {found:?}, expected {expected:?}: `make header`");
    }
    assert_eq!(committed, made, "include/shmirror.h has another length: `make header`");
}
