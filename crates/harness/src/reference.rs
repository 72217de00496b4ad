//! The answers, worked out one after the other in the plainest way.
//!
//! `Job::check` is clever where it can be, to be quick: a sieve, a sum. This is
//! not, and the two were written apart.

use std::fs;

use origin::splitmix64;
use serde_json::{Value, json};
use suite::counter::Guard;
use suite::exchange::Transcript;
use suite::pipeline::{Item, Tally};
use suite::{Job, Outcome, Result, spawn, thumbnails};

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
                transcript.collect(&job.message(sequence));
            }
            let outcome = transcript.outcome(job.value);
            json!({
                "received": outcome.received,
                "digest": outcome.digest,
                "value": outcome.value,
            })
        }
        Job::Fetch(job) => json!({ "bodies": job.targets.len() }),
        Job::Offload(job) => json!({ "done": job.calls }),
        Job::Download(job) => json!({ "files": job.images }),
        Job::PingPong(job) => json!({ "passes": job.passes, "out_of_order": 0 }),
        Job::Sleepers(job) => json!({ "woken": job.units, "early": 0 }),
        Job::Spawn(job) => {
            let mut sum = 0u64;
            for unit in 0..job.units {
                sum = sum.wrapping_add(spawn::answer(unit));
            }
            json!({ "units": job.units, "sum": sum, "left": 0 })
        }
        Job::Deadlines(job) => {
            let begun = match job.cancel_after {
                0 => job.operations,
                first => first,
            };
            let mut sum = 0u64;
            for operation in 1..=begun {
                sum = sum.wrapping_add(splitmix64(operation));
            }
            json!({ "operations": begun, "ended": begun, "sum": sum, "early": 0, "wrong": 0 })
        }
        Job::Echo(job) => {
            let messages = job.connections as u64 * job.messages;
            json!({
                "connections": job.connections,
                "messages": messages,
                "bytes": messages * job.bytes as u64,
                "wrong": 0,
            })
        }
        Job::Datagram(job) => {
            let sent = job.clients as u64 * job.datagrams;
            let mut right = json!({ "clients": job.clients, "sent": sent, "wrong": 0 });
            if job.lose == 1_000 {
                right["answered"] = json!(0);
                right["tries"] = json!(sent * (1 + job.retries));
            }
            right
        }
        Job::Serve(job) => json!({
            "requests": job.requests,
            "errors": {},
            "connections": job.connections + job.idle,
            "idle_alive": job.idle,
            "healthy": true,
        }),
        Job::Proxy(job) => json!({
            "requests": job.requests,
            "errors": {},
            "connections": job.connections + job.idle,
            "idle_alive": job.idle,
            "healthy": true,
        }),
        // Which are open is more than this: others may have opened some.
        Job::Scan(job) => json!({ "ports": job.ports.iter().count(), "failed": [] }),
        Job::Chat(job) => {
            let mut deliveries = 0u64;
            for _room in 0..job.rooms {
                let readers = job.members - job.slow;
                let senders = match job.senders {
                    0 => readers,
                    senders => senders,
                };
                for sender in 0..senders {
                    for _message in 0..job.messages {
                        deliveries +=
                            (0..readers).filter(|reader| *reader != sender).count() as u64;
                    }
                }
            }
            json!({
                "members": job.rooms * job.members,
                "deliveries": deliveries,
                "dropped": 0,
                "errors": {},
                "healthy": true,
            })
        }
        Job::Send(job) => {
            let mut bytes = 0;
            for _ in 0..job.files {
                bytes += job.bytes;
            }
            let synced = if job.sync { job.files } else { 0 };
            json!({ "files": job.files, "bytes": bytes, "synced": synced })
        }
        Job::Files(job) => {
            let texts = job.paths.iter().filter_map(|path| fs::read(path).ok());
            let (mut files, mut bytes, mut lines) = (0, 0, 0);
            for text in texts {
                files += 1;
                bytes += text.len();
                lines += text.split(|byte| *byte == b'\n').count() - 1;
            }
            json!({ "files": files, "bytes": bytes, "lines": lines })
        }
        Job::Thumbnails(job) => {
            let small = |file: Vec<u8>| thumbnails::thumbnail(&file, job.edge).ok();
            let files = job.paths.iter().filter_map(|path| fs::read(path).ok());
            let images: Vec<_> = files.filter_map(small).collect();
            let bytes: usize = images.iter().map(|image| image.jpeg.len()).sum();
            json!({ "images": images.len(), "bytes": bytes })
        }
    }
}

/// Compares an outcome with the answers worked out here.
pub(crate) fn agree(job: &Job, outcome: &Outcome) -> Result<()> {
    let given = serde_json::to_value(outcome)?;
    for (key, right) in answer(job).as_object().into_iter().flatten() {
        let given = &given[key];
        anyhow::ensure!(given == right, "{key} is {given}, by the reference {right}");
    }
    Ok(())
}
