//! Unit: child process, one a connection. Shares: whose turn it is, in shared memory, and an
//! eventfd. Ends: every child has answered; the eventfd tells them all that they are cancelled.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::{Duration, Instant};

use anyhow::Context;
use runner::clock::monotonic_ns;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use suite::Result;
use suite::deadlines::{Answers, Job, Ledger, Outcome, Slot, Tally};

use crate::pool::protocol::DeadlinesTask;
use crate::pool::{Answer, Children, Task, WorkerContext, fd_passing};

pub fn run(job: &Job, children: &mut Children) -> Result<Outcome> {
    // When one dies, the others wait for it at the gate: all start again.
    children.run_all_or_retry(job.slots() as usize, |children| {
        children.memory.turn.reset();
        children.memory.cancelled_ns.store(0, Release);
        let cancelled = eventfd(0, EventfdFlags::CLOEXEC).context("an eventfd")?;
        let slot = &children.fd_slot;
        slot.put(&cancelled).context("passing on the eventfd")?;
        let worked = work_all(job, children);
        // Those that have not answered would take what is put there next.
        children.kill_busy();
        let slot = &children.fd_slot;
        slot.clear().context("taking the eventfd back")?;
        let tally = worked?;
        let memory = &children.memory;
        let cancel = Some(memory.cancelled_ns.load(Acquire))
            .filter(|cancelled| *cancelled > 0)
            .map(|cancelled| Duration::from_nanos(monotonic_ns() - cancelled));
        Ok(tally.outcome(&memory.turn, cancel))
    })
}

fn work_all(job: &Job, children: &mut Children) -> Result<Tally> {
    for slot in 0..job.slots() {
        let task = DeadlinesTask {
            job: job.clone(),
            slot,
            address: job.address(),
        };
        children.send(slot as usize, Task::Deadlines(task))?;
    }
    let mut total = Tally::default();
    for _ in 0..job.slots() {
        match children.answer()? {
            Answer::Deadlines(tally) => total.add(tally),
            other => return Err(other.unexpected()),
        }
    }
    Ok(total)
}

pub(crate) fn perform(task: DeadlinesTask, context: &WorkerContext) -> Result<Answer> {
    let DeadlinesTask { job, slot, address } = task;
    let address = Some(address);
    let job = Job { address, ..job };
    let worked = work(&job, slot, context);
    Ok(Answer::Deadlines(worked.with_context(|| job.named(slot))?))
}

/// A connection, and what says that all in flight are cancelled, if the job does that.
struct Connection {
    stream: TcpStream,
    cancelled: Option<OwnedFd>,
}

/// What a wait ends with.
enum Ended {
    Answered(u64),
    Cut,
    Cancelled,
}

fn work(job: &Job, slot: u64, context: &WorkerContext) -> io::Result<Tally> {
    let stream = TcpStream::connect(job.address())?;
    stream.set_nodelay(true)?;
    let cancels = job.cancel_after > 0;
    let mut connection = Connection {
        stream,
        cancelled: cancels.then(fd_passing::copy).transpose()?,
    };
    let shared = &*context.memory;
    let ledger = Ledger::with_turn(job, &*shared.turn);
    let mut slot = Slot::new(&ledger, slot);
    connection.stream.write_all(&slot.gate())?;
    connection.answer(slot.answers(), None)?;
    while let Some(mut operation) = slot.begin() {
        connection.stream.write_all(&operation.request())?;
        if operation.sent()
            && let Some(cancelled) = &connection.cancelled
        {
            shared.cancelled_ns.store(monotonic_ns(), Release);
            // It stays readable: every child sees it.
            rustix::io::write(cancelled, &1u64.to_ne_bytes())?;
        }
        let due = operation.due();
        match connection.answer(operation.answers(), due)? {
            Ended::Answered(value) => operation.end(Some(value)),
            Ended::Cut => operation.end(None),
            Ended::Cancelled => break,
        }
    }
    drop(slot);
    Ok(ledger.tally())
}

impl Connection {
    fn answer(&mut self, answers: &mut Answers, due: Option<Instant>) -> io::Result<Ended> {
        loop {
            if let Some(ended) = self.wait(due)? {
                return Ok(ended);
            }
            match self.stream.read(answers.room()) {
                Ok(read) => {
                    if let Some(value) = answers.read(read)? {
                        return Ok(Ended::Answered(value));
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until there is something to read, if it need not be waited for there.
    fn wait(&self, due: Option<Instant>) -> io::Result<Option<Ended>> {
        if due.is_none() && self.cancelled.is_none() {
            return Ok(None);
        }
        let mut fds = vec![PollFd::new(&self.stream, PollFlags::IN)];
        let cancelled = self.cancelled.as_ref();
        fds.extend(
            cancelled.map(|cancelled| PollFd::from_borrowed_fd(cancelled.as_fd(), PollFlags::IN)),
        );
        loop {
            let left = due.map(|due| due.saturating_duration_since(Instant::now()));
            let timeout = left.map(|left| Timespec::try_from(left).unwrap_or_default());
            match poll(&mut fds, timeout.as_ref()) {
                Ok(0) => return Ok(Some(Ended::Cut)),
                Ok(_) if fds.get(1).is_some_and(|fd| !fd.revents().is_empty()) => {
                    return Ok(Some(Ended::Cancelled));
                }
                Ok(_) => return Ok(None),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
