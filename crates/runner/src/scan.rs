//! `scan`: a model's port scanner, as a program and as a job.

use std::collections::HashSet;
use std::process;
use std::sync::Arc;
use std::sync::Once;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use load::HostShape;
use rustix::process::{Resource, getrlimit};
use serde_json::json;
use suite::completion::nanoseconds;
use suite::scan::{self, Job, Outcome, Ports, Seen, Service};
use suite::{Model, Preset, Result, Setup, Unsupported, Workload};

use crate::cli::ScanArgs;
use crate::download::raise_open_files;
use crate::server::{SEED, on_signal};
use crate::{FAILED, INTERRUPTED};

/// Files that a model has open on top of its sockets, at most.
const OTHER_FILES: u64 = 64;

/// How long a model has to end when it is interrupted: attempts under way may take longer.
const PATIENCE: Duration = Duration::from_millis(700);

/// How often it is counted how many attempts are under way, where that is not timed.
const LOOK: Duration = Duration::from_millis(2);

/// Scans, and returns the exit code.
pub(crate) fn scan<M: Model>(args: &ScanArgs) -> Result<u8> {
    raise_open_files();
    let limit = args.limit.min(room());
    let mut job = Workload::Scan.job(Preset::Article);
    if let suite::Job::Scan(job) = &mut job {
        job.ports = args.ports.clone();
        job.limit = limit;
    }
    let program = std::env::current_exe().context("this program's own path")?;
    let threads = args.threads.unwrap_or_else(crate::cores);
    let setup = Setup::sized(&job, program, threads, Setup::BLOCKING_THREADS);
    let model = M::start(&setup).context("the model does not start")?;
    let ports = args.ports.clone();
    let service = Service::new(args.host, ports, limit, args.timeout, args.retries);
    let report = Arc::new(Report {
        service: service.clone(),
        json: args.json,
        started: Instant::now(),
        printed: Once::new(),
    });
    let (running, ended) = channel::<()>();
    let interrupted = report.clone();
    on_signal(move || {
        interrupted.service.stop();
        let give_up = move || {
            if ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                process::exit(interrupted.print().unwrap_or(FAILED).into());
            }
        };
        // Without a thread, the attempts under way are waited for.
        let _ = thread::Builder::new().spawn(give_up);
    })?;
    let scanned = model.scan_ports(&service);
    drop(running);
    scanned.with_context(|| format!("the scan of {}", args.host))?;
    report.print()
}

/// How many sockets may be open at once.
fn room() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files.saturating_sub(OTHER_FILES).max(1)).unwrap_or(usize::MAX)
}

/// What is known of the ports, for people or for programs.
struct Report {
    service: Arc<Service>,
    json: bool,
    started: Instant,
    printed: Once,
}

impl Report {
    /// Prints it, once, and returns the exit code.
    fn print(&self) -> Result<u8> {
        let outcome = self.service.outcome();
        let is_interrupted = self.service.is_stopped();
        let text = match self.json {
            true => self.json(&outcome, is_interrupted),
            false => self.text(&outcome, is_interrupted),
        };
        let mut printed = Ok(());
        self.printed.call_once(|| printed = crate::print(&text));
        printed?;
        Ok(match (is_interrupted, outcome.failed.is_empty()) {
            (true, _) => INTERRUPTED,
            (false, true) => 0,
            (false, false) => FAILED,
        })
    }

    fn text(&self, outcome: &Outcome, is_interrupted: bool) -> String {
        let mut text = String::new();
        for (ports, state) in [(&outcome.open, "open"), (&outcome.filtered, "filtered")] {
            for range in ports
                .to_string()
                .split(',')
                .filter(|range| !range.is_empty())
            {
                text += &format!("{range}\t{state}\n");
            }
        }
        for failure in &outcome.failed {
            text += &format!("{}\tfailed: {}\n", failure.port, failure.reason);
        }
        text + &format!(
            "{} of {} ports{}: {} open, {} closed, {} filtered, {} failed; {:.2?}\n",
            outcome.ports,
            self.service.ports.len(),
            if is_interrupted { ", interrupted" } else { "" },
            outcome.open.len(),
            outcome.closed.len(),
            outcome.filtered.len(),
            outcome.failed.len(),
            self.started.elapsed(),
        )
    }

    fn json(&self, outcome: &Outcome, is_interrupted: bool) -> String {
        let list = |ports: &Ports| ports.iter().collect::<Vec<_>>();
        let all = json!({
            "host": self.service.host,
            "ports": self.service.ports.len(),
            "scanned": outcome.ports,
            "interrupted": is_interrupted,
            "open": list(&outcome.open),
            "filtered": list(&outcome.filtered),
            "closed": outcome.closed.len(),
            "failed": outcome.failed,
            "attempts": outcome.attempts,
            "most_at_once": outcome.most_at_once,
            "lowered": outcome.lowered,
            "elapsed_ns": nanoseconds(self.started.elapsed()),
        });
        format!("{all}\n")
    }
}

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
        let (mut most, mut before) = (0, HashSet::new());
        loop {
            // It fails while the model has used up all files that may be open.
            let now = load::waiting_for(address).unwrap_or_default();
            most = most.max(now.intersection(&before).count());
            before = now;
            if ended.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout) {
                return most as u64;
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
        let most = most.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((elapsed, outcome, most))
    })
}
