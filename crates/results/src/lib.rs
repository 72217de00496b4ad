//! What a comparison leaves behind: the shape of its data, and where it lies.
//!
//! Data only. Nothing here knows how a figure is measured, computed or shown, and
//! this crate depends on no other of the workspace.

mod agreement;
mod background_load;
mod baseline;
mod cell;
mod cluster;
mod comparison;
mod effort;
pub mod fixture;
mod models;
mod runs;
mod self_check;
mod sidecars;
mod sources;
mod store;
mod sweep;
mod verdicts;

pub use agreement::{Agreement, JobAgreement, PairInBoth};
pub use background_load::{BackgroundLoad, percent};
pub use baseline::{Baseline, BrokenLimit, Change, Compared};
pub use cell::{
    Cell, Completion, Interpreter, Latency, MOSTLY_CLOCK, Point, Python, PythonModel, Range,
    Resources, ServerBound, Status, Time,
};
pub use cluster::ClusterNodes;
pub use comparison::{Comparison, FEWER_ROUNDS, Host, RunInfo, SCHEMA, quota_words};
pub use effort::{AGAIN, Build, Effort, OfModel, Size};
pub use models::{Color, Kind, ModelInfo, Models, Rgb};
pub use runs::{CellOfRuns, ComparedRuns, PlaceOfRun, StoredRun};
pub use self_check::{MOST, SelfCheck, Slowed};
pub use sidecars::Sidecars;
pub use sources::{Source, Sources};
pub use store::{ResultsDir, STARTED, check_writable, read_comparison, safe_name, write_whole};
pub use sweep::{Crossover, Sweep};
pub use verdicts::{EQUIVALENCE, JobVerdicts, Judged, MIN_ROUNDS, Pair, Verdict};
