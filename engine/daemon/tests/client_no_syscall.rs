//! `get`, `read` and `cell` make no system call: shown by a thread that gives system calls up
//! (seccomp's strict mode, in which the kernel kills it at the first one but read, write and exit),
//! then reads a million times. As an allocation that needs memory is a system call too, this also
//! bounds what the reads allocate; `no_allocation.rs` counts them exactly.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use shmirror::{Mirror, Options, Producer, Row};
use shmirror_daemon::{Config, Daemon};

const READS: u64 = 1_000_000;

/// Runs `work` on a thread, after `warm`, in strict mode; how many steps it had done when it ended or
/// was killed.
fn without_system_calls(
    warm: impl FnOnce() + Send + 'static,
    work: impl FnOnce(&AtomicU64) + Send + 'static,
) -> u64 {
    let steps = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&steps);
    let thread = std::thread::spawn(move || {
        warm();
        // SAFETY: both calls concern this thread alone. It ends by the bare exit system call, as
        // Rust's own way out of a thread makes others; what it owned is leaked.
        unsafe {
            assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_STRICT), 0);
            work(&counted);
            libc::syscall(libc::SYS_exit, 0);
        }
    });
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut before = (u64::MAX, Instant::now());
    loop {
        let now = steps.load(Ordering::Relaxed);
        if now == READS || Instant::now() > deadline {
            break;
        }
        if now != before.0 {
            before = (now, Instant::now());
        } else if before.1.elapsed() > Duration::from_secs(5) {
            break; // killed: no step for five seconds
        }
        std::thread::yield_now();
    }
    std::mem::forget(thread);
    steps.load(Ordering::Relaxed)
}

fn served(work: impl FnOnce(&Options)) {
    let directory = tempfile::tempdir().unwrap();
    let mut config = Config::default_for(directory.path().join("data"));
    config.instance.socket = Some(directory.path().join("sock"));
    let daemon = Daemon::start(config).unwrap();
    let options = Options::new().socket(daemon.socket());
    let producer = Producer::attach(&options).unwrap();
    producer
        .execute(
            "CREATE TABLE r (id INTEGER PRIMARY KEY, a, b, c, d, e, f, name TEXT);
             WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)
             INSERT INTO r SELECT i, i, i, i, i, i, i, 'row ' || i FROM n",
        )
        .unwrap();
    work(&options);
    daemon.stop().unwrap();
}

#[test]
fn reads_make_no_system_call() {
    served(|options| {
        let mirror = Mirror::attach(options).unwrap();
        let table = mirror.table("r").unwrap();
        let cell = table.cell(7, "c").unwrap();
        let mut row = Row::default();
        assert!(table.read(1, &mut row).unwrap());
        let done = without_system_calls(
            // A thread's first row gets the buffer that serves all its later ones.
            {
                let table = mirror.table("r").unwrap();
                move || assert!(table.get(1).unwrap().is_some())
            },
            move |steps| {
                for i in 0..READS {
                    let key = (i * 7919 % 10_000) as i64;
                    let found = table.get(key).unwrap().unwrap();
                    assert_eq!(found.get_at::<i64>(3).unwrap(), key);
                    assert!(table.read(key, &mut row).unwrap());
                    assert_eq!(cell.i64().unwrap(), 7);
                    steps.fetch_add(1, Ordering::Relaxed);
                }
            },
        );
        assert_eq!(done, READS, "the kernel killed the reader at its first system call");
    });
}

#[test]
fn the_trap_works() {
    let done = without_system_calls(
        || (),
        |steps| {
            steps.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_nanos(1));
            steps.fetch_add(1, Ordering::Relaxed);
        },
    );
    assert_eq!(done, 1);
}
