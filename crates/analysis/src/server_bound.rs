//! Whether the origin, and not the model, set a job's time.
//!
//! There are two signs. The job took at most a tenth longer than the origin alone
//! takes for the same requests over as many connections, so little is left for models
//! to differ in. (A model that keeps its connections can be faster than bare sockets;
//! then its time is the floor.) Or the origin kept four fifths of its cores busy, and
//! could not answer faster.

use std::time::Duration;

use results::ServerBound;
use serde_json::Value;
use suite::Job;

use crate::statistics::median;

/// A time below this multiple of the origin's own was set by the origin.
const NEAR: f64 = 1.10;

/// From this part of its cores on, the origin is as busy as it can be.
const BUSY: f64 = 0.80;

/// The part of the origin's own time from which on the job's own delays or link rate
/// explain it.
const ASKED_FOR: f64 = 0.50;

/// How fast the origin can be for a job.
#[derive(Debug, Clone, Copy)]
pub struct OriginAlone {
    /// What it takes to answer bare sockets.
    pub ceiling: Option<Duration>,
    /// The least that it took, for bare sockets or a model, in nanoseconds.
    pub floor_ns: Option<f64>,
}

impl OriginAlone {
    /// From what bare sockets took, and the medians of all models in nanoseconds.
    pub fn new(ceiling: Option<Duration>, medians: impl Iterator<Item = f64>) -> Self {
        let bare = ceiling.map(|ceiling| ceiling.as_nanos() as f64);
        Self {
            ceiling,
            floor_ns: bare.map(|bare| medians.fold(bare, f64::min)),
        }
    }
}

/// What was measured of a job and of the origin meanwhile.
#[derive(Debug)]
pub struct Observed {
    /// The median time of the job, in nanoseconds.
    pub job_ns: f64,
    /// See [`OriginAlone::floor_ns`].
    pub floor_ns: Option<f64>,
    /// The part of its cores that the origin kept busy.
    pub busy: Option<f64>,
}

/// What of the origin set the job's time, if anything did. `outcome` has the number
/// of bytes that went over its link.
pub fn server_bound(
    job: &Job,
    outcome: Option<&Value>,
    observed: &Observed,
) -> Option<ServerBound> {
    // The system answers for the ports of a scan's host, which looks at them after the run.
    let is_awaited = !matches!(job, Job::Scan(_));
    if is_awaited && observed.busy.is_some_and(|busy| busy >= BUSY) {
        return Some(ServerBound::Speed);
    }
    let floor_ns = observed.floor_ns?;
    if observed.job_ns > floor_ns * NEAR {
        return None;
    }
    let bytes = outcome.and_then(|outcome| outcome.get("bytes")?.as_u64());
    let (bound, asked_for) = asked_for(job, bytes.unwrap_or(0))?;
    let explains = asked_for.as_nanos() as f64 >= floor_ns * ASKED_FOR;
    Some(if explains { bound } else { ServerBound::Speed })
}

/// The least time that a job can take because of what it asks of the origin: `bytes`
/// over its link, or its delays, as many at once as the job allows. `None` if it asks
/// nothing of our origin.
fn asked_for(job: &Job, bytes: u64) -> Option<(ServerBound, Duration)> {
    match job {
        Job::Fetch(job) if job.urls.is_empty() => Some((ServerBound::Delay, job.slowest())),
        Job::Download(job) if job.urls.is_none() => {
            let turns = job.images.div_ceil(job.limit.max(1) as u64);
            let delay = Duration::from_millis(turns.saturating_mul(job.delay_ms));
            let seconds = match job.mbit_per_s {
                0 => 0.0,
                rate => bytes as f64 * 8e-6 / rate as f64,
            };
            let link = Duration::from_secs_f64(seconds);
            Some(if link >= delay {
                (ServerBound::Link, link)
            } else {
                (ServerBound::Delay, delay)
            })
        }
        Job::Fetch(_)
        | Job::Download(_)
        | Job::Counter(_)
        | Job::Pipeline(_)
        | Job::Primes(_)
        | Job::Exchange(_)
        | Job::Offload(_)
        | Job::PingPong(_)
        | Job::Sleepers(_)
        | Job::Spawn(_)
        | Job::Deadlines(_)
        | Job::Echo(_)
        | Job::Datagram(_)
        | Job::Serve(_)
        | Job::Proxy(_)
        | Job::Scan(_)
        | Job::Chat(_)
        | Job::Send(_)
        | Job::Files(_)
        | Job::Thumbnails(_) => None,
    }
}

