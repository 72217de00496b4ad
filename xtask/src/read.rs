//! `cargo xtask read`: one workload in two models, side by side.

use std::fs;
use std::path::Path;

use anyhow::Context;
use clap::Args;
use lab::progress::print;
use lab::{models, workspace};
use report::highlight::RustCode;
use report::side_by_side::side_by_side;
use report::terminal;
use suite::Workload;

/// Shows a workload's file of two models side by side.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Which workload
    workload: Workload,
    /// The model on the left
    left: String,
    /// The model on the right
    right: String,
}

/// The width where there is no terminal to fit: two columns of 80.
const WIDTH: usize = 165;

/// Shows both.
pub(crate) fn read(options: &Options) -> anyhow::Result<()> {
    let root = workspace::root()?;
    let models = models::models(&root)?;
    for model in [&options.left, &options.right] {
        models::find(&models, "model", model)?;
    }
    let width = terminal::columns(WIDTH);
    let text = |model: &str| -> anyhow::Result<(String, String)> {
        let path = workspace::source(&root, model, options.workload.name());
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = path.strip_prefix(&root).unwrap_or(Path::new(model));
        let lines = match RustCode::count(&text) {
            Some((lines, _)) => format!("{lines} lines of code"),
            None => "not Rust".to_owned(),
        };
        let name = format!("{}: {lines}", name.display());
        Ok((name, text.replace('\t', "    ")))
    };
    let (left_name, left) = text(&options.left)?;
    let (right_name, right) = text(&options.right)?;
    let lines = side_by_side((&left_name, &left), (&right_name, &right), width);
    print(&lines.join("\n"));
    Ok(())
}
