//! `fetch`: GET a few URLs, all at once, that answer after different delays.
//!
//! Shows that waiting adds up in turn and not at once: the elapsed time is near
//! the slowest delay, or near the sum of all.
//!
//! **Completion time** of a URL: from when the job starts, as all are asked at
//! once, until its body is whole. Those that a model asks in turn wait for each
//! other, and the wait is part of it. The process model's clock stops when the
//! parent hears of it.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Invalid, Preset, WrongAnswer, completion};

/// What is fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The delays of the origin's answers, in milliseconds: a URL each.
    pub delays_ms: Vec<u64>,
    /// URLs of one's own, instead of the origin's.
    pub urls: Vec<String>,
    /// What to fetch: `urls`, or the origin's URL for each delay. Filled in
    /// when the job is prepared, as the origin's address is not known before.
    #[serde(skip)]
    pub targets: Vec<String>,
    /// What all bodies come to, where that is known beforehand.
    #[serde(skip)]
    pub expected: Option<Body>,
}

/// A body, as far as it has come: or several, added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// Its length.
    pub bytes: u64,
    /// Its CRC-32; of several, the sum. It is part of what is timed: anything
    /// stronger would take longer than the body takes to arrive.
    pub checksum: u64,
}

impl Body {
    /// One more piece has come.
    pub fn push(&mut self, piece: &[u8]) {
        let mut checksum = crc32fast::Hasher::new_with_initial(self.checksum as u32);
        checksum.update(piece);
        self.checksum = checksum.finalize().into();
        self.bytes += piece.len() as u64;
    }

    /// One more whole body.
    pub fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.checksum = self.checksum.wrapping_add(other.checksum);
    }
}

impl From<&[u8]> for Body {
    fn from(whole: &[u8]) -> Self {
        let mut body = Self::default();
        body.push(whole);
        body
    }
}

/// So that a body can be copied here, and is not kept.
impl io::Write for Body {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.push(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What was fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Bodies that arrived whole.
    pub bodies: usize,
    /// Bytes of all bodies.
    pub bytes: u64,
    /// The sum of their CRC-32s.
    #[serde(default)]
    pub checksum: u64,
    /// The completion time of each, in nanoseconds, in any order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub completion_ns: Vec<u64>,
}

impl Outcome {
    /// One more body has arrived, so long after the job's start.
    pub fn add(&mut self, body: Body, time: Duration) {
        self.bodies += 1;
        self.bytes += body.bytes;
        self.checksum = self.checksum.wrapping_add(body.checksum);
        self.completion_ns.push(completion::nanoseconds(time));
    }
}

impl Job {
    pub(crate) fn preset(preset: Preset) -> Self {
        let delays_ms = match preset {
            Preset::Article => vec![100, 200, 300],
            Preset::Heavy => (0..64).map(|url| 1 + url % 8).collect(),
        };
        Self {
            delays_ms,
            urls: Vec::new(),
            targets: Vec::new(),
            expected: None,
        }
    }

    /// The least that all at once can take: the slowest answer.
    pub fn slowest(&self) -> Duration {
        Duration::from_millis(self.delays_ms.iter().copied().max().unwrap_or(0))
    }

    /// What one after the other takes: all answers.
    pub fn sum(&self) -> Duration {
        let sum = self
            .delays_ms
            .iter()
            .fold(0u64, |sum, ms| sum.saturating_add(*ms));
        Duration::from_millis(sum)
    }

    pub(crate) fn units(&self) -> usize {
        if self.urls.is_empty() {
            self.delays_ms.len()
        } else {
            self.urls.len()
        }
    }

    pub(crate) fn validate(&self) -> Result<(), Invalid> {
        for url in &self.urls {
            check_url("urls", url)?;
        }
        Invalid::unless_within("delays_ms (their number)", self.units() as u64, 1, 10_000)?;
        for &delay in &self.delays_ms {
            Invalid::unless_within("delays_ms", delay, 0, 3_600_000)?;
        }
        Ok(())
    }

    pub(crate) fn scaled(&self, divisor: u64) -> Self {
        let mut job = self.clone();
        if self.delays_ms.len() > 16 {
            job.delays_ms
                .truncate((self.delays_ms.len() / divisor as usize).max(1));
        } else {
            for delay in &mut job.delays_ms {
                *delay = (*delay / divisor).max(1);
            }
        }
        job
    }

