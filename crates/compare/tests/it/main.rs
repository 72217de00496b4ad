//! The scheduler with executors whose times and failures are scripted: no processes.

mod background_load;
mod figures;
mod mock;
mod schedule;
mod sweeps;
mod verdicts;
