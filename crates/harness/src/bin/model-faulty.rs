//! The faulty model's binary, and its bench when it is directed like one.

use std::env;
use std::process::ExitCode;

use harness::{bench, faulty::Faulty};

fn main() -> ExitCode {
    match (env::var_os("PACES_CELLS"), env::args().next()) {
        (Some(_), Some(program)) => bench::main::<Faulty>("model-faulty", &program),
        _ => runner::main::<Faulty>(),
    }
}
