//! Unit: child process, a writer and a reader. Shares: a channel between them,
//! and an integer in shared memory. Ends: the marker.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use anyhow::Context;
use ipc_channel::ipc::{self, IpcReceiver, IpcSender};
use serde::{Deserialize, Serialize};
use suite::Result;
use suite::exchange::{Job, Outcome, Transcript, message};

use crate::children::Children;
use crate::worker::{self, Answer, Worker};

const WRITER: usize = 0;
const READER: usize = 1;

pub fn run(job: &Job, children: &mut Children) -> Result<Outcome> {
    children.together(2, |children| {
        // Not the right value, not even by chance.
        children.shared().exchange.store(!job.value, Relaxed);
        let (queue, messages) = ipc::channel()?;
        let writer = Task::Write(job.clone(), queue);
        children.send(READER, worker::Task::Exchange(Task::Read(messages)))?;
        children.send(WRITER, worker::Task::Exchange(writer))?;
        let mut outcome = None;
        for _ in [WRITER, READER] {
            match children.answer()? {
                Answer::Done => {}
                Answer::Outcome(read) => outcome = Some(read),
                other => return Err(other.unexpected()),
            }
        }
        outcome.context("the reader has read nothing")
    })
}

/// Which of the two to be. `None` is the end marker.
#[derive(Debug, Serialize, Deserialize)]
pub enum Task {
    Write(Job, IpcSender<Option<String>>),
    Read(IpcReceiver<Option<String>>),
}

impl Task {
    pub fn perform(self, worker: &Worker) -> Result<Answer> {
        match self {
            Task::Write(job, queue) => Ok(write(&job, &queue, worker)),
            Task::Read(messages) => Ok(read(&messages, worker)),
        }
    }
}

fn write(job: &Job, queue: &IpcSender<Option<String>>, worker: &Worker) -> Answer {
    for sequence in 0..job.messages {
        if queue.send(Some(message(sequence))).is_err() {
            return Answer::Deserted;
        }
    }
    // The marker goes through the kernel, which orders memory too; but no
    // contract says so.
    worker.memory.exchange.store(job.value, Release);
    match queue.send(None) {
        Ok(()) => Answer::Done,
        Err(_) => Answer::Deserted,
    }
}

fn read(messages: &IpcReceiver<Option<String>>, worker: &Worker) -> Answer {
    let mut transcript = Transcript::default();
    loop {
        match messages.recv() {
            Ok(Some(message)) => transcript.collect(&message),
            Ok(None) => break,
            Err(_) => return Answer::Deserted,
        }
    }
    Answer::Outcome(transcript.outcome(worker.memory.exchange.load(Acquire)))
}
