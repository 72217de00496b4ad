//! Scans, with hosts that are made up.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use port_scan::{Attempt, Came, Ports, Scan};
use proptest::prelude::*;
use rustix::io::Errno;

const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn ports(text: &str) -> Ports {
    text.parse().expect("ports")
}

fn scan(text: &str, limit: usize, retries: u32) -> Scan {
    Scan::new(HOST, &ports(text), limit, retries)
}

/// A connection from a port of its own: port 0, which no scan tries.
fn connected() -> Came {
    Came::of(Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))))
}

fn failed(error: impl Into<io::Error>) -> Came {
    Came::of(Err(error.into()))
}

fn no_room() -> Came {
    failed(Errno::MFILE)
}

#[test]
fn each_answer_has_its_state() {
    let mut scan = scan("1-6", 6, 0);
    let answers = [
        connected(),
        failed(ErrorKind::ConnectionRefused),
        failed(Errno::CONNREFUSED),
        failed(ErrorKind::TimedOut),
        failed(Errno::TIMEDOUT),
        failed(Errno::ACCESS),
    ];
    let attempts: Vec<_> = std::iter::from_fn(|| scan.next_attempt()).collect();
    for (attempt, came) in attempts.into_iter().zip(answers) {
        scan.came(attempt, came);
    }
    let found = scan.found();
    assert_eq!(found.open, [1]);
    assert_eq!(found.closed, [2, 3]);
    assert_eq!(found.filtered, [4, 5]);
    assert_eq!(found.failed[0].port, 6);
    assert!(found.failed[0].reason.contains("ermission denied"));
    assert_eq!((found.attempts, found.most_at_once), (6, 6));
}

/// tokio-rs/tokio#3405: a socket that is connected to itself.
#[test]
fn a_port_that_has_connected_to_itself_is_closed() {
    for (local, is_open) in [
        ("127.0.0.1:4000", false),
        ("127.0.0.1:4001", true),
        ("127.0.0.2:4000", true),
    ] {
        let mut scan = scan("4000", 1, 1);
        let attempt = scan.next_attempt().expect("the port");
        scan.came(attempt, Came::of(Ok(local.parse().expect("an address"))));
        assert_eq!(scan.found().open.len(), usize::from(is_open), "{local}");
        assert_eq!(scan.found().closed.len(), usize::from(!is_open), "{local}");
        assert!(scan.next_attempt().is_none());
    }
}

#[test]
fn a_silent_port_is_tried_again_and_an_answer_counts() {
    let mut scan = scan("7,9", 1, 2);
    let mut tried = Vec::new();
    while let Some(attempt) = scan.next_attempt() {
        tried.push(attempt.address().port());
        let answers = tried.iter().filter(|port| **port == 9).count() == 2;
        let came = match attempt.address().port() {
            9 if answers => connected(),
            _ => failed(ErrorKind::TimedOut),
        };
        scan.came(attempt, came);
    }
    assert_eq!(tried.iter().filter(|port| **port == 7).count(), 3);
    assert_eq!(tried.iter().filter(|port| **port == 9).count(), 2);
    assert_eq!(
        (&scan.found().open, &scan.found().filtered),
        (&vec![9], &vec![7])
    );
}

#[test]
fn no_room_lowers_the_limit_to_what_there_is_room_for() {
    let mut scan = scan("1-10", 5, 0);
    let mut attempts: Vec<_> = std::iter::from_fn(|| scan.next_attempt()).collect();
    assert_eq!(attempts.len(), 5);
    let without_room = attempts.split_off(3);
    for attempt in without_room {
        scan.came(attempt, no_room());
        assert!(
            scan.next_attempt().is_none(),
            "as many are under way as there is room for"
        );
    }
    assert_eq!(scan.found().lowered, 2);
    while let Some(attempt) = attempts.pop() {
        scan.came(attempt, failed(ErrorKind::ConnectionRefused));
        attempts.extend(scan.next_attempt());
        assert!(attempts.len() <= 3);
    }
    assert_eq!(scan.found().closed.len(), 10);
    assert_eq!(
        scan.found().attempts,
        10,
        "those without room are not counted"
    );
}

/// It is not tried without end.
#[test]
fn a_port_that_there_is_never_room_for_has_failed() {
    for errno in [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
        Errno::ADDRNOTAVAIL,
    ] {
        let mut scan = scan("1-2", 8, 5);
        while let Some(attempt) = scan.next_attempt() {
            scan.came(attempt, failed(errno));
        }
        assert_eq!(scan.found().failed.len(), 2, "{errno}");
    }
}

