//! Lanes with peers that are made up; memory and doorbells are real.

use shmirror_shm::Region;
use shmirror_shm::catalogue::Catalogue;
use shmirror_shm::lane::{RequestKind, RequestsProducer};

use super::*;

fn peer(uid: u32) -> Peer {
    Peer { pid: 1, uid, groups: [].into(), pid_namespace: 1 }
}

fn asker<'a>(peer: &'a Peer, rights: &'a Rights, connection: u64) -> Asker<'a> {
    Asker { peer, rights, said: peer.pid, connection }
}

fn attach(lanes: &mut Lanes, peer: &Peer, connection: u64) -> Reply {
    lanes.attach(asker(peer, &Rights::all(), connection))
}

fn retire(lanes: &mut Lanes, peer: &Peer, id: u64, connection: u64) -> Reply {
    lanes.retire(asker(peer, &Rights::all(), connection), id)
}

fn id_of(reply: &Reply) -> Option<u64> {
    match reply.0 {
        Answer::Lane { lane, .. } => Some(lane),
        _ => None,
    }
}

fn lanes() -> Lanes {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    Lanes::new(64 << 10, Arc::new(epoll))
}

/// Doorbells that the set has.
fn watched(lanes: &Lanes) -> usize {
    let fd = std::os::fd::AsRawFd::as_raw_fd(&*lanes.epoll);
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap();
    info.lines().filter(|line| line.starts_with("tfd")).count()
}

#[test]
fn who_has_lanes_retired_again_and_again_gets_no_more_and_keeps_little() {
    let mut lanes = lanes();
    let mut reply = attach(&mut lanes, &peer(1), 1);
    let (mut kept, mut made) = (Vec::new(), 0);
    let refused = loop {
        let Some(id) = id_of(&reply) else { break reply.0 };
        made += 1;
        kept.append(&mut reply.1);
        reply = retire(&mut lanes, &peer(1), id, 1);
    };
    assert!(matches!(refused, Answer::Refused { code: RefuseCode::Limit, .. }), "{refused:?}");
    // Some more may have come meanwhile.
    assert!((AT_ONCE..AT_ONCE + 20).contains(&made), "{made}");
    // The present one is not taken away where no other can be had.
    assert_eq!(lanes.lanes.iter().filter(|l| !l.retired).count(), 1);
    assert_eq!(watched(&lanes), 1);
    let held = |kept: &[OwnedFd]| -> u64 {
        kept.iter().map(|fd| rustix::fs::fstat(fd).unwrap().st_blocks as u64 * 512).sum()
    };
    let (header, table, ring) = (4 << 10, 1 << 20, 64 << 10);
    let most = u64::from(made) * (header + table) + ring;
    assert!(held(&kept) <= most, "{} of {most}", held(&kept));
    for (since, _) in &mut lanes.done {
        *since -= KEEP + Duration::from_secs(1);
    }
    lanes.expire();
    let most = u64::from(made) * header + table + ring;
    assert!(held(&kept) <= most, "{} of {most}", held(&kept));
    // Others are not concerned, and after a while nor is who did it.
    assert!(id_of(&attach(&mut lanes, &peer(2), 2)).is_some());
    lanes.allowances.values_mut().for_each(|a| a.since -= ONE_MORE * 2);
    let id = lanes.lanes[0].id;
    assert!(id_of(&retire(&mut lanes, &peer(1), id, 1)).is_some_and(|fresh| fresh != id));
}

