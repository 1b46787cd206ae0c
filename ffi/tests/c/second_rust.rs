//! Another library that is written in Rust, for a program that links both archives.

/// Whether a panic was caught in a thread of its own.
#[unsafe(no_mangle)]
pub extern "C" fn second_rust_panics() -> i32 {
    let caught = std::thread::spawn(|| {
        std::panic::set_hook(Box::new(|_| {}));
        std::panic::catch_unwind(|| std::env::var("no such variable").unwrap()).is_err()
    });
    i32::from(caught.join().unwrap())
}
