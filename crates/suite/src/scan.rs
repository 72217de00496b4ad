//! `scan`: which TCP ports of a host are open, as connecting to each of them tells.
//!
//! Shows what many short connects cost that are refused at once, and how well those overlap from
//! which nothing comes: each of them takes as long as the model is to wait for it.
//!
//! The host is none of the models. It holds some ports open; others are *filtered*: whatever
//! comes to them is dropped. All its other ports refuse connections. Which port is next, how
//! often it is tried and what state it is in is shared ([`port_scan`]); units, connecting, giving
//! up in time and the end are the model's.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub use port_scan::{Attempt, Came, Failure, Found, Malformed, Ports, Scan};
use serde::{Deserialize, Serialize};

use crate::{Invalid, Preset, WrongAnswer};

mod service;

pub use service::{Service, hang_up};

/// Of this number of ports, one may be given up although it would have answered: a machine can be
/// so busy that a connection stands only when its time is over.
const PORTS_A_MISSED_ONE: usize = 100;

/// Which ports there are, and how they are tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The ports to scan, like `22,80,8000-8100`.
    pub ports: Ports,
    /// How many of them accept connections: fewer, where to open them takes a privilege.
    pub open: usize,
    /// How many of them drop whatever comes: fewer, in the same way.
    pub filtered: usize,
    /// The most attempts to connect that are under way at once.
    pub limit: usize,
    /// How long an attempt may take, in milliseconds.
    pub timeout_ms: u64,
    /// How often a port is tried again from which nothing came in time.
    pub retries: u32,
    /// What is scanned. Filled in when the job is prepared.
    #[serde(skip)]
    pub host: Option<Host>,
    /// Without a look at how many attempts the system has under way.
    #[serde(skip)]
    pub unwatched: bool,
}

/// A host: its address, and the ports that do not refuse connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// An address of this machine that no other job has.
    pub address: IpAddr,
    /// Ports that accept connections.
    pub open: Ports,
    /// Ports that drop whatever comes.
    pub filtered: Ports,
}

/// What the host and the system have seen of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Connections that the host has accepted.
    pub accepted: u64,
    /// The most that it has accepted at one port.
    pub most_at_a_port: u64,
    /// The most attempts that waited for an answer at once, as far as the system was looked at:
    /// not while the job was timed.
    pub most_waiting: u64,
    /// Ports that others have opened at all addresses of this machine: they are not judged.
    pub left_out: Ports,
    /// The host's processor time, in nanoseconds: it is no part of the model.
    pub cpu_ns: u64,
}

/// The state of every port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Ports with a state, each as often as it was found to be in one.
    pub ports: u64,
    /// Those that accept connections.
    pub open: Ports,
    /// Those that refuse them.
    pub closed: Ports,
    /// Those from which nothing has come in time.
    pub filtered: Ports,
    /// Those that could not be tried.
    pub failed: Vec<Failure>,
    /// Attempts to connect.
    pub attempts: u64,
    /// The most that were under way at once.
    pub most_at_once: u64,
    /// By how much the limit was lowered, as the system had no room for more.
    pub lowered: u64,
    /// Units that were lost in the middle, and whose ports were then scanned again.
    pub restarts: u64,
    /// What the other side has seen. Filled in when the answer is checked.
    pub seen: Seen,
}

impl Job {
    pub(crate) fn preset(preset: Preset) -> Self {
        let (last, open, limit) = match preset {
            Preset::Article => (1_024, 10, 100),
            Preset::Heavy => (u16::MAX, 50, 512),
        };
        Self {
            ports: [1..=last].into_iter().collect(),
            open,
            filtered: 0,
            limit,
            timeout_ms: 1_000,
            retries: 1,
            host: None,
            unwatched: false,
        }
    }

    /// What is scanned.
    ///
    /// # Panics
    ///
    /// If the host is not filled in: preparing a job does that.
    pub fn host(&self) -> &Host {
        self.host.as_ref().expect("a prepared scan has a host")
    }

    /// A scan for one run.
    pub fn service(&self) -> Arc<Service> {
        Service::new(
            self.host().address,
            self.ports.clone(),
            self.limit,
            Duration::from_millis(self.timeout_ms),
            self.retries,
        )
    }

    pub(crate) fn units(&self) -> usize {
        self.limit.min(self.ports.len())
    }

    /// How often a port is tried from which nothing comes.
    fn tries(&self) -> u64 {
        u64::from(self.retries) + 1
    }

    /// The time that filtered ports take if this many attempts wait at once, and nothing else
    /// takes any: it cannot be less.
    pub fn ideal_wait(&self, at_once: usize) -> Duration {
        let filtered = (self.host.as_ref()).map_or(self.filtered, |host| host.filtered.len());
        let attempts = filtered as u64 * self.tries();
        let rounds = attempts.div_ceil(at_once.max(1) as u64);
        Duration::from_millis(rounds * self.timeout_ms)
    }

