//! The thread model's binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    runner::main::<model_thread::Thread>()
}
