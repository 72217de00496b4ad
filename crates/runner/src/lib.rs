//! The command line that every model's binary shares.
//!
//! A model's `main.rs` is one line:
//!
//! ```text
//! fn main() -> std::process::ExitCode {
//!     runner::main::<Tokio>()
//! }
//! ```
//!
//! - [`fixture`] makes a job as asked into one that can be run, runs and verifies
//!   it; the harness uses it too.
//! - [`inputs`] makes the files that some jobs read, [`echo`] and [`datagram`] have the servers
//!   that others talk to.
//! - [`tree`] measures a process and its children, and [`clock`] is what they
//!   have in common with the one that starts them.
//!
//! **No runtime is linked here**: what is measured is the model's alone.

pub mod bench_spec;
mod chat;
mod cli;
pub mod clock;
pub mod datagram;
mod delivery;
mod download;
pub mod echo;
pub mod fixture;
mod footprint;
pub mod inputs;
mod list;
mod progress;
mod proxy;
mod report;
mod run;
mod scan;
pub mod scratch;
mod send;
mod send_progress;
mod serve;
mod server;
mod server_process;
mod text_output;
pub mod tree;
pub mod verify;

use std::io::{self, IsTerminal, Write};
use std::num::NonZero;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use suite::{Invalid, Model, Unsupported};

pub use report::Report;

/// How a run ends that failed, or whose answer was wrong.
pub const FAILED: u8 = 1;
/// How a run ends that was asked for something that makes no sense.
pub const INVALID: u8 = 2;
/// How a download ends that the disk refused.
pub(crate) const DISK: u8 = 3;
/// How a download ends that was interrupted: 128, and the number of `SIGINT`.
pub const INTERRUPTED: u8 = 130;
/// How a run ends whose model does not do that job at that size.
pub const UNSUPPORTED: u8 = 4;

/// Runs the command line of `M`'s binary, to the exit code it ends with.
pub fn main<M: Model>() -> ExitCode {
    main_with::<M, cli::NoOptions>(|_| {})
}

/// The same for a model with options of its own, which are global: `choose` is given them before
/// a model is started.
pub fn main_with<M: Model, O: clap::Args>(choose: impl FnOnce(O)) -> ExitCode {
    let entered_ns = clock::monotonic_ns();
    let args = match cli::Args::<O>::try_parse() {
        Ok(args) => args,
        // `--help` too is an "error" to clap. There is no other place to say that this
        // cannot be printed.
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() {
                INVALID.into()
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    choose(args.options);
    let done = match args.command {
        cli::Command::Download(args) => return download::download::<M>(&args).into(),
        cli::Command::Send(args) => return send::send::<M>(&args).into(),
        cli::Command::Receive(args) => return send::receive::<M>(&args).into(),
        cli::Command::List(args) => list::list(&args),
        cli::Command::Run(args) => run::run::<M>(&args, entered_ns),
        cli::Command::Origin(args) => origin::serve(&args),
        cli::Command::Serve(args) => serve::serve::<M>(&args),
        cli::Command::Proxy(args) => proxy::proxy::<M>(&args),
        cli::Command::Scan(args) => match scan::scan::<M>(&args) {
            Ok(code) => return code.into(),
            Err(error) => Err(error),
        },
        cli::Command::Chat(args) => chat::chat::<M>(&args),
        cli::Command::Receiver(args) => send::receiver::<M>(&args),
        cli::Command::EchoServer(args) => echo::serve::<M>(&args),
        cli::Command::DatagramServer(args) => datagram::serve::<M>(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            exit_code(&error).into()
        }
    }
}

/// The exit code that says what kind of error this is.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<Invalid>() {
        INVALID
    } else if error.is::<Unsupported>() {
        UNSUPPORTED
    } else {
        FAILED
    }
}

/// Cores there are for this process: the worker threads that a model gets
/// unless the command line says otherwise.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Whether standard error is a terminal that can draw: a dumb one cannot move its cursor
/// back, and gets lines, as a pipe does.
pub fn can_draw() -> bool {
    let term = std::env::var_os("TERM");
    term.is_some_and(|term| !term.is_empty() && term != "dumb") && io::stderr().is_terminal()
}

/// Prints an error with all its causes on one line of standard error.
fn complain(error: &anyhow::Error) {
    // An error that cannot be printed is still in the exit code.
    let _ = writeln!(io::stderr(), "error: {error:#}");
}

/// Prints to standard output.
fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        // The reader closed the pipe (`| head -1`): it has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed.context("standard output"),
    }
}