#[test]
fn a_stopped_scan_takes_what_is_under_way() {
    let mut scan = scan("1-9", 4, 3);
    let attempts: Vec<_> = std::iter::from_fn(|| scan.next_attempt()).collect();
    scan.stop();
    let answers = [
        connected(),
        no_room(),
        failed(ErrorKind::TimedOut),
        connected(),
    ];
    for (attempt, came) in attempts.into_iter().zip(answers) {
        scan.came(attempt, came);
        assert!(scan.next_attempt().is_none());
    }
    assert_eq!(scan.found().open, [1, 4]);
    assert_eq!(scan.found().ports(), 2, "of the others nothing is known");
}

#[test]
fn what_was_taken_adds_up() {
    let mut scan = scan("1-9", 3, 0);
    let mut sum = port_scan::Found::default();
    let mut under_way = VecDeque::new();
    loop {
        under_way.extend(std::iter::from_fn(|| scan.next_attempt()));
        let Some(attempt) = under_way.pop_front() else {
            break;
        };
        scan.came(attempt, connected());
        sum.add(scan.take_found());
    }
    assert_eq!(sum.open, (1..=9).collect::<Vec<_>>());
    assert_eq!((sum.attempts, sum.most_at_once), (9, 3));
}

/// How a made-up host answers at a port: so often with nothing, then so.
#[derive(Debug, Clone, Copy)]
struct Behaviour {
    silent: u32,
    is_open: bool,
}

proptest! {
    /// Whatever comes in whatever order: each port gets the state that its answers have, no more
    /// are under way than may be, none is tried too often, and units may end when there is none
    /// next.
    #[test]
    fn any_order_gives_the_same_states(
        behaviours in prop::collection::btree_map(
            1..=u16::MAX,
            (0..4u32, any::<bool>()).prop_map(|(silent, is_open)| Behaviour { silent, is_open }),
            1..60,
        ),
        limit in 1..9usize,
        retries in 0..3u32,
        room in 1..9usize,
        order in prop::collection::vec(any::<prop::sample::Index>(), 1..400),
    ) {
        let all: Ports = behaviours.keys().copied().collect();
        let mut scan = Scan::new(HOST, &all, limit, retries);
        // A unit each, with what it tries; one that gets nothing ends.
        let mut units: Vec<(Attempt, bool)> = Vec::new();
        let mut tries: BTreeMap<u16, u32> = BTreeMap::new();
        let start = |attempt: Attempt, units: &mut Vec<(Attempt, bool)>| {
            let has_room = units.len() < room;
            units.push((attempt, has_room));
        };
        for _ in 0..limit {
            if let Some(attempt) = scan.next_attempt() {
                start(attempt, &mut units);
            }
        }
        let mut order = order.iter().cycle();
        while !units.is_empty() {
            prop_assert!(units.len() <= limit);
            let index = order.next().expect("an endless one").index(units.len());
            let (attempt, has_room) = units.swap_remove(index);
            let port = attempt.address().port();
            let came = if has_room || units.is_empty() {
                let tried = tries.entry(port).or_default();
                *tried += 1;
                let Behaviour { silent, is_open } = behaviours[&port];
                match (*tried > silent, is_open) {
                    (false, _) => failed(ErrorKind::TimedOut),
                    (true, true) => connected(),
                    (true, false) => failed(ErrorKind::ConnectionRefused),
                }
            } else {
                no_room()
            };
            scan.came(attempt, came);
            if let Some(attempt) = scan.next_attempt() {
                start(attempt, &mut units);
            }
        }
        let found = scan.found();
        prop_assert_eq!(found.ports(), behaviours.len());
        prop_assert!(found.failed.is_empty());
        prop_assert_eq!(found.attempts, tries.values().map(|tried| u64::from(*tried)).sum::<u64>());
        prop_assert!(tries.values().all(|tried| *tried <= retries + 1));
        let filtered = |behaviour: &Behaviour| behaviour.silent > retries;
        let of = |is_of: &dyn Fn(&Behaviour) -> bool| -> BTreeSet<u16> {
            let ports = behaviours.iter().filter(|(_, behaviour)| is_of(behaviour));
            ports.map(|(port, _)| *port).collect()
        };
        let got = |ports: &[u16]| ports.iter().copied().collect::<BTreeSet<_>>();
        prop_assert_eq!(got(&found.filtered), of(&filtered));
        prop_assert_eq!(got(&found.open), of(&|at| !filtered(at) && at.is_open));
        prop_assert_eq!(got(&found.closed), of(&|at| !filtered(at) && !at.is_open));
    }
}
