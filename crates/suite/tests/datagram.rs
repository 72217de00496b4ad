//! That a client of `datagram` counts each number once, whatever a network does, and finds what is
//! no echo.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use suite::datagram::{Job, Outcome, Relayed, Seen, Step, Window};
use suite::{Preset, Workload, WrongAnswer};

/// In milliseconds.
const TIMEOUT: u64 = 20;

fn job(datagrams: u64, window: u64, retries: u64) -> Job {
    let suite::Job::Datagram(job) = Workload::Datagram.job(Preset::Article) else {
        panic!("another job");
    };
    Job {
        datagrams,
        window,
        retries,
        timeout_ms: TIMEOUT,
        run: 1_234,
        ..job
    }
}

/// What becomes of one datagram: after how many milliseconds each echo of it comes.
type Fate = Vec<u64>;

/// A network that has no clock but its own.
struct Network {
    began: Instant,
    now: u64,
    /// When they come, and what.
    echoes: Vec<(u64, Vec<u8>)>,
    fates: Vec<Fate>,
    sent: usize,
    /// Copies that it has made.
    doubled: u64,
}

impl Network {
    fn new(fates: Vec<Fate>) -> Self {
        Self {
            began: Instant::now(),
            now: 0,
            echoes: Vec::new(),
            fates,
            sent: 0,
            doubled: 0,
        }
    }

    fn at(&self, ms: u64) -> Instant {
        self.began + Duration::from_millis(ms)
    }

    fn send(&mut self, datagram: &[u8]) {
        let fate = self.fates[self.sent % self.fates.len()].clone();
        self.sent += 1;
        self.doubled += (fate.len() as u64).saturating_sub(1);
        for delay in fate {
            self.echoes.push((self.now + delay, datagram.to_vec()));
        }
    }

    /// The first echo that comes until then. If none comes, it is then.
    fn receive(&mut self, due: Instant) -> Option<Vec<u8>> {
        let due = due.duration_since(self.began).as_millis() as u64;
        let echoes = self.echoes.iter().enumerate();
        let first = echoes.min_by_key(|(_, (comes, _))| *comes);
        match first.map(|(place, (comes, _))| (place, *comes)) {
            Some((place, comes)) if comes <= due.max(self.now) => {
                self.now = self.now.max(comes);
                Some(self.echoes.remove(place).1)
            }
            _ => {
                self.now = self.now.max(due);
                None
            }
        }
    }
}

/// Has a client talk over this network. Also gives which numbers have been sent how often.
fn talk(job: &Job, network: &mut Network) -> (Outcome, HashMap<Vec<u8>, u64>) {
    let mut window = Window::new(job, 3);
    let mut tries = HashMap::new();
    let mut answered = HashSet::new();
    loop {
        match window.step(network.at(network.now)) {
            Step::Send(datagram) => {
                assert!(!answered.contains(datagram), "it has been answered");
                *tries.entry(datagram.to_vec()).or_insert(0) += 1;
                let datagram = datagram.to_vec();
                network.send(&datagram);
                let open = tries.len() - answered.len();
                let is_within = job.window == 0 || job.retries < 100 || open as u64 <= job.window;
                assert!(is_within, "{open} are in flight");
            }
            Step::Receive(due) => {
                if let Some(echo) = network.receive(due) {
                    window.room()[..echo.len()].copy_from_slice(&echo);
                    window.received(echo.len());
                    answered.insert(echo);
                }
            }
            Step::End => return (window.outcome(), tries),
        }
    }
}

/// Checks an outcome of one client, of which others have seen so much.
fn checked(job: &Job, outcome: Outcome, relay: Relayed) -> Result<(), WrongAnswer> {
    let seen = Seen {
        healthy: true,
        relay,
        ..Seen::default()
    };
    job.check(&Outcome { seen, ..outcome })
}

proptest! {
    #[test]
    fn whatever_a_network_does_each_number_counts_once(
        datagrams in 1u64..40,
        window in 0u64..10,
        retries in prop_oneof![0u64..4, Just(100)],
        fates in prop::collection::vec(prop::collection::vec(0u64..3 * TIMEOUT, 0..3), 1..50),
    ) {
        // With this many retries, one comes through.
        prop_assume!(retries < 100 || fates.iter().any(|fate| !fate.is_empty()));
        let job = job(datagrams, window, retries);
        let mut network = Network::new(fates);
        let (outcome, tries) = talk(&job, &mut network);
        prop_assert_eq!(tries.len() as u64, datagrams);
        let most = if window == 0 { 1 } else { 1 + retries };
        prop_assert!(tries.values().all(|tries| *tries <= most));
        prop_assert_eq!(outcome.tries, tries.values().sum::<u64>());
        prop_assert_eq!(outcome.sent, datagrams);
        prop_assert_eq!(outcome.answered + outcome.lost, datagrams);
        let relay = Relayed {
            doubled: network.doubled,
            unanswered: outcome.lost - outcome.late,
            ..Relayed::default()
        };
        let silent = relay.unanswered;
        prop_assert!(checked(&job, outcome.clone(), relay).is_ok(), "{:?}", outcome);
        // What nothing has dropped is not lost.
        let relay = Relayed { unanswered: silent.saturating_sub(1), ..relay };
        let is_right = checked(&job, outcome, relay).is_ok();
        prop_assert_eq!(is_right, silent == 0 || window == 0);
    }
}

