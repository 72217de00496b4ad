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
    let chunks = job.chunks().map(Task);
    let mut workers = children.deal(job.workers, chunks, worker::Task::Primes)?;
    let mut count = 0;
    while let Some(answer) = workers.answer(None)? {
        count += answer.number()?;
    }
    Ok(Outcome { count })
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
