//! Unit: none. Shares: a `VecDeque` between each two places in the ring. Ends:
//! the last pass does.

use std::collections::VecDeque;

use anyhow::Context;
use suite::Result;
use suite::ping_pong::{Job, Outcome, Station};

pub fn run(job: &Job) -> Result<Outcome> {
    let mut stations: Vec<_> = (0..job.units).map(|unit| Station::new(job, unit)).collect();
    // Each station has a queue, as in the models whose units wait for a message.
    let mut queues: Vec<VecDeque<u64>> = vec![VecDeque::with_capacity(1); job.units];
    let mut unit = 0;
    let mut token = stations[unit].first();
    while let Some(pass) = token {
        unit = (unit + 1) % job.units;
        queues[unit].push_back(pass);
        let arrived = queues[unit].pop_front().context("the token is lost")?;
        token = stations[unit].pass(arrived);
    }
    let outcomes = stations.into_iter().map(Station::outcome);
    Ok(outcomes.fold(Outcome::default(), Outcome::merge))
}
