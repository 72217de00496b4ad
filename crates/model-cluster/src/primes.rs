//! Unit: slot of a node, which pulls shares of the range. Shares: nothing. Ends: every share is
//! answered.

use std::ops::Range;

use suite::Result;
use suite::primes::{Job, Outcome, count};

use crate::protocol::{Answer, Task};
use crate::session::Session;
use crate::shares::Shares;

pub async fn run(job: &Job, session: &mut Session) -> Result<Outcome> {
    let tasks = chunks(job).into_iter().map(Task::Primes);
    let mut workers = Shares::deal(session, tasks).await?;
    let mut count = 0;
    while let Some(answer) = workers.answer().await? {
        count += answer.number()?;
    }
    Ok(Outcome { count })
}

/// Joins the job's chunks into shares. The first shares have several chunks each, because a share
/// costs several messages. Towards the end they get smaller, so that no slot waits for one with
/// much left (guided self-scheduling: Polychronopoulos and Kuck, 1987). If the job sets the size of
/// a share, no chunks are joined.
fn chunks(job: &Job) -> Vec<Range<u64>> {
    let mut chunks = job.chunks();
    let mut joined = Vec::new();
    while let Some(first) = chunks.next() {
        let more = match job.share {
            0 => chunks.len() / (2 * job.workers),
            _ => 0,
        };
        let last = match more {
            0 => first.end,
            _ => chunks.nth(more - 1).map_or(first.end, |chunk| chunk.end),
        };
        joined.push(first.start..last);
    }
    joined
}

pub(crate) fn perform(range: Range<u64>) -> Answer {
    Answer::Number(count(range))
}
