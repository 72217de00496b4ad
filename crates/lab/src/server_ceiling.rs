//! What the origin itself can do for a job: what a model takes beyond that is
//! the model's.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use origin::Shape;
use suite::{Job, Workload, download, fetch};

use crate::affinity::Share;
use crate::error::last_words;
use crate::interrupt::Interrupt;
use crate::process::{self, Limits, Streams};

/// How long the origin takes to answer the job's requests, over as many
/// connections as the job may use, asked from the contestants' share of the
/// cores. `None` for a job that asks it nothing.
pub fn measure(
    origin: &str,
    job: &Job,
    share: Option<Share>,
    timeout: Duration,
    interrupt: &Interrupt,
) -> anyhow::Result<Option<Duration>> {
    match job {
        Job::Fetch(job) if job.urls.is_empty() => {}
        Job::Download(job) if job.urls.is_none() => {}
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
        | Job::Thumbnails(_) => return Ok(None),
    }
    // In a process of its own, which can be ended whatever it waits for; a thread
    // could not.
    let mut command = Command::new(std::env::current_exe().context("this program")?);
    command.args(["ceiling", origin, job.workload().name()]);
    command.arg(job.to_json().to_string());
    let limits = Limits {
        timeout,
        interrupt: interrupt.clone(),
    };
    let done = process::run_on(share, Streams::default(), &mut command, &limits, None)?;
    match done.stdout.trim().parse() {
        Ok(nanoseconds) => Ok(Some(Duration::from_nanos(nanoseconds))),
        Err(_) => bail!("{}: {}", done.status, last_words(&done.stderr)),
    }
}

/// The child's side of [`measure`]: the same in nanoseconds.
pub fn nanoseconds(origin: &str, workload: Workload, job: &str) -> anyhow::Result<u128> {
    let job = workload.job_from_json(serde_json::from_str(job)?)?;
    let time = match &job {
        Job::Fetch(job) => fetch(origin, job)?,
        Job::Download(job) => download(origin, job)?,
        Job::Counter(_)
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
        | Job::Thumbnails(_) => bail!("{workload} asks the origin nothing"),
    };
    Ok(time.as_nanos())
}

fn fetch(origin: &str, job: &fetch::Job) -> anyhow::Result<Duration> {
    let run = origin::Run::open(origin, &Shape::default())?;
    let urls: Vec<_> = job.delays_ms.iter().map(|&ms| run.delay_url(ms)).collect();
    best(&urls, urls.len())
}

fn download(origin: &str, job: &download::Job) -> anyhow::Result<Duration> {
    let shape = Shape {
        images: job.images,
        image_bytes: job.image_bytes,
        delay_ms: job.delay_ms,
        mbit_per_s: job.mbit_per_s,
    };
    let run = origin::Run::open(origin, &shape)?;
    let urls: Vec<_> = run.files()?.into_iter().map(|file| file.url).collect();
    best(&urls, job.limit.min(urls.len()))
}

/// The best of five times: disturbances only add. One is enough where the
/// origin itself waits for longer than that.
fn best(urls: &[String], connections: usize) -> anyhow::Result<Duration> {
    const TIMES: u32 = 5;
    const LONG: Duration = Duration::from_millis(250);
    let mut best = origin::ceiling(urls, connections)?;
    for _ in 1..TIMES {
        if best > LONG {
            break;
        }
        best = best.min(origin::ceiling(urls, connections)?);
    }
    Ok(best)
}
