//! The async-std model's binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    runner::main::<model_async_std::AsyncStd>()
}
