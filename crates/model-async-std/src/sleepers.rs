//! Unit: task. Shares: an `Arc` of the job, and one of the counts. Ends: the channel
//! closes when the last task drops its sender.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use async_std::channel::bounded;
use async_std::task;
use suite::Result;
use suite::sleepers::{Job, Outcome, Tally};

pub async fn run(job: Job) -> Result<Outcome> {
    let (job, tally) = (Arc::new(job), Arc::new(Tally::default()));
    // Nothing is ever sent here: it closes when the last task has ended. A sender
    // is a third of the handle that would have to be kept to await a task.
    let (sleeping, all_woken) = bounded::<Infallible>(1);
    for _ in 0..job.units {
        let (job, tally, sleeping) = (job.clone(), tally.clone(), sleeping.clone());
        // An `async fn` would have room for its arguments twice.
        task::spawn(async move {
            let due = Instant::now() + job.wait();
            tally.began();
            task::sleep(job.wait()).await;
            tally.woke(due);
            drop(sleeping);
        });
    }
    drop(sleeping);
    let Err(_closed) = all_woken.recv().await;
    Ok(tally.outcome())
}
