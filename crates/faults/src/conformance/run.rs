//! Runs the cases.

use std::path::Path;
use std::time::{Duration, Instant};

use lab::interrupt::Interrupt;
use lab::progress::Progress;

use crate::check::wrong;
use crate::conformance::case::Case;
use crate::matrix::{Mark, Model, counts, each};
use crate::run::{Failure, Verdict};

/// How all cases came out.
#[derive(Debug)]
pub struct Matrix {
    /// The models, as columns.
    pub(crate) models: Vec<String>,
    /// The cases, and how each came out in each model.
    pub(crate) rows: Vec<(Case, Vec<Verdict>)>,
    /// How long it all took.
    pub(crate) took: Duration,
}

impl Matrix {
    /// The numbers of those that passed, failed, and were not run.
    pub fn counts(&self) -> [usize; 3] {
        counts(self.rows.iter().flat_map(|(_, verdicts)| verdicts))
    }

    /// How a case came out.
    pub(crate) fn marks(verdicts: &[Verdict]) -> impl Iterator<Item = Mark> {
        verdicts.iter().map(Verdict::mark)
    }
}

/// Runs the cases with the models, `at_once` at a time, in directories below `parent`.
pub fn run(
    cases: Vec<Case>,
    models: &[Model],
    at_once: usize,
    parent: &Path,
    interrupt: &Interrupt,
    progress: &Progress,
) -> Matrix {
    let began = Instant::now();
    let names: Vec<_> = cases.iter().map(|case| case.name).collect();
    let run = |number: usize, model: &Model, program: &Path| {
        let Case {
            name,
            arguments,
            test,
            ..
        } = &cases[number];
        let directory = parent.join(format!("{}.{name}", model.name));
        let done = test.run(program, model.serial, arguments, &directory);
        // Each has files of its own; large ones would add up.
        let _ = std::fs::remove_dir_all(&directory);
        match done {
            Ok(failure) if failure.wrong.is_empty() => Verdict::Pass,
            _ if interrupt.came() => Verdict::NotRun("interrupted".to_owned()),
            Ok(failure) => Verdict::Fail(Box::new(failure)),
            Err(error) => Verdict::Fail(Box::new(Failure {
                command: "nothing".to_owned(),
                wrong: vec![wrong("a server", format!("{error:#}"))],
                stdout: String::new(),
                stderr: String::new(),
            })),
        }
    };
    let verdicts = each(&names, models, at_once, interrupt, progress, run);
    Matrix {
        models: models.iter().map(|model| model.name.clone()).collect(),
        rows: cases.into_iter().zip(verdicts).collect(),
        took: began.elapsed(),
    }
}
