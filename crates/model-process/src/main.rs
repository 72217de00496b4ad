//! The process model's binary: the parent, and every child.

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    // First of all: a child parses no command line and builds no model.
    let mut args = env::args_os().skip(1);
    if args.next().is_some_and(|arg| arg == "worker") {
        return model_process::worker(args.next());
    }
    runner::main::<model_process::Process>()
}
