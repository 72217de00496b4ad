//! What to measure, when and how often: from a [`Request`] to a [`results::Comparison`].
//!
//! [`Preparation`] takes the lock, the results directory and the earlier run to compare
//! with, and starts what the models need. [`Session`] tries every case out and judges
//! what was measured. In between, `rounds` decides what is measured next, `experiment`
//! is one case by all contestants, and `series` one contestant at one case.

mod budget;
mod contestants;
mod experiment;
mod mode;
mod plan;
mod preparation;
mod request;
mod resources;
mod rounds;
mod self_check;
mod series;
mod session;
mod settings;
#[cfg(test)]
mod simulation;
mod sweep;
mod windows;

pub use contestants::Contestant;
pub use mode::Mode;
pub use preparation::Preparation;
pub use request::Request;
pub use resources::resources;
pub use self_check::contestants as self_check_contestants;
pub use session::Session;
pub use settings::setting;
pub use sweep::SweepSpec;
