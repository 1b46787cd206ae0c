//! The clock that all processes of the host share: heartbeats and deadlines are counted in it.

/// `CLOCK_MONOTONIC` in nanoseconds. It takes some of them, and no system call.
///
/// By way of the C library: rustix looks for the kernel's vDSO itself, and takes the process down where a
/// tool has unmapped that, as valgrind does (bytecodealliance/rustix#1559).
pub fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it writes to the structure that it is given. It cannot fail: every Linux has this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    (now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    #[test]
    fn it_is_the_clock_of_instants() {
        let (instant, ns) = (Instant::now(), super::monotonic_ns());
        std::thread::sleep(Duration::from_millis(2));
        let passed = Duration::from_nanos(super::monotonic_ns() - ns);
        assert!(passed >= Duration::from_millis(2) && passed <= instant.elapsed());
    }
}
