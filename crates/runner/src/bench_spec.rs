//! What a model's bench program times, as the environment tells it:
//!
//! - `PACES_CELLS`: a JSON list of [`BenchCell`]s, such as
//!   `[{"workload": "counter", "label": "heavy-racy", "job": {..}}]`;
//! - `PACES_ORIGIN`: the URL of a running origin;
//! - `PACES_INPUTS`: where the files are that some jobs read;
//! - `PACES_THREADS`, `PACES_BLOCKING_THREADS`: as the options of `run`.
//!
//! How long and how often is for Criterion's own command line to say.

use std::env::{self, VarError};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use suite::{Job, Preset, Result, Setup, Workload};

const CELLS: &str = "PACES_CELLS";
const ORIGIN: &str = "PACES_ORIGIN";
const INPUTS: &str = "PACES_INPUTS";
const THREADS: &str = "PACES_THREADS";
const BLOCKING_THREADS: &str = "PACES_BLOCKING_THREADS";

/// What a bench program times, and with what.
#[derive(Debug, Clone)]
pub struct BenchSpec {
    /// The jobs.
    pub cells: Vec<BenchCell>,
    /// The URL of a running origin; one is started if there is none.
    pub origin: Option<String>,
    /// Where [`inputs::make`](crate::inputs::make) has made the files that some
    /// jobs read; they are made if they are nowhere.
    pub inputs: Option<PathBuf>,
    /// Worker threads for tasks.
    pub threads: usize,
    /// The most blocking calls at once.
    pub blocking_threads: usize,
}

/// One row of one table: a job, and what it is called there. Its JSON has the
/// keys `workload`, `label` and `job`; others are passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Entry", into = "Entry")]
pub struct BenchCell {
    /// The row's name within its workload: `heavy`, say.
    pub label: String,
    /// The job.
    pub job: Job,
}

/// A [`BenchCell`] as it is written: a job alone does not tell its workload.
#[derive(Serialize, Deserialize)]
struct Entry {
    workload: Workload,
    label: String,
    job: Value,
}

impl TryFrom<Entry> for BenchCell {
    type Error = anyhow::Error;

    fn try_from(entry: Entry) -> Result<Self> {
        let job = entry.workload.job_from_json(entry.job)?;
        job.validate()?;
        Ok(Self {
            label: entry.label,
            job,
        })
    }
}

impl From<BenchCell> for Entry {
    fn from(cell: BenchCell) -> Self {
        Self {
            workload: cell.job.workload(),
            label: cell.label,
            job: cell.job.to_json(),
        }
    }
}

impl BenchSpec {
    /// Reads the environment. What is not there is chosen: every workload's
    /// `heavy` preset, and pools as `run` has them.
    pub fn from_environment() -> Result<Self> {
        let cells = match variable(CELLS)? {
            Some(cells) => serde_json::from_str(&cells).context(CELLS)?,
            None => heavy(),
        };
        Ok(Self {
            cells,
            origin: variable(ORIGIN)?,
            inputs: variable(INPUTS)?.map(PathBuf::from),
            threads: number(THREADS)?.unwrap_or_else(crate::cores),
            blocking_threads: number(BLOCKING_THREADS)?.unwrap_or(Setup::BLOCKING_THREADS),
        })
    }

    /// Sets the environment of a bench program.
    pub fn set_on(&self, command: &mut Command) -> Result<()> {
        command
            .env(CELLS, serde_json::to_string(&self.cells)?)
            .env(THREADS, self.threads.to_string())
            .env(BLOCKING_THREADS, self.blocking_threads.to_string());
        if let Some(origin) = &self.origin {
            command.env(ORIGIN, origin);
        }
        if let Some(inputs) = &self.inputs {
            command.env(INPUTS, inputs);
        }
        Ok(())
    }
}

fn heavy() -> Vec<BenchCell> {
    let heavy = |workload: &Workload| BenchCell {
        label: Preset::Heavy.to_string(),
        job: workload.job(Preset::Heavy),
    };
    Workload::ALL.iter().map(heavy).collect()
}

fn variable(name: &str) -> Result<Option<String>> {
    match env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        Err(error) => bail!("{name}: {error}"),
    }
}

fn number(name: &str) -> Result<Option<usize>> {
    let number = |text: String| match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => bail!("{name} = {text}: has to be a whole number from 1"),
    };
    variable(name)?.map(number).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_read_back() {
        let cells = heavy();
        let json = serde_json::to_string(&cells).expect("plain numbers and texts");
        let again: Vec<BenchCell> = serde_json::from_str(&json).expect("cells");
        assert_eq!(again, cells);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (cell, says) in [
            (
                r#"{"workload":"knitting","label":"x","job":{}}"#,
                "knitting",
            ),
            (
                r#"{"workload":"exchange","label":"x","job":{}}"#,
                "messages",
            ),
            (
                r#"{"workload":"primes","label":"x","job":{"start":0,"end":9,"workers":0}}"#,
                "primes.workers = 0",
            ),
        ] {
            let refused = serde_json::from_str::<BenchCell>(cell).expect_err(cell);
            assert!(refused.to_string().contains(says), "{refused}");
        }
    }
}
