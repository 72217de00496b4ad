//! Latencies: what requests took from when they were due, in each run of a job.
//!
//! Each run has its own percentiles, by the load generator, of a fresh process. A figure is
//! the median of these, with the least and the greatest: with fewer than six runs, there is no
//! 95 % interval of a median.

use results::{Latency, Range};
use serde::Deserialize;
use suite::generator::Counted;

use crate::statistics::median;

/// One run: what was counted, and of a proxy what the same requests took without it.
#[derive(Debug, Deserialize)]
pub struct Run {
    #[serde(flatten)]
    counted: Counted,
    direct: Option<suite::Latency>,
}

impl From<Counted> for Run {
    fn from(counted: Counted) -> Self {
        Self {
            counted,
            direct: None,
        }
    }
}

/// The figures of some runs; none if there is no run.
pub fn latency(runs: &[Run]) -> Option<Latency> {
    let added = |run: &Run| {
        let direct = run.direct.as_ref()?;
        Some(run.counted.latency.p50 as f64 - direct.p50 as f64)
    };
    let added: Option<Vec<f64>> = runs.iter().map(added).collect();
    let runs: Vec<&Counted> = runs.iter().map(|run| &run.counted).collect();
    let range = |of: &dyn Fn(&Counted) -> f64| {
        let all: Vec<f64> = runs.iter().map(|run| of(run)).collect();
        range(&all)
    };
    let offered = runs.first()?.offered_per_s().is_some();
    let busy = |run: &Counted| run.generator_cpu_ns as f64 / run.load_ns.max(1) as f64;
    Some(Latency {
        runs: u32::try_from(runs.len()).unwrap_or(u32::MAX),
        requests: runs.first()?.requests,
        offered_per_s: match offered {
            true => Some(range(&|run| run.offered_per_s().unwrap_or(0.0))?.median),
            false => None,
        },
        achieved_per_s: range(&Counted::achieved_per_s)?,
        has_kept_up: runs.iter().all(|run| run.has_kept_up()),
        late: runs.iter().map(|run| run.late).max().unwrap_or(0),
        generator_busy: range(&busy)?.median,
        p50_ns: range(&|run| run.latency.p50 as f64)?,
        p90_ns: range(&|run| run.latency.p90 as f64)?,
        p99_ns: range(&|run| run.latency.p99 as f64)?,
        p999_ns: range(&|run| run.latency.p999 as f64)?,
        max_ns: range(&|run| run.latency.max as f64)?,
        added_p50_ns: added.as_deref().and_then(self::range),
    })
}

fn range(all: &[f64]) -> Option<Range> {
    Some(Range {
        median: median(all)?,
        low: all.iter().copied().fold(f64::INFINITY, f64::min),
        high: all.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(p99: u64, load_ns: u64) -> Run {
        Run {
            counted: Counted {
                requests: 1_000,
                due_ns: 1_000_000_000,
                load_ns,
                generator_cpu_ns: load_ns / 4,
                latency: suite::Latency {
                    p50: 7,
                    p99,
                    ..suite::Latency::default()
                },
                ..Counted::default()
            },
            direct: None,
        }
    }

    #[test]
    fn what_a_proxy_adds_is_told() {
        let direct = |p50| {
            Some(suite::Latency {
                p50,
                ..suite::Latency::default()
            })
        };
        let [mut first, mut second] = [run(9, 10), run(9, 10)];
        (first.direct, second.direct) = (direct(4), direct(9));
        let added = latency(&[first, second]).expect("two runs").added_p50_ns;
        let added = added.expect("both went direct, too");
        assert_eq!((added.low, added.median, added.high), (-2.0, 0.5, 3.0));
    }

    #[test]
    fn each_run_has_its_own_percentiles() {
        assert_eq!(latency(&[]), None);
        let runs = [
            run(30, 1_000_000_000),
            run(10, 1_010_000_000),
            run(20, 1_000_000_000),
        ];
        let figures = latency(&runs).expect("three runs");
        let Range { median, low, high } = figures.p99_ns;
        assert_eq!((median, low, high), (20.0, 10.0, 30.0));
        assert_eq!(figures.offered_per_s, Some(1_000.0));
        assert!(figures.has_kept_up);
        assert!((figures.generator_busy - 0.25).abs() < 1e-6);
    }

    #[test]
    fn a_run_that_falls_behind_has_not_kept_up() {
        let runs = [run(30, 1_000_000_000), run(10, 1_100_000_000)];
        assert!(!latency(&runs).expect("two runs").has_kept_up);
    }
}
