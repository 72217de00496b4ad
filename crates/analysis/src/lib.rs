//! Numbers in, numbers out: medians, intervals, verdicts, crossovers.

pub mod agreement;
pub mod baseline;
mod bootstrap;
pub mod completion;
pub mod crossovers;
mod holm;
pub mod latency;
pub mod runs;
pub mod self_check;
pub mod server_bound;
pub mod statistics;
pub mod verdicts;

pub use holm::Rules;