#[test]
fn one_that_is_late_is_sent_again_when_it_is_due() {
    let mut window = Window::new(&job(2, 2, 1), 0);
    let began = Instant::now();
    let at = |ms| began + Duration::from_millis(ms);
    let mut sent = Vec::new();
    for ms in [0, 5] {
        match window.step(at(ms)) {
            Step::Send(datagram) => sent.push(datagram.to_vec()),
            other => panic!("{other:?}"),
        }
    }
    // The first one is due first; and not before.
    for ms in [6, 19] {
        assert!(matches!(window.step(at(ms)), Step::Receive(due) if due == at(20)));
    }
    assert!(matches!(window.step(at(20)), Step::Send(again) if again == sent[0]));
    assert!(matches!(window.step(at(20)), Step::Receive(due) if due == at(25)));
    window.room()[..sent[1].len()].copy_from_slice(&sent[1]);
    window.received(sent[1].len());
    assert!(matches!(window.step(at(30)), Step::Receive(due) if due == at(40)));
    // It is given up, and waited for: a second is more than a timeout.
    assert!(matches!(window.step(at(40)), Step::Receive(due) if due == at(1_040)));
    window.room()[..sent[0].len()].copy_from_slice(&sent[0]);
    window.received(sent[0].len());
    assert!(matches!(window.step(at(50)), Step::End));
    let outcome = window.outcome();
    let counts = [outcome.answered, outcome.lost, outcome.late, outcome.tries];
    assert_eq!(counts, [1, 1, 1, 3]);
}

#[test]
fn what_has_come_is_taken_before_what_is_overdue_is_sent_again() {
    let mut window = Window::new(&job(1, 1, 1), 0);
    let began = Instant::now();
    let Step::Send(datagram) = window.step(began) else {
        panic!("nothing to send");
    };
    let echo = datagram.to_vec();
    // It could not look before.
    let now = began + Duration::from_millis(2 * TIMEOUT);
    assert!(matches!(window.step(now), Step::Receive(due) if due == now));
    window.room()[..echo.len()].copy_from_slice(&echo);
    window.received(echo.len());
    assert!(matches!(window.step(now), Step::End));
    assert_eq!(window.outcome().tries, 1);
}

#[test]
fn without_a_window_what_is_there_is_taken_between_two() {
    let job = job(30, 0, 3);
    let mut network = Network::new(vec![vec![0], vec![], vec![0, 0]]);
    let (outcome, _) = talk(&job, &mut network);
    let counts = [
        outcome.answered,
        outcome.copies,
        outcome.lost,
        outcome.tries,
    ];
    assert_eq!(counts, [20, 10, 10, 30]);
    assert!(network.echoes.is_empty());
}

#[test]
fn what_is_no_echo_is_found() {
    let job = job(2, 1, 0);
    let outcome = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut window = Window::new(&job, 0);
        let Step::Send(sent) = window.step(Instant::now()) else {
            panic!("nothing to send");
        };
        let mut echo = sent.to_vec();
        change(&mut echo);
        // What was received before is still in there, and would pass for it.
        window.room()[..echo.len()].copy_from_slice(&echo);
        window.received(echo.len());
        let Outcome {
            answered,
            stale,
            wrong,
            ..
        } = window.outcome();
        [answered, stale, wrong]
    };
    assert_eq!(outcome(&|_| ()), [1, 0, 0]);
    for bit in 0..64 * 8 {
        let is_run = bit < 64;
        let flip = |echo: &mut Vec<u8>| echo[bit / 8] ^= 1 << (bit % 8);
        let right = if is_run { [0, 1, 0] } else { [0, 0, 1] };
        assert_eq!(outcome(&flip), right, "bit {bit}");
    }
    for bytes in [0, 1, 15, 16, 63, 65] {
        let right = [0, 0, 1];
        assert_eq!(
            outcome(&|echo| echo.resize(bytes, 0)),
            right,
            "{bytes} bytes"
        );
    }
    // A number that has not been sent is no echo, though its bytes are right.
    let mut later = Window::new(&job, 0);
    let mut sent = Vec::new();
    for _ in 0..2 {
        if let Step::Send(datagram) = later.step(Instant::now()) {
            sent = datagram.to_vec();
        }
        later.room()[..sent.len()].copy_from_slice(&sent);
        later.received(sent.len());
    }
    assert_eq!(outcome(&|echo| echo.copy_from_slice(&sent)), [0, 0, 1]);
}

#[test]
fn only_a_right_answer_passes() {
    let job = Job {
        clients: 2,
        lose: 100,
        ..job(10, 2, 1)
    };
    let right = Outcome {
        clients: 2,
        sent: 20,
        answered: 17,
        lost: 3,
        late: 1,
        tries: 30,
        copies: 1,
        stale: 5,
        wrong: 0,
        seen: Seen {
            healthy: true,
            relay: Relayed {
                requests: 30,
                lost_requests: 5,
                echoes: 25,
                lost_echoes: 6,
                unanswered: 2,
                ..Relayed::default()
            },
            ..Seen::default()
        },
    };
    job.check(&right).expect("it is right");
    let finds = |what: &str, change: fn(&mut Outcome)| {
        let mut outcome = right.clone();
        change(&mut outcome);
        let found = job.check(&outcome).expect_err(what);
        assert_eq!(found.what, what);
    };
    finds("clients", |outcome| outcome.clients = 1);
    finds("sent", |outcome| outcome.sent = 21);
    finds("answered + lost", |outcome| outcome.answered = 16);
    finds("wrong", |outcome| outcome.wrong = 1);
    finds("seen.healthy", |outcome| outcome.seen.healthy = false);
    finds("tries", |outcome| outcome.tries = 41);
    finds("late", |outcome| outcome.late = 4);
    finds("answered + late + copies", |outcome| outcome.copies = 2);
    finds("lost and not dropped", |outcome| outcome.late = 0);
    finds("seen.relay.requests", |outcome| {
        outcome.seen.relay.requests = 16
    });
}
