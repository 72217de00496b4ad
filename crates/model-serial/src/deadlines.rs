//! Unit: none. Shares: nothing. Ends: the last operation does; what is cancelled is the one
//! in flight.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
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
        if let Some(due) = due {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None); // which would be no timeout at all
            }
            stream.set_read_timeout(Some(left))?;
        }
        match stream.read(answers.room()) {
            Ok(read) => {
                if let Some(value) = answers.read(read)? {
                    return Ok(Some(value));
                }
            }
            // Whether it is over is seen above.
            Err(error) if error.kind() == ErrorKind::WouldBlock && due.is_some() => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
