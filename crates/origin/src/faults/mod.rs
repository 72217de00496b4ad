//! Answers that misbehave on request, to test clients with.

mod answer;
mod asked;
mod file;
mod log;
mod table;

pub(crate) use answer::{After, Answer};
pub use asked::gzip as fault_gzip;
pub use file::fault_body;
pub(crate) use log::Log;
pub use log::fault_log;
pub use table::{FAULTS, Fault};
