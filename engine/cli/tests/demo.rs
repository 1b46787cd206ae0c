//! The demo from end to end: real processes, real series, no torn read, no event lost.

mod common;

#[test]
fn the_demo_proves_what_it_says() {
    let out = common::run(&["demo", "--seconds", "1"]).ok();
    for expected in [
        "loaded machine_temperature: 22,695 rows",
        "loaded suction_pressure: 4,412 rows",
        "loaded volume_flow: 1,061 rows",
        "read latency p50 / p99 / p99.9",
        "write to visible",
        "events delivered",
        "shmirror serve",
    ] {
        assert!(out.contains(expected), "{expected:?} is missing in\n{out}");
    }
    let torn = out.lines().find(|l| l.starts_with("torn reads")).unwrap();
    assert!(torn.split_whitespace().nth(2) == Some("0"), "{torn}");
    let events = out.lines().find(|l| l.starts_with("events delivered")).unwrap();
    let words: Vec<&str> = events.split_whitespace().collect();
    assert_eq!(words[2], words[4], "{events}");
}