#[test]
fn a_lane_for_each_owner_up_to_the_limit() {
    let mut lanes = lanes();
    let first = id_of(&attach(&mut lanes, &peer(0), 0)).unwrap();
    assert_eq!(id_of(&attach(&mut lanes, &peer(0), 1)), Some(first));
    let other_namespace = Peer { pid_namespace: 2, ..peer(0) };
    let second = id_of(&attach(&mut lanes, &other_namespace, 2)).unwrap();
    assert_ne!(second, first);
    for uid in 1..limits::LANES as u32 - 1 {
        assert!(id_of(&attach(&mut lanes, &peer(uid), 10 + u64::from(uid))).is_some());
    }
    let refused = attach(&mut lanes, &peer(9_999), 999);
    assert!(matches!(refused.0, Answer::Refused { code: RefuseCode::Limit, .. }));
    // The lane of an owner that is gone makes room; that of one who is there never does.
    lanes.detached(2);
    assert!(id_of(&attach(&mut lanes, &peer(9_999), 999)).is_some());
    assert_eq!(id_of(&attach(&mut lanes, &peer(0), 3)), Some(first));
    let refused = attach(&mut lanes, &peer(10_000), 1_000);
    assert!(matches!(refused.0, Answer::Refused { code: RefuseCode::Limit, .. }));
}

#[test]
fn once_closed_there_are_no_lanes() {
    let mut lanes = lanes();
    let id = id_of(&attach(&mut lanes, &peer(0), 0)).unwrap();
    lanes.close();
    assert!(!lanes.is_live(id));
    for reply in [attach(&mut lanes, &peer(0), 0), retire(&mut lanes, &peer(0), id, 0)] {
        assert!(matches!(reply.0, Answer::Refused { code: RefuseCode::Stopping, .. }));
    }
}

#[test]
fn nobody_retires_the_lane_of_another() {
    let mut lanes = lanes();
    let mine = id_of(&attach(&mut lanes, &peer(1), 1)).unwrap();
    let theirs = id_of(&retire(&mut lanes, &peer(2), mine, 2)).unwrap();
    assert_ne!(theirs, mine);
    assert!(lanes.is_live(mine));
    let fresh = id_of(&retire(&mut lanes, &peer(1), mine, 1)).unwrap();
    assert!(fresh != mine && !lanes.is_live(mine));
}

/// The producers' side of a lane that was handed out.
fn producer(reply: Reply) -> (Arc<Region>, RequestsProducer) {
    let Answer::Lane { bytes, .. } = reply.0 else { panic!("{:?}", reply.0) };
    let [memory, bell]: [OwnedFd; 2] = reply.1.try_into().unwrap();
    let region = Arc::new(Region::map_read_write(memory, bytes).unwrap());
    let producer = RequestsProducer::open(Arc::clone(&region), bell).unwrap();
    (region, producer)
}

/// Puts a record into the lane that says that it is of `claim`, the `nth` that is put there.
fn put(region: &Region, producer: &RequestsProducer, nth: u64, claim: u32) {
    let soon = Instant::now() + Duration::from_secs(20);
    producer.submit(RequestKind::REQUEST, b"", soon).unwrap();
    let at = shmirror_shm::lane::layout::REQUESTS_RING
        + (nth - 1) * size_of::<RequestHeader>() as u64
        + std::mem::offset_of!(RequestHeader, pid) as u64;
    let pid = region.word32(at).unwrap();
    assert_eq!(pid.load(std::sync::atomic::Ordering::Relaxed), std::process::id());
    pid.store(claim, std::sync::atomic::Ordering::Relaxed);
}

fn pids(lanes: &mut Lanes) -> Vec<u32> {
    let mut taken = Vec::new();
    lanes.take(100, 1 << 20, &mut taken);
    taken.iter().map(|raw: &Raw| raw.pid).collect()
}

