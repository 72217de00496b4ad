//! Unit: share, which a slot of a node works on. Shares: nothing. Ends: each with its answer.

use suite::spawn::{Alive, Job, Outcome, Tree, answer};
use suite::{Result, Unsupported};

use crate::protocol::{Answer, Task};
use crate::session::Session;
use crate::shares::Shares;

/// A share takes some tenths of a millisecond: more than these would take many seconds.
const MOST_UNITS: u64 = 10_000;

pub async fn run(job: &Job, session: &mut Session) -> Result<Outcome> {
    if job.tree != Tree::Flat {
        let text = "only the parent deals shares: a node starts no other units";
        return Err(Unsupported(text.to_owned()).into());
    }
    if job.units > MOST_UNITS {
        let text = format!("{MOST_UNITS} shares at most: each takes tenths of a millisecond");
        return Err(Unsupported(text).into());
    }
    let alive = Alive::new(job);
    let mut sum = 0u64;
    for batch in job.batches() {
        // When each begins and ends cannot be seen from here: all are counted.
        let living: Vec<_> = (0..batch.units()).map(|_| alive.begin()).collect();
        let units = batch.first_units().map(Task::Spawn);
        let mut workers = Shares::deal(session, units).await?;
        while let Some(answer) = workers.answer().await? {
            sum = sum.wrapping_add(answer.number()?);
        }
        drop(living);
    }
    Ok(alive.outcome(job, sum))
}

pub(crate) fn perform(unit: u64) -> Answer {
    Answer::Number(answer(unit))
}
