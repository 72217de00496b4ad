//! What a run found, for people.

use std::time::Duration;

use suite::batch::Spoiled;
use suite::{Job, Outcome};

use crate::footprint::Footprint;

/// A few lines: the answer first, then what it took.
pub fn text(
    head: &str,
    job: &Job,
    outcome: &Outcome,
    elapsed: Duration,
    footprint: &Footprint,
) -> String {
    let answer = answer(job, outcome, elapsed);
    let memory = match footprint.memory_bytes {
        Some(bytes) => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
        None => "not known here".to_owned(),
    };
    let threads = match footprint.threads {
        Some(threads) => threads.to_string(),
        None => "not known here".to_owned(),
    };
    format!(
        "{head}: {elapsed:.3?}\n  {answer}\n  memory {memory}, threads {threads}, processes {}\n",
        footprint.processes
    )
}

fn answer(job: &Job, outcome: &Outcome, elapsed: Duration) -> String {
    match (job, outcome) {
        (Job::Counter(job), Outcome::Counter(outcome)) => format!(
            "{} additions, total {}, lost {}",
            job.additions(),
            outcome.total,
            outcome.lost
        ),
        (Job::Pipeline(job), Outcome::Pipeline(outcome)) => format!(
            "{} items, all in order; the queue held {} at most, of {} allowed",
            outcome.received, outcome.high_water, job.capacity
        ),
        (Job::Primes(job), Outcome::Primes(outcome)) => {
            format!("{} primes in {}..{}", outcome.count, job.start, job.end)
        }
        (Job::Exchange(_), Outcome::Exchange(outcome)) => format!(
            "{} messages in order, then the integer read {}",
            outcome.received, outcome.value
        ),
        (Job::Fetch(job), Outcome::Fetch(outcome)) => {
            let bodies = format!("{} bodies, {} bytes", outcome.bodies, outcome.bytes);
            if !job.urls.is_empty() {
                return bodies; // nobody knows how long those take
            }
            format!(
                "{bodies}; the slowest answer takes {:?}, all in turn {:?}",
                job.slowest(),
                job.sum()
            )
        }
        (Job::Offload(job), Outcome::Offload(outcome)) => format!(
            "{} calls of {:?} done; {} ticks, one due every {:?}, longest gap {:.3?}",
            outcome.done,
            job.call(),
            outcome.ticks,
            job.heartbeat(),
            Duration::from_nanos(outcome.longest_gap_ns)
        ),
        (Job::Download(job), Outcome::Download(outcome)) => {
            let rate = outcome.bytes as f64 * 8e-6 / elapsed.as_secs_f64();
            let peak = match outcome.peak_in_flight {
                Some(peak) => format!("{peak} in flight at most, of {} allowed", job.limit),
                None => format!("{} in flight allowed", job.limit),
            };
            format!(
                "{} files, {} bytes, {rate:.1} Mbit/s; {peak}",
                outcome.files, outcome.bytes
            )
        }
        (Job::PingPong(job), Outcome::PingPong(outcome)) => format!(
            "{} passes in order round {} units; {:.3?} a pass",
            outcome.passes,
            job.units,
            elapsed.div_f64(outcome.passes.max(1) as f64)
        ),
        (Job::Sleepers(job), Outcome::Sleepers(outcome)) => format!(
            "{} waited for {:?}, {} of them at once; the latest woke {:.3?} late",
            outcome.woken,
            job.wait(),
            outcome.alive,
            Duration::from_nanos(outcome.latest_ns)
        ),
        (Job::Echo(_), Outcome::Echo(outcome)) => format!(
            "{} connections open at once; {} messages came back, {} bytes; {:.3?} a message",
            outcome.connections,
            outcome.messages,
            outcome.bytes,
            elapsed.div_f64(outcome.messages.max(1) as f64)
        ),
        (Job::Files(_), Outcome::Files(outcome)) => {
            let read = format!(
                "{} files, {} bytes, {} lines, {:.1} MB/s",
                outcome.files,
                outcome.bytes,
                outcome.lines,
                outcome.bytes as f64 * 1e-6 / elapsed.as_secs_f64()
            );
            read + &spoiled("unreadable", &outcome.unreadable)
        }
        (Job::Thumbnails(_), Outcome::Thumbnails(outcome)) => {
            let made = format!(
                "{} thumbnails, {} bytes, {:.1} a second",
                outcome.images,
                outcome.bytes,
                outcome.images as f64 / elapsed.as_secs_f64()
            );
            made + &spoiled("broken", &outcome.broken)
        }
        // Another workload's outcome: no check would have let it pass.
        _ => format!("{outcome:?}"),
    }
}

/// A line for each file that could not be dealt with.
fn spoiled(how: &str, files: &[Spoiled]) -> String {
    // Names are whatever somebody called a file.
    let line = |file: &Spoiled| format!("\n  {how}: {:?}: {}", file.name, file.reason);
    files.iter().map(line).collect()
}
