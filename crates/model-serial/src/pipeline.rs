//! Unit: none. Shares: a `VecDeque`. Ends: all is produced, the queue is empty.

use std::collections::VecDeque;
use std::thread;
use std::time::Duration;

use suite::Result;
use suite::pipeline::{Item, Job, Level, Outcome, Tally};

pub fn run(job: &Job) -> Result<Outcome> {
    job.needs_own_channel()?;
    let mut queue = VecDeque::with_capacity(job.capacity);
    let level = Level::new(job);
    let mut tally = Tally::new(job);
    for producer in 0..job.producers {
        produce(job, producer, &mut queue, &level, &mut tally);
    }
    consume(&mut queue, &level, &mut tally);
    // Here a producer that waits until all is processed could go on.
    let released = tally.received();
    Ok(tally.outcome(released, level.high_water()))
}

fn produce(
    job: &Job,
    producer: usize,
    queue: &mut VecDeque<Item>,
    level: &Level,
    tally: &mut Tally,
) {
    for sequence in 0..job.share(producer) {
        if job.produce_us > 0 {
            thread::sleep(Duration::from_micros(job.produce_us));
        }
        if queue.len() == job.capacity {
            consume(queue, level, tally); // nobody else will make room
        }
        let producer = producer as u32;
        queue.push_back(Item { producer, sequence });
        level.put(1);
    }
}

/// Processes items until there are no more.
fn consume(queue: &mut VecDeque<Item>, level: &Level, tally: &mut Tally) {
    while !queue.is_empty() {
        level.take(1);
        if let Some(item) = queue.pop_front() {
            tally.process(item);
        }
    }
}
