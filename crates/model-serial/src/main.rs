//! The serial model's binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    runner::main::<model_serial::Serial>()
}
