//! Unit: child process, dealt chunks of the range. Shares: nothing. Ends: every
//! chunk is answered.

use std::ops::Range;

use suite::Result;
use suite::primes::{Job, Outcome, count};

use crate::pool::{Answer, Children, Chunks, Task};

pub fn run(job: &Job, children: &mut Children) -> Result<Outcome> {
    let describe = |range: &_| format!("primes in {range:?}");
    let mut workers = Chunks::dispatch(children, job.workers, chunks(job), Task::Primes, describe)?;
    let mut count = 0;
    while let Some(answer) = workers.answer(None)? {
        count += answer.number()?;
    }
    Ok(Outcome { count })
}

/// The job's chunks, several joined to begin with: each costs two messages. Fewer
/// towards the end, where no child should wait for one that has many left (guided
/// self-scheduling: Polychronopoulos and Kuck, 1987). None is joined to another, if the job
/// says how large each is.
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
