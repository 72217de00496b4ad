//! What the load generator counts: the neutral other end of jobs that are servers.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Latency, WrongAnswer};

/// How long the server of a job waits for a client, and the generator for an answer. Nothing
/// in a job takes that long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What came back, and when.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Requests that were answered right.
    pub requests: u64,
    /// Those that were not, by kind.
    pub errors: BTreeMap<String, u64>,
    /// Connections that were open at once.
    pub connections: u64,
    /// Idle ones among them that still were at the end.
    pub idle_alive: u64,
    /// Connections that were opened anew, as the server had closed them.
    pub reopened: u64,
    /// Whether one more request was answered, after all others.
    pub healthy: bool,
    /// From when the connections stood until the last answer, in nanoseconds.
    pub load_ns: u64,
    /// When the last request was due, from then; 0 in a closed loop.
    pub due_ns: u64,
    /// Of that time, the generator's own processor time.
    pub generator_cpu_ns: u64,
    /// Requests that the generator sent late by its own fault.
    pub late: u64,
    /// From when a request was due until its answer was whole.
    pub latency: Latency,
}

impl Counted {
    /// Requests a second that were due; none in a closed loop.
    pub fn offered_per_s(&self) -> Option<f64> {
        (self.due_ns > 0).then(|| self.requests as f64 / (self.due_ns as f64 / 1e9))
    }

    /// Requests a second that were answered.
    pub fn achieved_per_s(&self) -> f64 {
        self.requests as f64 / (self.load_ns.max(1) as f64 / 1e9)
    }

    /// Whether the server answered as many requests as were due, but for a twentieth; in a
    /// closed loop it always does. If not, requests wait in a queue that grows, and their
    /// latency depends on how long the load lasts.
    pub fn has_kept_up(&self) -> bool {
        const LEAST: f64 = 0.95;
        let offered = self.offered_per_s();
        offered.is_none_or(|offered| self.achieved_per_s() >= LEAST * offered)
    }

    /// Every request answered right, over as many connections as asked, of which the idle ones
    /// are still open; the server answers afterwards.
    pub(crate) fn check(
        &self,
        requests: u64,
        connections: usize,
        idle: usize,
    ) -> Result<(), WrongAnswer> {
        let errors: Vec<_> = self
            .errors
            .iter()
            .map(|(kind, count)| format!("{count} times {kind}"))
            .collect();
        WrongAnswer::unless(errors.is_empty(), "errors", errors.join(", "), "none")?;
        for (what, got, right) in [
            ("requests", self.requests, requests),
            ("connections", self.connections, (connections + idle) as u64),
            ("idle_alive", self.idle_alive, idle as u64),
        ] {
            WrongAnswer::unless(got == right, what, got, right)?;
        }
        WrongAnswer::unless(self.healthy, "healthy", self.healthy, true)?;
        let Latency { p50, max, .. } = self.latency;
        let times = p50 > 0 && p50 <= max && max <= self.load_ns;
        let right = format!("from 0 to {} ns", self.load_ns);
        WrongAnswer::unless(times, "latency", format!("{:?}", self.latency), right)
    }

    pub(crate) fn summary(&self) -> String {
        let due = match self.offered_per_s() {
            None => String::new(),
            Some(due) => format!(" of {due:.0} that were due"),
        };
        let mut text = format!(
            "{} requests answered over {} connections, {:.0} a second{due}; {}",
            self.requests,
            self.connections,
            self.achieved_per_s(),
            self.latency
        );
        if self.idle_alive > 0 {
            text += &format!("; {} idle connections still open", self.idle_alive);
        }
        text
    }

    /// What comes of a job that is done right.
    #[cfg(test)]
    pub(crate) fn right(requests: u64, connections: usize, idle: usize) -> Self {
        Self {
            requests,
            connections: (connections + idle) as u64,
            idle_alive: idle as u64,
            healthy: true,
            load_ns: 100,
            latency: Latency {
                p50: 1,
                p90: 1,
                p99: 2,
                p999: 2,
                max: 100,
            },
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_wrong_or_left_out_is_found() {
        let right = Counted::right(20, 4, 3);
        right.check(20, 4, 3).expect("right");
        type Change = fn(&mut Counted);
        let wrong: [(&str, Change); 6] = [
            ("errors", |of| {
                of.errors = BTreeMap::from([("another body".to_owned(), 1)])
            }),
            ("requests", |of| of.requests -= 1),
            ("connections", |of| of.connections -= 1),
            ("idle_alive", |of| of.idle_alive -= 1),
            ("healthy", |of| of.healthy = false),
            ("latency", |of| of.latency.max = of.load_ns + 1),
        ];
        for (what, change) in wrong {
            let mut counted = right.clone();
            change(&mut counted);
            assert_eq!(counted.check(20, 4, 3).expect_err(what).what, what);
        }
    }
}
