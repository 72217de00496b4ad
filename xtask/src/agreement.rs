//! `cargo xtask agreement`: whether two stored comparisons come to the same verdicts.

use std::path::PathBuf;

use clap::Args;
use lab::progress::print;
use lab::workspace;
use report::terminal;
use results::{ResultsDir, safe_name};

use crate::Outcome;

/// Counts the pairs of models whose verdict is opposite in two comparisons.
///
/// A pair is opposite if one model is shown to be faster in the first comparison and
/// slower in the second. Only models whose job was the same in both are compared. The
/// exit code is 1 if a pair is opposite, or if there is none to compare.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A directory under results
    #[arg(value_parser = safe_name)]
    first: String,
    /// Another one
    #[arg(value_parser = safe_name)]
    second: String,
    /// Where results are, for tests
    #[arg(long, hide = true)]
    output: Option<PathBuf>,
}

/// Compares the verdicts of both.
pub(crate) fn agreement(options: &Options) -> anyhow::Result<Outcome> {
    let output = match &options.output {
        Some(output) => output.clone(),
        None => workspace::root()?,
    };
    let read = |name: &str| {
        let mut comparison = ResultsDir::open(output.join("results").join(name))?.read()?;
        // The directory may have got another name than the comparison had.
        comparison.run.name = name.to_owned();
        anyhow::Ok(comparison)
    };
    let (first, second) = (read(&options.first)?, read(&options.second)?);
    let found = analysis::agreement::agreement(&first, &second);
    print(&terminal::agreement(
        &found,
        [&options.first, &options.second],
        terminal::columns(terminal::COLUMNS),
    ));
    Ok(Outcome::of(found.pairs() > 0 && found.opposite() == 0))
}
