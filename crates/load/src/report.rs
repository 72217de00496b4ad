//! What came of a load.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// What came of a load.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Requests that were sent.
    pub sent: u64,
    /// Those that were answered as they should be.
    pub right: u64,
    /// Those that were not, by kind.
    pub errors: BTreeMap<String, u64>,
    /// From when the connections stood until the last request was answered or given up, in
    /// nanoseconds.
    pub elapsed_ns: u64,
    /// When the last request was due, in nanoseconds from then; none in a closed loop.
    pub due_ns: Option<u64>,
    /// Requests a second that were due by then; none in a closed loop.
    pub offered_per_s: Option<f64>,
    /// Right answers a second.
    pub achieved_per_s: f64,
    /// How long right answers took, from when they were due.
    pub latency: Latency,
    /// Requests that the generator sent more than 1 ms later than it could have. With many of
    /// these, the latencies are its own and not the server's.
    pub late: u64,
    /// The most connections that were open at once, idle ones included.
    pub connections: u64,
    /// Idle connections that were still open at the end.
    pub idle_alive: u64,
    /// Connections that had to be opened anew, as the server had closed them.
    pub reopened: u64,
    /// Whether one more request, over a new connection, was answered as it should be.
    pub healthy: bool,
    /// The generator's own processor time, in nanoseconds. It has one thread: with as much as
    /// `elapsed_ns`, it was as busy as it can be.
    pub cpu_ns: u64,
}

/// Percentiles, in nanoseconds, to three digits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// The median.
    pub p50: u64,
    /// Nine of ten took at most this.
    pub p90: u64,
    /// 99 of 100.
    pub p99: u64,
    /// 999 of 1,000.
    pub p999: u64,
    /// The longest.
    pub max: u64,
}

impl Latency {
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        let [p50, p90, p99, p999] =
            [0.5, 0.9, 0.99, 0.999].map(|part| histogram.value_at_quantile(part));
        Self {
            p50,
            p90,
            p99,
            p999,
            max: histogram.max(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |ns: u64| format!("{:.3?}", Duration::from_nanos(ns));
        let offered = self
            .offered_per_s
            .map(|rate| format!(", {rate:.1} were due"));
        let Latency {
            p50,
            p90,
            p99,
            p999,
            max,
        } = self.latency;
        writeln!(
            f,
            "{} of {} requests right in {}, {:.1} a second{}",
            self.right,
            self.sent,
            time(self.elapsed_ns),
            self.achieved_per_s,
            offered.unwrap_or_default(),
        )?;
        writeln!(
            f,
            "latency from when they were due: p50 {}, p90 {}, p99 {}, p99.9 {}, max {}",
            time(p50),
            time(p90),
            time(p99),
            time(p999),
            time(max)
        )?;
        writeln!(
            f,
            "{} connections, {} idle ones alive at the end, {} opened anew; {} requests sent late \
             by the generator",
            self.connections, self.idle_alive, self.reopened, self.late
        )?;
        if !self.healthy {
            writeln!(
                f,
                "error: one more request, after all others, was not answered"
            )?;
        }
        for (kind, count) in &self.errors {
            writeln!(f, "error: {count} times {kind}")?;
        }
        Ok(())
    }
}
