//! The smol model's binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    runner::main::<model_smol::Smol>()
}
