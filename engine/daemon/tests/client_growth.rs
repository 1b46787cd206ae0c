//! A segment grows beyond its reserve: every handle moves over to the next generation.

#[path = "client_common/mod.rs"]
mod common;

use std::sync::atomic::{AtomicBool, Ordering};

use common::{LONG, Place, until};
use serde_json::json;
use shmirror::{Event, Subscriber};

#[test]
fn handles_move_over_while_everything_goes_on() {
    let mut place = Place::new(|config| config.segment.reserve = Some(4 << 20));
    place.start();
    let producer = place.producer();
    producer
        .execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER, s TEXT); INSERT INTO t VALUES (0, 0, '')")
        .unwrap();
    let mirror = place.mirror();
    let (table, generation) = (mirror.table("t").unwrap(), mirror.generation());
    let cell = table.cell(0, "v").unwrap();
    let mut subscriber = Subscriber::builder(&place.options()).subscribe().unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut reads, mut newest) = (0u64, 0);
            while !stop.load(Ordering::Relaxed) {
                let value = cell.i64().unwrap();
                let row = table.get(0).unwrap().expect("it is there all the time");
                assert!(value >= newest && row.get::<i64>("v").unwrap() >= value);
                assert!(mirror.committed_at().is_some(), "it moves over with the segment");
                newest = value;
                // A cell may be one group ahead of a scan, which is as of a whole group's end.
                if reads % 100 == 0 {
                    assert!(table.scan().unwrap().len() >= newest as usize);
                }
                reads += 1;
            }
            (reads, newest)
        });
        let text = "x".repeat(12_000);
        for id in 1..=500i64 {
            let insert =
                producer.begin().insert("t", &json!({"id": id, "v": 0, "s": text})).unwrap();
            let both = insert.update("t", 0, &json!({"v": id})).unwrap();
            both.commit().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        let (reads, newest) = reader.join().unwrap();
        assert!(reads > 0 && newest <= 500);
    });
    assert!(mirror.generation() > generation, "it grew");
    until("the end's arrival", || cell.i64() == Ok(500));
    let mut lagged = 0;
    let mut last = 0;
    while let Some(event) = subscriber.next(std::time::Duration::from_millis(200)).unwrap() {
        match event {
            Event::Lagged { first_revision, .. } => {
                lagged += 1;
                assert!(lagged == 1);
                subscriber.resume_from(first_revision).unwrap();
            }
            event => last = event.revision(),
        }
    }
    assert_eq!(last, mirror.revision());
    place.stop();
    place.start();
    until("reattaching", || mirror.is_live());
    assert_eq!((cell.i64(), table.len()), (Ok(500), 501));
    assert_eq!(mirror.committed_at(), None, "nothing was committed in this life of the daemon");
    producer.with_timeout(LONG).update("t", 0, &json!({"v": -1})).unwrap();
    assert_eq!(cell.i64(), Ok(-1));
}
