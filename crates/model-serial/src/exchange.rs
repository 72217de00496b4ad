//! Unit: none. Shares: a `VecDeque`, and an integer. Ends: the marker.

use std::collections::VecDeque;

use anyhow::Context;
use suite::Result;
use suite::exchange::{Job, Outcome, Transcript, message};

pub fn run(job: &Job) -> Result<Outcome> {
    let mut queue = VecDeque::new();
    let mut shared = 0;
    write(job, &mut queue, &mut shared);
    read(&mut queue, &shared)
}

/// `None` is the end marker.
fn write(job: &Job, queue: &mut VecDeque<Option<String>>, shared: &mut u64) {
    for sequence in 0..job.messages {
        queue.push_back(Some(message(sequence)));
    }
    *shared = job.value;
    queue.push_back(None);
}

fn read(queue: &mut VecDeque<Option<String>>, shared: &u64) -> Result<Outcome> {
    let mut transcript = Transcript::default();
    while let Some(message) = queue.pop_front().context("there is no marker")? {
        transcript.collect(&message);
    }
    Ok(transcript.outcome(*shared))
}
