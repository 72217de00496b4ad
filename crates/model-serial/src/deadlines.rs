//! Unit: none. Shares: nothing. Ends: the last operation does; what is cancelled is the one
//! in flight.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::event::{PollFd, PollFlags};
use suite::deadlines::{Answers, Job, Ledger, Outcome, Slot};
use suite::{Result, Unsupported};

use crate::both_ways::wait;

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
        // A read timeout would be rounded up to the kernel's ticks.
        if let Some(due) = due
            && !wait(&mut [PollFd::new(stream, PollFlags::IN)], due)?
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
