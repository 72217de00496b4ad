//! What the origin itself can do for a job: what a model takes beyond that is
//! the model's.

use std::time::Duration;

use origin::Shape;
use suite::{Job, download, fetch};

/// How long the origin takes to answer the job's requests, over as many
/// connections as the job may use. `None` for a job that asks it nothing.
///
/// # Errors
///
/// When the origin does not answer.
pub fn measure(origin: &str, job: &Job) -> anyhow::Result<Option<Duration>> {
    match job {
        Job::Fetch(job) if job.urls.is_empty() => fetch(origin, job).map(Some),
        Job::Download(job) if job.urls.is_none() => download(origin, job).map(Some),
        _ => Ok(None),
    }
}

fn fetch(origin: &str, job: &fetch::Job) -> anyhow::Result<Duration> {
    let run = origin::Run::open(origin, &Shape::default())?;
    let urls: Vec<_> = job.delays_ms.iter().map(|&ms| run.delay_url(ms)).collect();
    origin::ceiling(&urls, urls.len())
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
    origin::ceiling(&urls, job.limit.min(urls.len()))
}
