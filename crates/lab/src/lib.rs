//! Runs one program and measures it, and tells what else used the machine.

pub mod affinity;
pub mod background_load;
pub mod build;
pub mod build_times;
pub mod case;
pub mod child;
mod command_run;
pub mod command_template;
pub mod containment;
pub mod cpu_time;
pub mod criterion_files;
pub mod error;
pub mod executor;
pub mod host;
pub mod interrupt;
mod known_work;
pub mod lock;
mod model_run;
pub mod models;
pub mod process;
pub mod progress;
pub mod run;
pub mod rusage;
pub mod server_ceiling;
pub mod sources;
pub mod workspace;
