//! Unit: blocking call, as many as there are cores for; or task, over `tokio::fs`. Shares:
//! the files that are left. Ends: the `JoinSet` drains.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use suite::Result;
use suite::files::{Examination, Job, Outcome, PIECE_BYTES, Place, Summary, examine};
use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;

pub async fn run(job: Job, units: usize) -> Result<Outcome> {
    let summaries = match job.place {
        Place::Pool => in_pool(&job, units).await,
        Place::Runtime => through_runtime(&job, units).await,
    };
    let mut tally = job.tally();
    for (file, summary) in summaries.into_iter().flatten() {
        tally.add(file, summary.map_err(|error| error.to_string()));
    }
    Ok(job.outcome(tally))
}

/// What one unit has read.
type Summaries = Vec<(usize, io::Result<Summary>)>;

/// Each call takes file after file: to hand over every single one takes as long as the
/// second core saves.
async fn in_pool(job: &Job, units: usize) -> Vec<Summaries> {
    let files = Arc::new(Mutex::new(0..job.paths.len()));
    let next = move || files.lock().unwrap_or_else(PoisonError::into_inner).next();
    let mut workers = JoinSet::new();
    for _ in 0..units {
        let (paths, next) = (job.paths.clone(), next.clone());
        workers.spawn_blocking(move || {
            let mut summaries = Summaries::new();
            while let Some(file) = next() {
                summaries.push((file, File::open(&paths[file]).and_then(examine)));
            }
            summaries
        });
    }
    workers.join_all().await
}

/// Twice as many tasks as cores: while one hashes a piece, another's is read.
async fn through_runtime(job: &Job, units: usize) -> Vec<Summaries> {
    let files = Arc::new(Mutex::new(0..job.paths.len()));
    let next = move || files.lock().unwrap_or_else(PoisonError::into_inner).next();
    let mut workers = JoinSet::new();
    for _ in 0..2 * units {
        let (paths, next) = (job.paths.clone(), next.clone());
        workers.spawn(async move {
            let mut summaries = Summaries::new();
            while let Some(file) = next() {
                summaries.push((file, read(&paths[file]).await));
            }
            summaries
        });
    }
    workers.join_all().await
}

async fn read(path: &Path) -> io::Result<Summary> {
    let mut file = tokio::fs::File::open(path).await?;
    let mut examination = Examination::default();
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut buffer).await? {
            0 => return Ok(examination.finish()),
            read => examination.add(&buffer[..read]),
        }
    }
}
