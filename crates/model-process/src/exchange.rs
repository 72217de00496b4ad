//! Unit: child process, a writer and a reader. Shares: a channel between them,
//! and an integer in shared memory. Ends: the marker.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use anyhow::Context;
use ipc_channel::ipc::{self, IpcReceiver, IpcSender};
use suite::exchange::{Job, Message, Outcome, Transcript};
use suite::{PhaseClock, Result};

use crate::pool::protocol::ExchangeTask;
use crate::pool::{Answer, Children, Task, WorkerContext};

const WRITER: usize = 0;
const READER: usize = 1;

pub fn run(job: &Job, children: &mut Children) -> Result<Outcome> {
    children.run_all_or_retry(2, |children| {
        children.memory.exchange.store(job.before(), Relaxed);
        let clock = PhaseClock::begin();
        let (queue, messages) = ipc::channel()?;
        let writer = ExchangeTask::Write(job.clone(), queue);
        children.send(READER, Task::Exchange(ExchangeTask::Read(messages)))?;
        children.send(WRITER, Task::Exchange(writer))?;
        clock.started();
        let mut outcome = None;
        for _ in [WRITER, READER] {
            match children.answer()? {
                Answer::Done => {}
                Answer::Exchange(read) => outcome = Some(read),
                other => return Err(other.unexpected()),
            }
        }
        clock.worked();
        let outcome = outcome.context("the reader has read nothing")?;
        Ok(Outcome {
            phases: clock.phases(),
            ..outcome
        })
    })
}

pub(crate) fn perform(task: ExchangeTask, context: &WorkerContext) -> Answer {
    match task {
        ExchangeTask::Write(job, queue) => write(&job, &queue, context),
        ExchangeTask::Read(messages) => read(&messages, context),
    }
}

fn write(job: &Job, queue: &IpcSender<Option<Message>>, context: &WorkerContext) -> Answer {
    for sequence in 0..job.messages {
        if queue.send(Some(job.message(sequence))).is_err() {
            return Answer::PeerGone;
        }
    }
    // The marker goes through the kernel, which orders memory too; but no
    // contract says so.
    context.memory.exchange.store(job.value, Release);
    match queue.send(None) {
        Ok(()) => Answer::Done,
        Err(_) => Answer::PeerGone,
    }
}

fn read(messages: &IpcReceiver<Option<Message>>, context: &WorkerContext) -> Answer {
    let mut transcript = Transcript::default();
    loop {
        match messages.recv() {
            Ok(Some(message)) => transcript.collect(&message),
            Ok(None) => break,
            Err(_) => return Answer::PeerGone,
        }
    }
    Answer::Exchange(transcript.outcome(context.memory.exchange.load(Acquire)))
}
