use super::*;

/// A sound run: two transactions, a rejected one, a delete; a reader and a second subscriber.
fn sound() -> (Vec<Said>, BTreeMap<i64, (i64, i64)>) {
    let first = first_of(1, 0);
    let mut said = vec![
        Said::Try { who: 1, n: 1, group: 0, deletes: false },
        Said::Ok { who: 1, n: 1, revision: 2, micros: 5 },
        Said::Try { who: 1, n: 2, group: 0, deletes: false },
        Said::No { who: 1, n: 2 },
        Said::Try { who: 1, n: 3, group: 1, deletes: false },
        Said::Ok { who: 1, n: 3, revision: 3, micros: 5 },
        Said::Try { who: 1, n: 4, group: 1, deletes: true },
        Said::Ok { who: 1, n: 4, revision: 4, micros: 5 },
    ];
    let writes = |revision, group, n: Option<i64>| {
        let first = first_of(1, group);
        (first..first + GROUP).map(move |id| (revision, id, n))
    };
    let all = writes(2, 0, Some(1)).chain(writes(3, 1, Some(3))).chain(writes(4, 1, None));
    for (revision, id, n) in all {
        for to in [0, 7] {
            said.push(Said::Change { to, revision, id, who: 1, n });
        }
    }
    said.push(Said::Through { to: 0, revision: 4 });
    let digest = (first..first + GROUP).map(|id| digest(id, 1, 1)).fold(0, u64::wrapping_add);
    said.push(Said::Scan { reader: 0, revision: 4, digest, rows: 4 });
    said.push(Said::Group { reader: 0, revision: 4, first, n: vec![Some(1); 4] });
    said.push(Said::Newest { reader: 0, id: first, n: 1, revision: 2 });
    (said, (first..first + GROUP).map(|id| (id, (1, 1))).collect())
}

fn checked(said: &[Said], tables: &BTreeMap<i64, (i64, i64)>) -> Row {
    let mut row = Row { injected: 1, ..Row::of("test") };
    check(said, 0, tables, &mut row);
    row
}

#[test]
fn a_sound_run_is_good() {
    let (said, tables) = sound();
    let row = checked(&said, &tables);
    assert!(row.is_good(), "{row:?}");
}

/// Changes a sound run; the checker must see it.
#[track_caller]
fn seen(what: &str, change: impl FnOnce(&mut Vec<Said>, &mut BTreeMap<i64, (i64, i64)>)) -> Row {
    let (mut said, mut tables) = sound();
    change(&mut said, &mut tables);
    let row = checked(&said, &tables);
    assert!(!row.is_good(), "not seen: {what}");
    row
}

#[test]
fn whatever_is_wrong_is_seen() {
    let place = |said: &[Said], is: &dyn Fn(&Said) -> bool| said.iter().position(is).unwrap();
    let told = |to, revision| move |s: &Said| matches!(s, Said::Change { to: t, revision: r, .. } if *t == to && *r == revision);
    seen("an acknowledged write that is lost", |said, tables| {
        said.retain(|s| !matches!(s, Said::Change { revision: 2, .. }));
        tables.clear();
    });
    seen("a table that is not as told", |_, tables| _ = tables.pop_first());
    seen("a row that nobody told of", |_, tables| _ = tables.insert(900, (1, 1)));
    seen("an event that is lost to all", |said, _| {
        said.retain(
            |s| !matches!(s, Said::Change { revision: 3, id, .. } if *id == first_of(1, 1)),
        );
    });
    seen("an event that is lost to one", |said, _| {
        let at = place(said, &told(7, 3));
        said.remove(at);
    });
    seen("an event that is doubled", |said, _| {
        let at = place(said, &told(7, 3));
        said.insert(at, said[at].clone());
    });
    seen("an event that is doubled for all", |said, _| {
        let at = place(said, &told(0, 3));
        said.insert(at, said[at].clone());
    });
    seen("events out of order", |said, _| {
        let (a, b) = (place(said, &told(7, 2)), place(said, &told(7, 4)));
        said.swap(a, b);
    });
    seen("a rejected write that is there", |said, _| {
        said.push(Said::No { who: 1, n: 1 });
    });
    seen("a write that nobody submitted", |said, _| _ = said.remove(0));
    seen("a revision that is given twice", |said, _| {
        said.push(Said::Ok { who: 1, n: 1, revision: 3, micros: 1 });
    });
    let torn = seen("a scan of no revision", |said, _| {
        said.push(Said::Scan { reader: 1, revision: 3, digest: 1, rows: 8 });
    });
    assert_eq!((torn.torn.len(), torn.lost.len()), (1, 0));
    seen("a group of two revisions", |said, _| {
        let n = vec![Some(1), Some(1), Some(1), None];
        said.push(Said::Group { reader: 1, revision: 4, first: first_of(1, 0), n });
    });
    seen("a row that no revision wrote", |said, _| {
        said.push(Said::Newest { reader: 1, id: first_of(1, 0), n: 9, revision: 2 });
    });
    seen("a reader that goes back", |said, _| {
        said.push(Said::Scan { reader: 0, revision: 1, digest: 0, rows: 0 });
    });
    let hung = seen("somebody who hangs", |said, _| {
        said.push(Said::Hung { what: "a put".to_owned(), micros: 900_000 });
    });
    assert_eq!(hung.hung.len(), 1);
}

#[test]
fn who_lags_is_excused_for_what_it_was_told_of_and_for_nothing_else() {
    let (said, tables) = sound();
    let lagging = |from| {
        let mut said = said.clone();
        said.retain(|s| !matches!(s, Said::Change { to: 7, revision: 3, .. }));
        let at =
            said.iter().position(|s| matches!(s, Said::Change { to: 7, revision: 4, .. })).unwrap();
        said.insert(at, Said::Lagged { to: 7, first_revision: from });
        checked(&said, &tables)
    };
    assert!(lagging(3).is_good(), "{:?}", lagging(3));
    assert!(!lagging(4).is_good());
}
