//! `proxy`: a forward proxy of HTTP/1.1, which has two connections for each client.
//!
//! Shows what passing on costs: latency over going direct, requests a second, the memory of
//! tunnels that are open and say nothing. Each client needs a wait on two sockets.
//!
//! The proxy is the model's. What is on both sides is neutral: the load generator asks, and a
//! server in the same process answers, which also sees what the proxy has sent it. What a proxy
//! has to decide is shared (`http_proxy`); accepting, connecting, passing on both ways, timers,
//! kept connections and the end are the model's.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use http_proxy::Allowed;
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_linger;
use rustix::net::{RecvFlags, recv};
use serde::{Deserialize, Serialize};

use crate::generator::Counted;
use crate::listening::Listening;
use crate::{Invalid, Latency, Preset, Result, WrongAnswer};

/// How requests reach the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The proxy reads each one, and passes it on.
    Forward,
    /// Through a tunnel, a connection each: the proxy passes on bytes.
    Connect,
}

/// How many requests over how many connections, and what answers them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Connections that requests go over.
    pub connections: usize,
    /// Requests in all.
    pub requests: u64,
    /// Bytes of each answer's body.
    pub bytes: u64,
    /// How they reach the upstream.
    pub mode: Mode,
    /// Whether connections to the upstream are used again.
    pub reuse: bool,
    /// How long the upstream waits before it answers, in milliseconds.
    pub delay_ms: u64,
    /// Each answer whose number is a multiple of this takes ten times as long; 0 for none.
    pub slow: u64,
    /// Requests that are due in a second, whether or not the ones before are answered; 0 for
    /// a closed loop, in which each connection asks when it has its answer.
    pub rate: u64,
    /// Connections more that are open and say nothing: tunnels, or clients that ask nothing.
    pub idle: usize,
    /// What to proxy for one run. Filled in when the job is run.
    #[serde(skip)]
    pub service: Option<Arc<Service>>,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What the load generator has counted.
    #[serde(flatten)]
    pub counted: Counted,
    /// The same requests, at the same rate, without the proxy, just before.
    pub direct: Latency,
    /// What the upstream has seen of the proxy.
    pub upstream: Seen,
}

/// What the upstream has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Connections over which something was asked.
    pub connections: u64,
    /// The most that were open at once, with those over which nothing was.
    pub most_open: u64,
    /// Requests that were as they have to be.
    pub requests: u64,
    /// Those among them that had come through a proxy, by their `Via`.
    pub via: u64,
    /// What was wrong with others, and how often.
    pub wrong: BTreeMap<String, u64>,
}

/// What a proxy does, and until when: for one run of a job, or for the program `proxy`.
#[derive(Debug)]
pub struct Service {
    /// Where, and until when.
    pub listening: Arc<Listening>,
    /// Where requests may go.
    pub allowed: Allowed,
    /// The most clients at once. More wait until one of them ends, in the system's queue.
    pub connections: usize,
    /// How long a client may take to send a whole head, and either side to take what is
    /// passed on.
    pub patience: Duration,
    /// How long an upstream may take to be connected to, and to go on with its response.
    pub upstream_patience: Duration,
    /// Whether connections to upstreams are used again.
    pub reuse: bool,
}

/// How long tunnels may go on when the end has begun.
pub const TUNNEL_GRACE: Duration = Duration::from_secs(5);

/// How long nothing may go through a tunnel before it is closed.
pub const TUNNEL_PATIENCE: Duration = Duration::from_secs(600);

/// How long a connection to an upstream is kept for another request at most: less than most
/// servers keep theirs.
pub const KEPT: Duration = Duration::from_secs(15);

/// The most bytes that go through a tunnel at once.
pub const PIECE: usize = 64 * 1024;

/// When something has gone through a tunnel last, in either direction.
#[derive(Debug)]
pub struct LastUse {
    opened: Instant,
    /// From then, in milliseconds.
    last_ms: AtomicU64,
}

impl Default for LastUse {
    fn default() -> Self {
        Self {
            opened: Instant::now(),
            last_ms: AtomicU64::new(0),
        }
    }
}

