//! The answers, worked out one after the other in the plainest way.
//!
//! `Job::check` is clever where it can be, to be quick: a sieve, a sum. This is
//! not, and the two were written apart.

use serde_json::{Value, json};
use suite::counter::Guard;
use suite::exchange::{Transcript, message};
use suite::pipeline::{Item, Tally};
use suite::{Job, Outcome, Result};

/// The keys of a job's outcome that can have but one value, with it.
fn answer(job: &Job) -> Value {
    match job {
        Job::Counter(job) if job.guard == Guard::Racy => json!({}),
        Job::Counter(job) => {
            let mut total = 0u64;
            for _ in 0..job.workers {
                for _ in 0..job.increments {
                    total += 1;
                }
            }
            json!({ "total": total, "lost": 0 })
        }
        Job::Pipeline(job) => {
            let mut tally = Tally::new(job);
            for producer in 0..job.producers {
                for sequence in 0..job.share(producer) {
                    let producer = producer as u32;
                    tally.process(Item { producer, sequence });
                }
            }
            let outcome = tally.outcome(job.items, 0);
            json!({
                "received": outcome.received,
                "fingerprint": outcome.fingerprint,
                "in_order": outcome.in_order,
                "processed_before_release": job.items,
            })
        }
        Job::Primes(job) => {
            let divides = |n: u64, divisor: u64| n.is_multiple_of(divisor);
            let prime = |n: u64| n >= 2 && !(2..=n.isqrt()).any(|divisor| divides(n, divisor));
            json!({ "count": (job.start..job.end).filter(|&n| prime(n)).count() })
        }
        Job::Exchange(job) => {
            let mut transcript = Transcript::default();
            for sequence in 0..job.messages {
                transcript.collect(&message(sequence));
            }
            json!(transcript.outcome(job.value))
        }
        Job::Fetch(job) => json!({ "bodies": job.targets.len() }),
        Job::Offload(job) => json!({ "done": job.calls }),
        Job::Download(job) => json!({ "files": job.images }),
    }
}

/// Compares an outcome with the answers worked out here.
pub fn agree(job: &Job, outcome: &Outcome) -> Result<()> {
    let given = serde_json::to_value(outcome)?;
    for (key, right) in answer(job).as_object().into_iter().flatten() {
        let given = &given[key];
        anyhow::ensure!(given == right, "{key} is {given}, by the reference {right}");
    }
    Ok(())
}
