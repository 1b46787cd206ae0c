//! Writes `include/shmirror.h`, made from the library's source: `make header`.

#[path = "../header/generate.rs"]
mod generate;

fn main() {
    let path = generate::path();
    if let Err(e) = std::fs::write(&path, generate::header()) {
        eprintln!("{}: {e}", path.display());
        std::process::exit(1);
    }
}
