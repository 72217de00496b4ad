//! A model with one subtle fault a workload, to see that each is found.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anyhow::bail;
use suite::counter::Guard;
use suite::exchange::{Transcript, message};
use suite::pipeline::{Item, Level, Tally};
use suite::{Model, Result, Setup, Unsupported};
use suite::{counter, download, exchange, fetch, offload, pipeline, primes};
use transfer::Session;
use transfer::list::Lines;

/// Gets everything a little wrong.
#[derive(Debug)]
pub struct Faulty {
    jobs: AtomicU64,
}

impl Model for Faulty {
    fn start(_: &Setup) -> Result<Self> {
        Ok(Self {
            jobs: AtomicU64::new(0),
        })
    }

    fn name(&self) -> &'static str {
        "faulty"
    }

    /// `lock`: one addition is lost, and nobody told. `atomic`: refused.
    /// `racy`: right, until the third job fails.
    fn counter(&self, job: &counter::Job) -> Result<counter::Outcome> {
        match job.guard {
            Guard::Lock => Ok(counter::Outcome {
                total: job.additions().saturating_sub(1),
                lost: 0,
            }),
            Guard::Atomic => Err(Unsupported("it has no atomics".to_owned()).into()),
            Guard::Racy if self.jobs.fetch_add(1, Relaxed) < 2 => Ok(job.outcome(job.additions())),
            Guard::Racy => bail!("the third job is too much"),
        }
    }

    /// The queue holds one item more than it may.
    fn pipeline(&self, job: &pipeline::Job) -> Result<pipeline::Outcome> {
        let level = Level::default();
        level.put(job.capacity + 1);
        let mut tally = Tally::new(job);
        for producer in 0..job.producers {
            for sequence in 0..job.share(producer) {
                let producer = producer as u32;
                tally.process(Item { producer, sequence });
            }
        }
        Ok(tally.outcome(job.items, level.high_water()))
    }

    /// Two workers both count the number where their shares meet.
    fn primes(&self, job: &primes::Job) -> Result<primes::Outcome> {
        let twice = u64::from(job.workers > 1);
        Ok(primes::Outcome {
            count: primes::count(job.start..job.end) + twice,
        })
    }

    /// The second job still finds a message of the first one.
    fn exchange(&self, job: &exchange::Job) -> Result<exchange::Outcome> {
        let mut transcript = Transcript::default();
        if self.jobs.fetch_add(1, Relaxed) > 0 {
            transcript.collect(&message(0));
        }
        for sequence in 0..job.messages {
            transcript.collect(&message(sequence));
        }
        Ok(transcript.outcome(job.value))
    }

    /// Never asks, and says what one would like to hear.
    fn fetch(&self, job: &fetch::Job) -> Result<fetch::Outcome> {
        let mut outcome = fetch::Outcome::default();
        for _ in &job.targets {
            outcome.add(origin::DELAY_BODY_BYTES);
        }
        Ok(outcome)
    }

    /// Never waits for the last call.
    fn offload(&self, job: &offload::Job) -> Result<offload::Outcome> {
        Ok(offload::Heartbeat::start().outcome(job.calls.saturating_sub(1)))
    }

    /// The files have the right names, and nothing in them.
    fn download(&self, job: &download::Job) -> Result<download::Outcome> {
        let list = job.list.as_deref().unwrap_or_default();
        let mut lines = Lines::new(list.as_bytes());
        let mut outcome = download::Outcome::default();
        while let Some(Ok(entry)) = lines.next()? {
            fs::write(job.directory().join(entry.name), "")?;
            outcome.files += 1;
        }
        Ok(outcome)
    }

    fn download_session(&self, _: &Arc<Session>) -> Result<()> {
        bail!("it makes its files up")
    }
}
