//! Unit: none. Shares: a `VecDeque`. Ends: all is produced, the queue is empty.

use std::collections::VecDeque;
use std::thread;

use suite::Result;
use suite::pipeline::{Item, Job, Level, Message, Outcome, Tally};

pub fn run(job: &Job) -> Result<Outcome> {
    job.needs_own_channel()?;
    match job.batch {
        1 => run_with::<Item>(job),
        _ => run_with::<Vec<Item>>(job),
    }
}

fn run_with<M: Message>(job: &Job) -> Result<Outcome> {
    let mut queue = VecDeque::with_capacity(job.messages_held());
    let level = Level::new(job);
    let mut tally = Tally::new(job);
    for producer in 0..job.producers {
        produce::<M>(job, producer, &mut queue, &level, &mut tally);
    }
    consume(&mut queue, &level, &mut tally);
    // Here a producer that waits until all is processed could go on.
    let released = tally.received();
    Ok(tally.outcome(released, level.high_water()))
}

fn produce<M: Message>(
    job: &Job,
    producer: usize,
    queue: &mut VecDeque<M>,
    level: &Level,
    tally: &mut Tally,
) {
    for message in job.messages::<M>(producer) {
        let items = message.items();
        if let Some(pause) = job.pause(items) {
            thread::sleep(pause);
        }
        if queue.len() == job.messages_held() {
            consume(queue, level, tally); // no other thread makes room
        }
        queue.push_back(message);
        level.put(items);
    }
}

/// Processes items until there are no more.
fn consume<M: Message>(queue: &mut VecDeque<M>, level: &Level, tally: &mut Tally) {
    while let Some(message) = queue.pop_front() {
        level.take(message.items());
        tally.process_all(message);
    }
}
