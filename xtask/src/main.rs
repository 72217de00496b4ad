//! The command line.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use suite::Invalid;
use xtask::known_work::Work;
use xtask::session::End;
use xtask::{ceiling, check, compare, download, effort, faults, program, read, replay, report};

/// Puts Rust's concurrency models through the same paces.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Compare(compare::Options),
    Measure(program::Options),
    Report(report::Options),
    Read(read::Options),
    Effort(effort::Options),
    Download(download::Options),
    Faults(faults::Options),
    /// Checks fmt, clippy, docs, isolation and symmetry
    Check,
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
    /// Works for some milliseconds, in a known way
    #[command(hide = true)]
    KnownWork {
        /// In which way
        work: Work,
        /// For how long
        milliseconds: u64,
    },
    /// Replays a comparison's samples through Criterion
    #[command(hide = true)]
    Replay {
        /// A directory with comparison.json
        results: PathBuf,
    },
}

const FAILED: u8 = 1;
const WRONG_COMMAND_LINE: u8 = 2;
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Compare(options) => compare::compare(&options).map(code),
        Command::Measure(options) => program::measure(&options).map(code),
        Command::Report(options) => report::report(&options).map(|()| 0),
        Command::Read(options) => read::read(&options).map(|()| 0),
        Command::Effort(options) => effort::effort(&options).map(code),
        Command::Download(options) => download::download(&options).map(|became| match became {
            Some(never) => match never {},
            None => INTERRUPTED,
        }),
        Command::Faults(options) => faults::faults(&options).map(code),
        Command::Check => Ok(if check::check() { 0 } else { FAILED }),
        Command::Ceiling {
            origin,
            workload,
            job,
        } => ceiling::nanoseconds(&origin, workload, &job).map(|time| {
            println!("{time}");
            0
        }),
        Command::KnownWork { work, milliseconds } => {
            work.work(Duration::from_millis(milliseconds));
            Ok(0)
        }
        Command::Replay { results } => replay::replay(&results).map(|()| 0),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // If standard error is closed, the exit code has to do.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::from(match error.downcast_ref::<Invalid>() {
                Some(_) => WRONG_COMMAND_LINE,
                None => FAILED,
            })
        }
    }
}

fn code(end: End) -> u8 {
    match end {
        End::Well => 0,
        End::WithFailures => FAILED,
        End::Interrupted => INTERRUPTED,
    }
}