    /// Every body as it was sent, and none before it can have been.
    pub fn check(&self, outcome: &Outcome) -> Result<(), WrongAnswer> {
        self.check_bodies(outcome)?;
        if let Some(Body { checksum, .. }) = self.expected {
            WrongAnswer::unless(
                outcome.checksum == checksum,
                "checksum",
                outcome.checksum,
                checksum,
            )?;
        }
        // How long other servers take is not known.
        let delays = self.delays_ms.iter().filter(|_| self.urls.is_empty());
        completion::check(&outcome.completion_ns, self.units(), delays.copied())
    }

    /// The part of [`Job::check`] that can be seen from outside: how many bodies,
    /// and how long they are.
    pub fn check_bodies(&self, outcome: &Outcome) -> Result<(), WrongAnswer> {
        WrongAnswer::unless(
            outcome.bodies == self.units(),
            "bodies",
            outcome.bodies,
            self.units(),
        )?;
        let Some(Body { bytes, .. }) = self.expected else {
            return Ok(());
        };
        WrongAnswer::unless(outcome.bytes == bytes, "bytes", outcome.bytes, bytes)
    }

    pub(crate) fn summary(&self, outcome: &Outcome, _elapsed: Duration) -> String {
        let bodies = format!("{} bodies, {} bytes", outcome.bodies, outcome.bytes);
        if !self.urls.is_empty() {
            return bodies; // how long those take is not known
        }
        format!(
            "{bodies}; the slowest answer takes {:?}, all in turn {:?}",
            self.slowest(),
            self.sum()
        )
    }
}

/// Plain HTTP with a host, for now. What comes after the host is for the server
/// to judge.
pub fn check_url(key: &str, url: &str) -> Result<(), Invalid> {
    let fine = !url.chars().any(|c| c.is_whitespace() || c.is_control())
        && url.strip_prefix("http://").is_some_and(|rest| {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            is_authority(&rest[..end])
        });
    if fine {
        return Ok(());
    }
    Err(Invalid::new(
        key,
        url,
        "has to be a plain `http://host/...` URL",
    ))
}

/// `host`, `host:port` or `[IPv6]:port`. Some clients take a port that is none
/// for no port, and ask another server.
fn is_authority(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => (
                address,
                port.strip_prefix(':').or((port.is_empty()).then_some("80")),
            ),
            _ => return false,
        },
        None => match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, Some("80")),
        },
    };
    let fit = |c: char| !matches!(c, ':' | '[' | ']' | '@' | '\\');
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    let is_host = !host.is_empty() && (authority.starts_with('[') || host.chars().all(fit));
    is_host && port.is_some_and(is_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_another_one_is_wrong() {
        let bodies = [&b"one"[..], b"two"].map(Body::from);
        let mut job = Job {
            delays_ms: vec![1, 2],
            ..Job::preset(Preset::Article)
        };
        let mut expected = Body::default();
        bodies.iter().for_each(|&body| expected.add(body));
        job.expected = Some(expected);
        let outcome = |bodies: [Body; 2]| {
            let mut outcome = Outcome::default();
            let time = Duration::from_secs(1);
            bodies.iter().for_each(|&body| outcome.add(body, time));
            outcome
        };
        assert!(job.check(&outcome(bodies)).is_ok());
        let wrong = [bodies[0], Body::from(&b"twO"[..])];
        assert!(job.check(&outcome(wrong)).is_err());
        assert!(job.check(&outcome([bodies[0]; 2])).is_err());
        let mut pieces = Body::default();
        pieces.push(b"t");
        pieces.push(b"wo");
        assert_eq!(pieces, bodies[1]);
    }

    #[test]
    fn only_urls_that_name_a_server_pass() {
        for good in [
            "http://h",
            "http://h/",
            "http://127.0.0.1:65535/a?b#c",
            "http://[::1]:80/",
            "http://[::1]",
            "http://h?q=http://x:99999",
        ] {
            assert!(check_url("urls", good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "h",
            "https://h/",
            "http://",
            "http:///path",
            "http://h:/",
            "http://h:0/",
            "http://h:65536/",
            "http://h:port/",
            "http://[::1/",
            "http://[::1]x/",
            "http://[h]/",
            "http://a:b@h/",
            "http://h /",
        ] {
            assert!(check_url("urls", bad).is_err(), "{bad}");
        }
    }
}