/// The part of its `cores` that the origin kept busy while jobs ran: the median.
/// `runs` are what each took and the origin's processor time for it, both in
/// nanoseconds.
pub fn busy(runs: impl Iterator<Item = (u64, u64)>, cores: usize) -> Option<f64> {
    let part = |(elapsed_ns, cpu_ns)| cpu_ns as f64 / (elapsed_ns as f64 * cores as f64);
    let parts: Vec<f64> = runs.map(part).collect();
    median(&parts).filter(|part| part.is_finite())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use suite::{Preset, Workload};

    use super::*;

    fn download(settings: &[(&str, &str)]) -> Job {
        let mut job = Workload::Download.job(Preset::Heavy);
        for (key, value) in settings {
            job.set(key, value).expect("a setting");
        }
        job
    }

    fn observed(job_ms: f64, floor_ms: u64) -> Observed {
        Observed {
            job_ns: job_ms * 1e6,
            floor_ns: Some(floor_ms as f64 * 1e6),
            busy: None,
        }
    }

    #[test]
    fn within_a_tenth_of_the_origins_own_time_it_set_it() {
        let job = download(&[]);
        assert_eq!(
            server_bound(&job, None, &observed(10.9, 10)),
            Some(ServerBound::Speed)
        );
        assert_eq!(server_bound(&job, None, &observed(11.1, 10)), None);
        let alone = Observed {
            floor_ns: None,
            ..observed(1.0, 1)
        };
        assert_eq!(server_bound(&job, None, &alone), None);
    }

    #[test]
    fn the_floor_is_the_fastest_that_was_seen() {
        let floor = |ceiling_ms: Option<u64>, models: &[f64]| {
            let ceiling = ceiling_ms.map(Duration::from_millis);
            OriginAlone::new(ceiling, models.iter().copied()).floor_ns
        };
        assert_eq!(floor(Some(10), &[11e6, 12e6]), Some(10e6));
        assert_eq!(floor(Some(10), &[11e6, 9e6]), Some(9e6));
        assert_eq!(floor(Some(10), &[]), Some(10e6));
        assert_eq!(floor(None, &[9e6]), None);
    }

    #[test]
    fn an_origin_that_has_its_hands_full_sets_the_time() {
        let full = |busy| Observed {
            busy: Some(busy),
            ..observed(30.0, 10)
        };
        assert_eq!(
            server_bound(&download(&[]), None, &full(0.8)),
            Some(ServerBound::Speed)
        );
        assert_eq!(server_bound(&download(&[]), None, &full(0.79)), None);
    }

    #[test]
    fn what_the_job_asks_for_is_told_from_what_cannot_be_helped() {
        // 100 Mbit in all: a second over this link.
        let outcome = json!({ "bytes": 12_500_000 });
        let shaped = download(&[("mbit_per_s", "100"), ("delay_ms", "1")]);
        let bound = |job, ms| server_bound(job, Some(&outcome), &observed(ms as f64, ms));
        assert_eq!(bound(&shaped, 1_020), Some(ServerBound::Link));
        // A thousand at 20 at once wait fifty times.
        let delayed = download(&[("delay_ms", "20")]);
        assert_eq!(bound(&delayed, 1_050), Some(ServerBound::Delay));
        // Asked for, and not what took so long.
        assert_eq!(bound(&delayed, 3_000), Some(ServerBound::Speed));
        let fetch = Workload::Fetch.job(Preset::Article);
        assert_eq!(bound(&fetch, 301), Some(ServerBound::Delay));
        let primes = Workload::Primes.job(Preset::Heavy);
        assert_eq!(bound(&primes, 1), None);
    }
}