#[test]
fn who_made_a_request_is_told_by_the_lane_and_not_by_the_record() {
    let mut lanes = lanes();
    let process = |pid| Peer { pid, ..peer(7) };
    let (region, lane) = producer(attach(&mut lanes, &process(500), 1));
    // The only process that has the lane, whatever it claims.
    put(&region, &lane, 1, 1);
    put(&region, &lane, 2, 600);
    put(&region, &lane, 3, u32::MAX);
    assert_eq!(pids(&mut lanes), [500, 500, 500]);
    attach(&mut lanes, &process(600), 2);
    put(&region, &lane, 4, 600);
    put(&region, &lane, 5, 500);
    put(&region, &lane, 6, 1);
    assert_eq!(pids(&mut lanes), [600, 500, 0]);
    // It has gone, and what it submitted is still there.
    put(&region, &lane, 7, 600);
    lanes.detached(2);
    put(&region, &lane, 8, 500);
    assert_eq!(pids(&mut lanes), [600, 500]);
    put(&region, &lane, 9, 600);
    assert_eq!(pids(&mut lanes), [0]);
}

#[test]
fn requests_may_do_what_their_lane_may() {
    let mut lanes = lanes();
    let (less, more) = (Rights::of(&[1], &[2], false), Rights::of(&[1], &[1, 2], false));
    let peer = peer(7);
    let lane_of = |lanes: &mut Lanes, rights: &Rights, connection| {
        let reply = lanes.attach(asker(&peer, rights, connection));
        (id_of(&reply).unwrap(), producer(reply))
    };
    let (first, (region, lane)) = lane_of(&mut lanes, &less, 1);
    let (second, _) = lane_of(&mut lanes, &more, 2);
    assert_ne!(first, second);
    assert_eq!(lane_of(&mut lanes, &less, 3).0, first);
    put(&region, &lane, 1, 1);
    let mut taken = Vec::new();
    lanes.take(100, 1 << 20, &mut taken);
    assert_eq!((taken[0].lane, &*taken[0].rights), (first, &less));
    // Who may do less sees nothing of the lane that may do more, and cannot end it.
    let shown = |rights: &Rights| lanes.status(Some((7, rights))).as_array().unwrap().len();
    assert_eq!((shown(&less), shown(&more)), (1, 2));
    assert_eq!(lanes.status(Some((8, &more))).as_array().unwrap().len(), 0);
    assert_eq!(lanes.status(None).as_array().unwrap().len(), 2);
    assert_eq!(id_of(&lanes.retire(asker(&peer, &less, 1), second)), Some(first));
    assert!(lanes.is_live(second));
    assert_eq!(id_of(&lanes.retire(asker(&peer, &more, 2), first)), Some(second));
    assert!(lanes.lanes.iter().all(|l| l.id != first || l.retired));
}

#[test]
fn a_lane_ends_with_the_right_of_any_who_had_it() {
    let rules = |text: &str| {
        let file = std::path::Path::new("/d/c");
        let config = crate::Config::parse("/d", file, text).unwrap();
        let mut catalogue = Catalogue::default();
        config.namespaces.keys().for_each(|name| _ = catalogue.add_namespace(name));
        Rules::resolve(&config, 1000, &catalogue).unwrap()
    };
    let before = rules("[namespaces.plant]\nwriters = ['group:50', 'group:60']");
    let member = |group| Peer { groups: [group].into(), ..peer(7) };
    let mut lanes = lanes();
    let lane_of = |lanes: &mut Lanes, peer: &Peer, connection| {
        let rights = before.rights(peer);
        assert!(rights.may_write(1));
        id_of(&lanes.attach(asker(peer, &rights, connection))).unwrap()
    };
    let shared = lane_of(&mut lanes, &member(50), 1);
    assert_eq!(lane_of(&mut lanes, &member(60), 2), shared);
    let other = lane_of(&mut lanes, &Peer { uid: 8, ..member(60) }, 3);
    // It has gone, and may have the lane mapped still.
    lanes.detached(1);
    assert_eq!(lanes.enforce(&before), [0; 0]);
    assert_eq!(lanes.enforce(&rules("[namespaces.plant]\nwriters = ['group:60']")), [shared]);
    assert!(!lanes.is_live(shared) && lanes.is_live(other));
    // Who may only read from now on has no lane.
    let readers = "[namespaces.plant]\nreaders = ['group:60']";
    assert_eq!(lanes.enforce(&rules(readers)), [other]);
}
