//! What to measure, when and how often: from a plan to a [`results::Comparison`].

pub mod budget;
pub mod contestants;
pub mod experiment;
pub mod mode;
pub mod plan;
pub mod resources;
pub mod rounds;
pub mod self_check;
pub mod series;
pub mod session;
pub mod settings;
pub mod sweep;
pub mod windows;
