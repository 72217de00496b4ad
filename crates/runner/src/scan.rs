//! `scan`: a model's port scanner, as a program and as a job.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use load::HostShape;
use suite::scan::{self, Job, Outcome, Ports, Seen};
use suite::{Model, Result, Unsupported};

use crate::server::SEED;

/// How often it is counted how many attempts are under way, where that is not timed.
const LOOK: Duration = Duration::from_millis(2);

/// The other end of a job: a host in the origin's process.
#[derive(Debug)]
pub(crate) struct Host {
    host: origin::Host,
    /// What was open at all addresses when it was asked last.
    open_everywhere: Ports,
}

impl Host {
    /// Opens the ports of a job.
    pub(crate) fn new(job: &mut Job, origin: &str) -> Result<Self> {
        let host = origin::Host::open(
            origin,
            &HostShape {
                ports: job.ports.ranges().to_vec(),
                open: job.open,
                filtered: job.filtered,
                seed: SEED,
            },
        )?;
        let counts = host.counts()?;
        if job.filtered > 0 && counts.filtered.is_empty() {
            let text = "no port can be filtered here: this system does not drop connections to a \
                        full queue, or these ports take a privilege";
            return Err(Unsupported(text.to_owned()).into());
        }
        job.host = Some(scan::Host {
            address: host.address(),
            open: counts.open.into_iter().collect(),
            filtered: counts.filtered.into_iter().collect(),
        });
        Ok(Self {
            host,
            open_everywhere: counts.open_everywhere.into_iter().collect(),
        })
    }

    /// Has a model do the job once: how long it took, and what both ends know of it.
    pub(crate) fn run(&mut self, job: &Job, model: &dyn Model) -> Result<(Duration, Outcome)> {
        let (elapsed, outcome, most_waiting) = match job.unwatched {
            true => {
                let started = Instant::now();
                let outcome = model.scan(job);
                (started.elapsed(), outcome, 0)
            }
            false => watched(job, model)?,
        };
        // Why a job failed says more than that its host has gone.
        let outcome = outcome?;
        let counts = self.host.counts()?;
        let now: Ports = counts.open_everywhere.into_iter().collect();
        let before = std::mem::replace(&mut self.open_everywhere, now.clone());
        let seen = Seen {
            accepted: counts.accepted,
            most_at_a_port: counts.most_at_a_port,
            most_waiting,
            left_out: before.iter().chain(now.iter()).collect(),
            cpu_ns: counts.cpu_ns,
        };
        Ok((elapsed, Outcome { seen, ..outcome }))
    }
}

/// The same, and the most attempts that the system has had under way.
fn watched(job: &Job, model: &dyn Model) -> Result<(Duration, Result<Outcome>, u64)> {
    let (end, ended) = channel::<()>();
    let address = job.host().address;
    let watch = move || {
        let mut most = 0;
        loop {
            most = most.max(load::waiting_for(address).context("this machine's sockets")?);
            if ended.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout) {
                return Ok(most as u64);
            }
        }
    };
    thread::scope(|scope| {
        let watching = thread::Builder::new().spawn_scoped(scope, watch);
        let watching = watching.context("cannot start a thread")?;
        let started = Instant::now();
        let outcome = model.scan(job);
        let elapsed = started.elapsed();
        drop(end);
        let most = watching.join();
        let most: Result<_> = most.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((elapsed, outcome, most?))
    })
}
