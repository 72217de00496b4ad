//! `cargo xtask download`: builds a model, and becomes its `download`.

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::Context;

use crate::plan::MODELS;
use crate::{contestants, workspace};

/// Builds a model and has it download a list of URLs
#[derive(clap::Args, Debug)]
pub struct Options {
    /// Which model does it
    #[arg(long, value_parser = MODELS, default_value = "tokio")]
    pub model: String,

    /// What `model-X download` takes: URLS --into DIR [--limit N] ...
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGS"
    )]
    pub args: Vec<OsString>,
}

/// Becomes the model's own program: signals, terminal and exit code are its.
///
/// # Errors
///
/// When there is no such model, or it does not build or start.
pub fn download(options: &Options) -> anyhow::Result<Infallible> {
    let program = contestants::build_runner(&workspace::root(), &options.model)?;
    let error = Command::new(&program)
        .arg("download")
        .args(&options.args)
        .exec();
    Err(error).with_context(|| program.display().to_string())
}
