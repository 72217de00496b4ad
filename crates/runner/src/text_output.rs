//! What a run prints for people.

use std::time::Duration;

use suite::{Job, Outcome};

use crate::footprint::Footprint;

/// A few lines: the answer first, then what it took.
pub(crate) fn text(
    head: &str,
    job: &Job,
    outcome: &Outcome,
    elapsed: Duration,
    footprint: &Footprint,
) -> String {
    let unknown = || "not known here".to_owned();
    let memory = footprint.memory_bytes.map_or_else(unknown, |bytes| {
        format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
    });
    let threads = footprint.threads.map_or_else(unknown, |n| n.to_string());
    format!(
        "{head}: {elapsed:.3?}\n  {}\n  memory {memory}, threads {threads}, processes {}\n",
        job.summary(outcome, elapsed),
        footprint.processes
    )
}
