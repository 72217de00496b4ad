//! Unit: none. Shares: a `VecDeque`, and an integer. Ends: the marker.

use std::collections::VecDeque;

use anyhow::Context;
use suite::Result;
use suite::exchange::{Job, Message, Outcome, Transcript};

pub fn run(job: &Job) -> Result<Outcome> {
    let mut queue = VecDeque::new();
    let mut shared = job.before();
    write(job, &mut queue, &mut shared);
    read(&mut queue, &shared)
}

/// `None` is the end marker.
fn write(job: &Job, queue: &mut VecDeque<Option<Message>>, shared: &mut u64) {
    for sequence in 0..job.messages {
        queue.push_back(Some(job.message(sequence)));
    }
    *shared = job.value;
    queue.push_back(None);
}

fn read(queue: &mut VecDeque<Option<Message>>, shared: &u64) -> Result<Outcome> {
    let mut transcript = Transcript::default();
    while let Some(message) = queue.pop_front().context("there is no marker")? {
        transcript.collect(&message);
    }
    Ok(transcript.outcome(*shared))
}
