//! Unit: child process, dealt chunks of the range. Shares: nothing. Ends: every
//! chunk is answered.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use suite::Result;
use suite::primes::{Job, Outcome, count};

use crate::children::Children;
use crate::worker::{self, Answer};

pub fn run(job: &Job, children: &mut Children) -> Result<Outcome> {
    let shares = shares(job);
    let mut workers = children.deal(job.workers, shares, worker::Task::Primes)?;
    let mut count = 0;
    while let Some(answer) = workers.answer(None)? {
        count += answer.number()?;
    }
    Ok(Outcome { count })
}

/// The chunks, several at once to begin with: a share costs two messages. Fewer
/// towards the end, where nobody should wait for one who has many left (guided
/// self-scheduling: Polychronopoulos and Kuck, 1987).
fn shares(job: &Job) -> Vec<Task> {
    let mut chunks = job.chunks();
    let mut shares = Vec::new();
    while let Some(first) = chunks.next() {
        let more = chunks.len() / (2 * job.workers);
        let last = match more {
            0 => first.end,
            _ => chunks.nth(more - 1).map_or(first.end, |chunk| chunk.end),
        };
        shares.push(Task(first.start..last));
    }
    shares
}

/// How many of these are prime?
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task(Range<u64>);

impl Task {
    pub fn perform(self) -> Result<Answer> {
        Ok(Answer::Number(count(self.0)))
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "primes in {:?}", self.0)
    }
}
