use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Percentiles of times, in nanoseconds.
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

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Duration::from_nanos;
        write!(
            f,
            "latency {:.1?} (median), {:.1?} (p99), {:.1?} (longest)",
            time(self.p50),
            time(self.p99),
            time(self.max)
        )
    }
}
