//! The options of `measure`, and of `compare` for `--contestant`, about what is done before
//! and after a program, its input and its exit code.

use std::path::PathBuf;

use clap::Args;
use lab::conditions::Conditions;
use suite::Invalid;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Has a shell run CMD before each run of the program; this is not timed
    #[arg(long, value_name = "CMD")]
    prepare: Option<String>,
    /// Has a shell run CMD after the program's last run, but not after Ctrl-C
    #[arg(long, value_name = "CMD")]
    cleanup: Option<String>,
    /// Gives the program this file as its standard input
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Counts this exit code, or these with commas, as success like 0
    #[arg(long, value_name = "CODE", value_delimiter = ',')]
    ignore_exit: Vec<u8>,
}

impl Options {
    /// The conditions, if there is such an input.
    pub(crate) fn conditions(&self) -> Result<Conditions, Invalid> {
        let conditions = Conditions {
            prepare: self.prepare.clone(),
            cleanup: self.cleanup.clone(),
            input: self.input.clone(),
            ignored_exits: self.ignore_exit.clone(),
        };
        conditions.check()?;
        Ok(conditions)
    }

    /// The first of them that is given.
    pub(crate) fn first(&self) -> Option<&'static str> {
        let given = [
            (self.prepare.is_some(), "--prepare"),
            (self.cleanup.is_some(), "--cleanup"),
            (self.input.is_some(), "--input"),
            (!self.ignore_exit.is_empty(), "--ignore-exit"),
        ];
        given
            .iter()
            .find(|(given, _)| *given)
            .map(|(_, option)| *option)
    }
}
