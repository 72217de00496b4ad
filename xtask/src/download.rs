//! `cargo xtask download`: builds a model, and becomes its `download`.

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use lab::build::{self, Profile};
use lab::interrupt::Interrupt;
use lab::progress::Progress;
use lab::{models, places, workspace};

/// Builds a model and has it download a list of URLs
#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// Which model does it
    #[arg(long, default_value = "tokio")]
    model: String,

    /// What `model-X download` takes: URLS --into DIR [--limit N] ...
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGS"
    )]
    args: Vec<OsString>,
}

impl Options {
    /// The directory, if the model's program is given one.
    fn into(&self) -> Option<PathBuf> {
        let mut args = self.args.iter();
        let text = |arg: &OsString| arg.to_string_lossy().into_owned();
        let named = args.find(|arg| text(arg).starts_with("--into"))?;
        match text(named).strip_prefix("--into=") {
            Some(into) => Some(into.into()),
            None => args.next().map(PathBuf::from),
        }
    }
}

/// Becomes the model's own program: signals, terminal and exit code are its.
pub(crate) fn download(options: &Options) -> anyhow::Result<Infallible> {
    let root = workspace::root()?;
    let all = models::models(&root)?;
    let model = models::find(&all, "--model", &options.model)?;
    places::check_sockets([model], &std::env::temp_dir(), "")?;
    if let Some(into) = options.into() {
        places::check_directory(&into)?;
    }
    let package = workspace::package(&options.model);
    let interrupt = Interrupt::install().context("cannot take signals")?;
    let progress = Progress::new();
    let built = build::program(&root, &package, Profile::Release, &interrupt, &progress);
    let program = built?.with_context(|| format!("{package} does not build"))?;
    drop(progress); // which ends its drawing
    let error = Command::new(&program)
        .arg("download")
        .args(&options.args)
        .exec();
    Err(error).with_context(|| program.display().to_string())
}