    pub(crate) fn validate(&self) -> Result<(), Invalid> {
        let ports = self.ports.len() as u64;
        if self.ports.is_empty() {
            return Err(Invalid::new("ports", "", "has to be like 22,80,8000-8100"));
        }
        Invalid::unless_within("open", self.open as u64, 0, ports.min(10_000))?;
        let most_filtered = ports.min(10_000) - self.open as u64;
        Invalid::unless_within("filtered", self.filtered as u64, 0, most_filtered)?;
        Invalid::unless_within("limit", self.limit as u64, 1, 10_000)?;
        Invalid::unless_within("timeout_ms", self.timeout_ms, 1, 600_000)?;
        Invalid::unless_within("retries", u64::from(self.retries), 0, 10)
    }

    pub(crate) fn scaled(&self, divisor: u64) -> Self {
        let divisor = usize::try_from(divisor).unwrap_or(usize::MAX);
        let ports: Ports = (self.ports.iter())
            .take((self.ports.len() / divisor).max(1))
            .collect();
        // One at least, if there is any; but a port cannot be both.
        let less = |count: usize, most: usize| (count / divisor).max(count.min(1)).min(most);
        let open = less(self.open, ports.len());
        let filtered = less(self.filtered, ports.len() - open);
        Self {
            ports,
            open,
            filtered,
            ..self.clone()
        }
    }

    /// Each port has its state, and was tried as often as it may be; and never were more attempts
    /// under way than the limit.
    pub fn check(&self, outcome: &Outcome) -> Result<(), WrongAnswer> {
        let (host, seen) = (self.host(), &outcome.seen);
        let judged = |ports: &Ports| ports.without(&seen.left_out);
        let missed = judged(&outcome.filtered.without(&host.filtered));
        let others = host.open.iter().chain(host.filtered.iter()).collect();
        for (what, got, right) in [
            ("open", &outcome.open, &host.open),
            ("closed", &outcome.closed, &self.ports.without(&others)),
            ("filtered", &outcome.filtered, &host.filtered),
        ] {
            let (got, right) = (judged(got), judged(right));
            WrongAnswer::unless(
                got.without(&missed) == right.without(&missed),
                what,
                &got,
                &right,
            )?;
        }
        let failed = outcome.failed.first();
        let failed = failed.map(|failure| format!("port {}: {}", failure.port, failure.reason));
        let is_right = failed.is_none();
        WrongAnswer::unless(is_right, "failed", failed.unwrap_or_default(), "none")?;
        let ports = self.ports.len() as u64;
        WrongAnswer::unless(outcome.ports == ports, "ports", outcome.ports, ports)?;
        let least = ports + outcome.filtered.len() as u64 * u64::from(self.retries);
        let most = self.tries() * (1 + outcome.restarts);
        let open = host.open.without(&missed).len() as u64;
        for (what, got, least, most) in [
            (
                "missed",
                missed.len() as u64,
                0,
                ports / PORTS_A_MISSED_ONE as u64,
            ),
            ("attempts", outcome.attempts, least, ports * most),
            ("most_at_once", outcome.most_at_once, 1, self.limit as u64),
            ("most_waiting", seen.most_waiting, 0, self.limit as u64),
            ("most_at_a_port", seen.most_at_a_port, 0, most),
            (
                "accepted",
                seen.accepted,
                open,
                host.open.len() as u64 * most,
            ),
        ] {
            let is_within = (least..=most).contains(&got);
            let right = format!("from {least} to {most}");
            WrongAnswer::unless(is_within, what, got, right)?;
        }
        Ok(())
    }

    /// A scan that took `elapsed` has not waited less for filtered ports than it has to.
    pub fn check_wait(&self, elapsed: Duration) -> Result<(), WrongAnswer> {
        let ideal = self.ideal_wait(self.limit);
        let (got, right) = (format!("{elapsed:.3?}"), format!("at least {ideal:.3?}"));
        WrongAnswer::unless(elapsed >= ideal, "elapsed", got, right)
    }

