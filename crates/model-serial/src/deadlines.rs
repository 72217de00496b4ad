//! Unit: none. Shares: nothing. Ends: the last operation does; what is cancelled is the one
//! in flight.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use suite::deadlines::{Answers, Job, Ledger, Outcome, Slot};
use suite::{Result, Unsupported};

/// More than this would be a wait, and no job.
const LONGEST: Duration = Duration::from_secs(1);

pub fn run(job: &Job) -> Result<Outcome> {
    let time = job.one_by_one();
    if time > LONGEST {
        let text = format!("one operation after the other: they would take {time:.1?}");
        return Err(Unsupported(text).into());
    }
    let stream = TcpStream::connect(job.address()).with_context(|| job.named(0))?;
    let ledger = Ledger::new(job);
    work(&ledger, &stream).with_context(|| job.named(0))?;
    Ok(ledger.outcome())
}

fn work(ledger: &Arc<Ledger>, mut stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut slot = Slot::alone(ledger);
    stream.write_all(&slot.gate())?;
    answer(stream, slot.answers(), None)?;
    while let Some(mut operation) = slot.begin() {
        stream.write_all(&operation.request())?;
        if operation.sent() {
            break;
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
fn is_readable_by(stream: &TcpStream, due: Instant) -> io::Result<bool> {
    loop {
        let left = due.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(stream, PollFlags::IN)], Some(&left)) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
