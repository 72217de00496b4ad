//! Options of the contestants in Python.

use std::path::{Path, PathBuf};

use clap::Args;
use compare::Preparation;
use lab::interrupt::Interrupt;
use lab::progress::Progress;
use lab::python::Interpreters;

/// Which interpreters take part.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Adds Python's threads, processes, asyncio and sub-interpreters, by `python3`
    ///
    /// Heavy jobs are then made smaller until all contestants fit the time. HTTP under asyncio
    /// needs aiohttp, which is installed below target/python on the first use.
    #[arg(long)]
    python: bool,
    /// The same by this interpreter instead; can be repeated
    #[arg(long, value_name = "PATH")]
    python_at: Vec<PathBuf>,
}

impl Options {
    /// Whether any takes part.
    pub(crate) fn is_given(&self) -> bool {
        self.python || !self.python_at.is_empty()
    }

    /// Those that take part.
    ///
    /// # Errors
    ///
    /// As [`Interpreters::find`].
    pub(crate) fn interpreters(&self, interrupt: &Interrupt) -> anyhow::Result<Interpreters> {
        match self.is_given() {
            true => Interpreters::find(&self.python_at, interrupt),
            false => Ok(Interpreters::default()),
        }
    }
}

/// Gives asyncio its HTTP where a job needs that, and says what is not as without Python.
pub(crate) fn prepare(
    mut interpreters: Interpreters,
    preparation: &mut Preparation,
    (root, target): (&Path, &Path),
    interrupt: &Interrupt,
    progress: &Progress,
) -> anyhow::Result<()> {
    let mut notes = Vec::new();
    if preparation.needs_http() {
        notes = interpreters.add_aiohttp(root, target, interrupt, progress)?;
        for command in interpreters.contestants(root)? {
            preparation.replace(command);
        }
    }
    let scaled = "with --python, heavy jobs are made smaller until all contestants fit the time";
    notes.push(scaled.to_owned());
    notes.iter().for_each(|note| progress.line(note));
    preparation.comparison.run.notes.extend(notes);
    Ok(())
}