    pub(crate) fn summary(&self, outcome: &Outcome, elapsed: Duration) -> String {
        let mut text = format!(
            "{} ports: {} open, {} closed, {} filtered; {:.0} a second; at most {} at once",
            outcome.ports,
            outcome.open.len(),
            outcome.closed.len(),
            outcome.filtered.len(),
            outcome.ports as f64 / elapsed.as_secs_f64().max(1e-9),
            outcome.most_at_once,
        );
        let ideal = self.ideal_wait(self.limit);
        if !ideal.is_zero() {
            let times = elapsed.div_duration_f64(ideal);
            text += &format!("; {times:.2} times the ideal wait of {ideal:.1?}");
        }
        if outcome.lowered > 0 {
            text += &format!("; the limit was lowered by {}", outcome.lowered);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// A job with its right outcome: ports from 1 to 1,000, of which two are open and two
    /// filtered.
    fn right() -> (Job, Outcome) {
        let ports = |text: &str| text.parse::<Ports>().expect("ports");
        let job = Job {
            ports: ports("1-1000"),
            open: 2,
            filtered: 2,
            limit: 8,
            timeout_ms: 100,
            retries: 1,
            host: Some(Host {
                address: Ipv4Addr::new(127, 9, 9, 9).into(),
                open: ports("22,80"),
                filtered: ports("500,501"),
            }),
            unwatched: false,
        };
        let outcome = Outcome {
            ports: 1_000,
            open: ports("22,80"),
            closed: ports("1-21,23-79,81-499,502-1000"),
            filtered: ports("500,501"),
            attempts: 1_002,
            most_at_once: 8,
            seen: Seen {
                accepted: 2,
                most_at_a_port: 1,
                most_waiting: 2,
                ..Seen::default()
            },
            ..Outcome::default()
        };
        (job, outcome)
    }

    #[track_caller]
    fn says(change: impl FnOnce(&mut Outcome), text: &str) {
        let (job, mut outcome) = right();
        change(&mut outcome);
        let found = job.check(&outcome).expect_err(text).to_string();
        assert!(found.contains(text), "{found}");
    }

    fn moved(from: &mut Ports, to: &mut Ports, port: u16) {
        *to = to.iter().chain([port]).collect();
        *from = from.without(&[port].into_iter().collect());
    }

    #[test]
    fn every_state_has_to_be_right() {
        let (job, outcome) = right();
        job.check(&outcome).expect("a right outcome");
        says(|it| moved(&mut it.open, &mut it.closed, 22), "open is 80,");
        says(
            |it| moved(&mut it.closed, &mut it.open, 7),
            "open is 7,22,80",
        );
        says(
            |it| moved(&mut it.filtered, &mut it.closed, 500),
            "closed is",
        );
        says(
            |it| moved(&mut it.filtered, &mut it.open, 501),
            "open is 22,80,501",
        );
        says(|it| it.ports += 1, "ports is 1001");
        says(
            |it| {
                it.failed.push(Failure {
                    port: 7,
                    reason: "no luck".to_owned(),
                });
            },
            "failed is port 7: no luck",
        );
    }

    #[test]
    fn no_port_is_tried_too_often_and_no_more_wait_than_may() {
        says(|it| it.attempts = 1_001, "attempts is 1001");
        says(|it| it.attempts = 2_001, "attempts is 2001");
        says(|it| it.most_at_once = 9, "most_at_once is 9");
        says(|it| it.seen.most_waiting = 9, "most_waiting is 9");
        says(|it| it.seen.most_at_a_port = 3, "most_at_a_port is 3");
        says(|it| it.seen.accepted = 1, "accepted is 1");
        // A child that was killed may have tried what is then tried again.
        let (job, mut outcome) = right();
        outcome.restarts = 1;
        outcome.seen.most_at_a_port = 3;
        job.check(&outcome).expect("begun again");
    }

    #[test]
    fn a_busy_machine_may_miss_a_few_and_others_ports_are_not_judged() {
        let miss = |outcome: &mut Outcome, port| {
            moved(&mut outcome.closed, &mut outcome.filtered, port);
            outcome.attempts += 1;
        };
        let (job, mut outcome) = right();
        (1..=10).for_each(|port| miss(&mut outcome, port));
        job.check(&outcome).expect("one of a hundred");
        miss(&mut outcome, 11);
        let found = job.check(&outcome).expect_err("one more").to_string();
        assert!(found.contains("missed is 11"), "{found}");

        let (job, mut outcome) = right();
        moved(&mut outcome.closed, &mut outcome.open, 631);
        outcome.seen.left_out = [631].into_iter().collect();
        job.check(&outcome).expect("it is another's");
    }

    #[test]
    fn filtered_ports_cannot_take_less_than_their_time() {
        let (job, _) = right();
        // Four attempts, of which eight can wait at once.
        assert_eq!(job.ideal_wait(8), Duration::from_millis(100));
        assert_eq!(job.ideal_wait(3), Duration::from_millis(200));
        assert_eq!(job.ideal_wait(1), Duration::from_millis(400));
        job.check_wait(Duration::from_millis(100)).expect("enough");
        let found = job.check_wait(Duration::from_millis(99));
        assert!(
            found
                .expect_err("too little")
                .to_string()
                .contains("elapsed")
        );
    }

    #[test]
    fn a_smaller_scan_still_has_some_of_each() {
        let (job, _) = right();
        for divisor in [2, 50, 1_000, 1_000_000] {
            let small = job.scaled(divisor);
            small.validate().expect("a smaller one");
            assert_eq!(small.open, 1);
            assert_eq!(small.ports.len() as u64, (1_000 / divisor).max(1));
        }
        assert_eq!(job.scaled(50).filtered, 1);
        assert_eq!(job.scaled(1_000).filtered, 0);
    }
}
