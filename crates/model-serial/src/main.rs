//! The serial model's binary: the command line that all models share.

fn main() -> std::process::ExitCode {
    runner::main::<model_serial::Serial>()
}
