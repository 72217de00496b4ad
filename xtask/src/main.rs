//! `cargo xtask`: one file a command.

mod agreement;
mod check;
mod cluster;
mod compare;
mod compare_runs;
mod conditions;
mod criterion_index;
mod criterion_pages;
mod download;
mod effort;
mod faults;
mod measure;
mod python;
mod read;
mod report;
mod serve;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand};
use lab::error::Interrupted;
use lab::server_ceiling;
use suite::Invalid;

/// Puts Rust's concurrency models through the same paces.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Compare(Box<compare::Options>),
    Measure(measure::Options),
    Report(report::Options),
    CompareRuns(compare_runs::Options),
    Agreement(agreement::Options),
    Read(read::Options),
    Effort(effort::Options),
    Download(download::Options),
    Faults(faults::Options),
    /// Checks fmt, clippy, docs, features, isolation, symbols and symmetry
    Check {
        /// Which of these; all, if none is named
        #[arg(value_name = "STEP", value_parser = PossibleValuesParser::new(check::steps()))]
        steps: Vec<String>,
    },
    /// Prints how long the origin alone takes for a job, in nanoseconds
    #[command(hide = true)]
    Ceiling {
        /// Where it listens
        origin: String,
        /// Which kind of job
        workload: suite::Workload,
        /// The job, as JSON
        job: String,
    },
    /// Replays a comparison's samples through Criterion
    #[command(hide = true)]
    Replay {
        /// A directory with comparison.json
        results: PathBuf,
    },
}

/// How a command that came to its end came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// All is right.
    Success,
    /// Something failed, and that has been told.
    Failure,
}

impl Outcome {
    fn of(success: bool) -> Self {
        if success {
            Outcome::Success
        } else {
            Outcome::Failure
        }
    }
}

const FAILED: u8 = 1;
const WRONG_COMMAND_LINE: u8 = 2;
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let done = run(Cli::parse().command);
    ExitCode::from(match done {
        Ok(Outcome::Success) => 0,
        Ok(Outcome::Failure) => FAILED,
        Err(error) if error.is::<Interrupted>() => INTERRUPTED,
        Err(error) => {
            // If standard error is closed, the exit code has to do.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            if error.is::<Invalid>() {
                WRONG_COMMAND_LINE
            } else {
                FAILED
            }
        }
    })
}

fn run(command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Compare(options) => return compare::compare(&options),
        Command::Measure(options) => measure::measure(&options)?,
        Command::Report(options) => report::report(&options)?,
        Command::CompareRuns(options) => return compare_runs::compare_runs(&options),
        Command::Agreement(options) => return agreement::agreement(&options),
        Command::Read(options) => read::read(&options)?,
        Command::Effort(options) => return effort::effort(&options),
        Command::Download(options) => match download::download(&options)? {},
        Command::Faults(options) => return faults::faults(&options),
        Command::Check { steps } => return Ok(Outcome::of(check::check(&steps)?)),
        Command::Ceiling {
            origin,
            workload,
            job,
        } => {
            let time = server_ceiling::nanoseconds(&origin, workload, &job)?;
            lab::progress::print(&time.to_string());
        }
        Command::Replay { results } => criterion_pages::replay(&results)?,
    }
    Ok(Outcome::Success)
}