impl LastUse {
    /// Something goes through it now.
    pub fn now(&self) {
        self.last_ms.store(self.age_ms(), Relaxed);
    }

    /// Whether something has in this time.
    pub fn was_within(&self, time: Duration) -> bool {
        let since = self.age_ms().saturating_sub(self.last_ms.load(Relaxed));
        Duration::from_millis(since) < time
    }

    fn age_ms(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Whether nothing has come over a kept connection, and it has not ended. What has come is the
/// answer to nothing, such as the 408 of a server that closes it, and could be taken for the one
/// to what is asked next.
pub fn is_quiet(connection: impl AsFd) -> bool {
    let peek = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    matches!(recv(connection, &mut [0; 1], peek), Err(Errno::AGAIN))
}

/// Has a connection reset when it is closed: a client of HTTP/1.0 would take the end of one for
/// the end of a body that is not whole.
pub fn reset_on_close(connection: impl AsFd) {
    // It fails when the client is gone.
    let _ = set_socket_linger(connection, Some(Duration::ZERO));
}

impl PartialEq for Service {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Service {}

impl Service {
    /// A proxy for those who connect to `listener`, to where it is allowed. It waits this long
    /// for clients and for upstreams.
    ///
    /// # Errors
    ///
    /// When the listener has no address.
    pub fn new(
        listener: TcpListener,
        allowed: Allowed,
        connections: usize,
        [patience, upstream_patience]: [Duration; 2],
        reuse: bool,
    ) -> Result<Self> {
        Ok(Self {
            listening: Arc::new(Listening::new(listener)?),
            allowed,
            connections,
            patience,
            upstream_patience,
            reuse,
        })
    }
}

impl Job {
    pub(crate) fn preset(preset: Preset) -> Self {
        let (connections, requests, bytes, delay_ms) = match preset {
            Preset::Article => (5, 20, 10 * 1024, 50),
            Preset::Heavy => (64, 20_000, 1024, 0),
        };
        Self {
            connections,
            requests,
            bytes,
            mode: Mode::Forward,
            reuse: true,
            delay_ms,
            slow: 0,
            rate: 0,
            idle: 0,
            service: None,
        }
    }

    /// What to proxy.
    ///
    /// # Panics
    ///
    /// If it is not filled in: running a prepared job does that.
    pub fn service(&self) -> &Arc<Service> {
        self.service.as_ref().expect("a prepared job has a service")
    }

    pub(crate) fn units(&self) -> usize {
        self.connections + self.idle
    }

    /// Sockets that the proxy has open at once at most: one for each of both sides, and those to
    /// upstreams that are kept meanwhile.
    pub fn sockets(&self) -> usize {
        2 * self.units() + self.connections
    }

    pub(crate) fn validate(&self) -> std::result::Result<(), Invalid> {
        Invalid::unless_within("connections", self.connections as u64, 1, 10_000)?;
        Invalid::unless_within("requests", self.requests, 1, 10_000_000)?;
        Invalid::unless_within("bytes", self.bytes, 0, 1 << 26)?;
        Invalid::unless_within("delay_ms", self.delay_ms, 0, 10_000)?;
        Invalid::unless_within("slow", self.slow, 0, 10_000_000)?;
        Invalid::unless_within("rate", self.rate, 0, 1_000_000)?;
        Invalid::unless_within("idle", self.idle as u64, 0, 10_000)
    }

    /// Connections over which nothing goes: the idle ones, and those that requests do not
    /// suffice for.
    pub fn silent(&self) -> usize {
        let asked = usize::try_from(self.requests).unwrap_or(usize::MAX);
        self.idle + self.connections.saturating_sub(asked)
    }

    pub(crate) fn scaled(&self, divisor: u64) -> Self {
        // No fewer than connections, or some of these would become silent.
        let least = self.requests.min(self.connections as u64);
        Self {
            requests: (self.requests / divisor).max(least),
            ..self.clone()
        }
    }

    /// Every request answered right, over as many connections as asked, of which the idle ones
    /// are still open; the proxy answers afterwards. The upstream has been asked for all of it
    /// through the proxy, by what it must look like there, over as many connections as are used
    /// again or are not.
    pub fn check(&self, outcome: &Outcome) -> std::result::Result<(), WrongAnswer> {
        let (counted, seen) = (&outcome.counted, &outcome.upstream);
        // First, as it is why requests are not answered.
        let wrong: Vec<_> = seen
            .wrong
            .iter()
            .map(|(kind, count)| format!("{count} times {kind}"))
            .collect();
        WrongAnswer::unless(wrong.is_empty(), "upstream", wrong.join(", "), "as asked")?;
        counted.check(self.requests, self.connections, self.idle)?;
        // And the one after all others.
        let all = self.requests + 1;
        let via = match self.mode {
            Mode::Forward => all,
            Mode::Connect => 0,
        };
        WrongAnswer::unless(
            seen.requests == all,
            "upstream.requests",
            seen.requests,
            all,
        )?;
        WrongAnswer::unless(seen.via == via, "upstream.via", seen.via, via)?;
        let asking = (self.connections as u64).min(self.requests) + 1;
        let (least, most) = match (self.mode, self.reuse) {
            (Mode::Forward, false) => (all, all),
            // What is kept may be what another client has given back.
            (Mode::Forward, true) => (1, asking),
            // At a rate, those that are free first may do it all.
            (Mode::Connect, _) if self.rate > 0 => (1, asking),
            (Mode::Connect, _) => (asking, asking),
        };
        let is_right = (least..=most).contains(&seen.connections);
        let right = format!("{least} to {most}");
        WrongAnswer::unless(is_right, "upstream.connections", seen.connections, right)?;
        // All tunnels stand before the first request.
        let least = match self.mode {
            Mode::Forward => 0,
            Mode::Connect => self.units() as u64,
        };
        let is_right = seen.most_open >= least;
        WrongAnswer::unless(is_right, "upstream.most_open", seen.most_open, least)
    }

    pub(crate) fn summary(&self, outcome: &Outcome, _elapsed: Duration) -> String {
        let added = outcome
            .counted
            .latency
            .p50
            .saturating_sub(outcome.direct.p50);
        format!(
            "{}; {:.3} ms more than direct at the median; {} connections to the upstream",
            outcome.counted.summary(),
            added as f64 / 1e6,
            outcome.upstream.connections,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(job: &Job) -> Outcome {
        let all = job.requests + 1;
        Outcome {
            counted: Counted::right(job.requests, job.connections, job.idle),
            direct: Latency::default(),
            upstream: Seen {
                connections: match (job.mode, job.reuse) {
                    (Mode::Forward, false) => all,
                    _ => job.connections as u64 + 1,
                },
                most_open: (job.connections + job.idle) as u64,
                requests: all,
                via: match job.mode {
                    Mode::Forward => all,
                    Mode::Connect => 0,
                },
                wrong: BTreeMap::new(),
            },
        }
    }

    #[test]
    fn what_an_upstream_must_not_see_is_found() {
        let forward = Job::preset(Preset::Article);
        let anew = Job {
            reuse: false,
            ..forward.clone()
        };
        let connect = Job {
            mode: Mode::Connect,
            idle: 9,
            ..forward.clone()
        };
        for job in [&forward, &anew, &connect] {
            job.check(&right(job)).expect("right");
        }
        type Change = fn(&mut Seen);
        let wrong: [(&Job, &str, Change); 8] = [
            (&forward, "upstream", |of| {
                of.wrong = BTreeMap::from([("two Via".to_owned(), 1)])
            }),
            (&forward, "upstream.requests", |of| of.requests -= 1),
            (&forward, "upstream.requests", |of| of.requests += 1),
            (&forward, "upstream.via", |of| of.via -= 1),
            (&connect, "upstream.via", |of| of.via += 1),
            (&forward, "upstream.connections", |of| of.connections = 20),
            (&anew, "upstream.connections", |of| of.connections = 6),
            (&connect, "upstream.most_open", |of| of.most_open -= 1),
        ];
        for (job, what, change) in wrong {
            let mut outcome = right(job);
            change(&mut outcome.upstream);
            assert_eq!(job.check(&outcome).expect_err(what).what, what);
        }
    }
}
