//! Unit: thread, one a connection. Shares: the ledger, and the connections, borrowed. Ends: the
//! scope joins; or the connections are shut down, and what reads from them returns.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Instant;

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use suite::Result;
use suite::deadlines::{Answers, Job, Ledger, Outcome, Slot};

/// What ends all: a failure, or that the last request has been sent.
struct Over;

pub fn run(job: &Job) -> Result<Outcome> {
    crate::check_units(job.slots() as usize)?;
    let mut streams = Vec::new();
    for slot in 0..job.slots() {
        let stream = TcpStream::connect(job.address());
        streams.push(stream.with_context(|| job.named(slot))?);
    }
    let ledger = &Ledger::new(job);
    // Every thread has a sender: without a message, it closes when all have ended.
    let (over, news) = channel();
    let done = thread::scope(|scope| {
        let start = |(slot, stream)| {
            let over = over.clone();
            crate::spawn_small(scope, move || {
                let worked = work(ledger, slot, stream, &over);
                if worked.is_err() && ledger.is_cancelled() {
                    return Ok(()); // it was shut down
                }
                if worked.is_err() {
                    let _ = over.send(Over); // one is enough
                }
                worked.with_context(|| job.named(slot))
            })
        };
        let started: Result<Vec<_>> = (0..).zip(&streams).map(start).collect();
        drop(over);
        // Those that stand would wait at the gate for those that do not.
        if started.is_err() || matches!(news.recv(), Ok(Over)) {
            for stream in &streams {
                // It fails if the responder has closed it, and then nothing waits.
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        // The scope would not wait for those that are still on their way out.
        started?.into_iter().try_for_each(crate::join)
    });
    done?;
    Ok(ledger.outcome())
}

fn work(
    ledger: &Arc<Ledger>,
    slot: u64,
    mut stream: &TcpStream,
    over: &Sender<Over>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut slot = Slot::new(ledger, slot);
    stream.write_all(&slot.gate())?;
    answer(stream, slot.answers(), None)?;
    while let Some(mut operation) = slot.begin() {
        stream.write_all(&operation.request())?;
        if operation.sent() {
            let _ = over.send(Over); // the receiver waits for it
        }
        let due = operation.due();
        let value = answer(stream, operation.answers(), due)?;
        operation.end(value);
    }
    Ok(())
}

/// None when it is cut.
fn answer(
    mut stream: &TcpStream,
    answers: &mut Answers,
    due: Option<Instant>,
) -> io::Result<Option<u64>> {
    loop {
        if let Some(due) = due
            && !is_readable_by(stream, due)?
        {
            return Ok(None);
        }
        match stream.read(answers.room()) {
            Ok(read) => {
                if let Some(value) = answers.read(read)? {
                    return Ok(Some(value));
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether there is something to read by then. A read timeout would be as many ticks of the
/// kernel's clock, milliseconds long, while `poll` has a timer to the nanosecond.
pub fn is_readable_by(socket: impl AsFd, due: Instant) -> io::Result<bool> {
    loop {
        let left = due.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&socket, PollFlags::IN)], Some(&left)) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
