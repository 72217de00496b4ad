//! Every case with every model, many at a time.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use lab::interrupt::Interrupt;
use lab::progress::Progress;
use lab::stops::again;

use crate::case::Case;
use crate::cases::FAULTS;
use crate::run::{Environment, Failure, Verdict, run_case};

/// A model that takes part.
#[derive(Debug, Clone)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// Whether it does one thing after the other.
    pub serial: bool,
    /// Its program, if that could be built.
    pub program: Option<PathBuf>,
}

/// How all cases came out.
#[derive(Debug)]
pub struct Matrix {
    /// The models, as columns.
    pub(crate) models: Vec<String>,
    /// How each case came out, in each model.
    pub(crate) rows: Vec<Row>,
    /// How long it all took.
    pub(crate) took: Duration,
}

/// How a case came out.
#[derive(Debug)]
pub(crate) struct Row {
    /// The case.
    pub(crate) case: Case,
    /// For each model.
    pub(crate) verdicts: Vec<Verdict>,
}

/// How the cases of one fault came out, in one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mark {
    /// All that could be run are right.
    Pass,
    /// None is wrong, but some could not be run.
    NotRun,
    /// Some are wrong.
    Fail,
}

/// Runs the cases with the models, `at_once` at a time: most of them wait.
pub fn run(
    cases: Vec<Case>,
    models: &[Model],
    at_once: usize,
    environment: &Environment,
    progress: &Progress,
) -> Matrix {
    let began = Instant::now();
    let names: Vec<_> = cases.iter().map(|case| case.name).collect();
    let run = |number: usize, model: &Model, program: &Path| {
        let model = (&*model.name, model.serial);
        run_case(&cases[number], model, program, environment)
    };
    let verdicts = each(
        &names,
        models,
        at_once,
        environment.interrupt,
        progress,
        run,
    );
    let row = |(case, verdicts)| Row { case, verdicts };
    Matrix {
        models: models.iter().map(|model| model.name.clone()).collect(),
        rows: cases.into_iter().zip(verdicts).map(row).collect(),
        took: began.elapsed(),
    }
}

/// Runs each of the cases with these names, with each of the models. For each case, how it
/// came out in each model.
pub(crate) fn each(
    names: &[&str],
    models: &[Model],
    at_once: usize,
    interrupt: &Interrupt,
    progress: &Progress,
    run_case: impl Fn(usize, &Model, &Path) -> Verdict + Sync,
) -> Vec<Vec<Verdict>> {
    let all = names.len() * models.len();
    let next = AtomicUsize::new(0);
    let verdicts = Mutex::new(vec![None; all]);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= all {
                return;
            }
            // A case with all models, then the next one: the models share the load of
            // the machine.
            let (case, model) = (number / models.len(), &models[number % models.len()]);
            let what = format!("{} in {}", names[case], model.name);
            progress.doing(&format!("{number} of {all}: {what}"));
            let verdict = match &model.program {
                _ if interrupt.came() => Verdict::NotRun("interrupted".to_owned()),
                None => Verdict::NotRun("it does not build".to_owned()),
                Some(program) => {
                    // If this or a program was stopped, the program looks as if it hung.
                    let run = || run_case(case, model, program);
                    let say_again = |_| progress.line(&again(&what));
                    let verdict = interrupt.unstopped(run, say_again);
                    verdict.unwrap_or_else(|stopped| Verdict::NotRun(stopped.to_string()))
                }
            };
            verdicts.lock().unwrap_or_else(PoisonError::into_inner)[number] = Some(verdict);
        }
    };
    thread::scope(|scope| {
        for _ in 1..at_once {
            scope.spawn(work);
        }
        work();
    });
    let verdicts = verdicts
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let missing = || Verdict::NotRun("it was not run".to_owned());
    let verdicts: Vec<_> = verdicts
        .into_iter()
        .map(|verdict| verdict.unwrap_or_else(missing))
        .collect();
    verdicts.chunks(models.len()).map(<[_]>::to_vec).collect()
}

impl Matrix {
    /// How the cases of a fault came out, in the model of a column; none if there were
    /// no such cases.
    pub(crate) fn mark(&self, fault: u8, column: usize) -> Option<Mark> {
        let rows = self.rows.iter().filter(|row| row.case.fault == fault);
        rows.map(|row| row.verdicts[column].mark()).max()
    }

    /// The numbers of those that passed, failed, and were not run.
    pub fn counts(&self) -> [usize; 3] {
        counts(self.rows.iter().flat_map(|row| &row.verdicts))
    }

    /// What went wrong: each with its case and its model.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (&Case, &str, &Failure)> {
        self.rows.iter().flat_map(|row| {
            let columns = self.models.iter().zip(&row.verdicts);
            columns.filter_map(|(model, verdict)| match verdict {
                Verdict::Fail(failure) => Some((&row.case, &**model, &**failure)),
                _ => None,
            })
        })
    }

    /// What could not be run, and why: each reason once, with the first case.
    pub(crate) fn not_run(&self) -> Vec<(&str, &str)> {
        let mut all: Vec<(&str, &str)> = Vec::new();
        for row in &self.rows {
            for verdict in &row.verdicts {
                if let Verdict::NotRun(why) = verdict
                    && !all.iter().any(|(_, other)| other == why)
                {
                    all.push((row.case.name, why));
                }
            }
        }
        all
    }

    /// The faults that have cases here.
    pub(crate) fn faults(&self) -> Vec<&'static crate::cases::Fault> {
        let has_cases = |number| self.rows.iter().any(|row| row.case.fault == number);
        FAULTS
            .iter()
            .filter(|fault| has_cases(fault.number))
            .collect()
    }
}

/// The numbers of those that passed, failed, and were not run.
pub(crate) fn counts<'a>(verdicts: impl Iterator<Item = &'a Verdict> + Clone) -> [usize; 3] {
    let count = |mark| {
        let such = verdicts.clone().filter(|verdict| verdict.mark() == mark);
        such.count()
    };
    [Mark::Pass, Mark::Fail, Mark::NotRun].map(count)
}

impl Verdict {
    pub(crate) fn mark(&self) -> Mark {
        match self {
            Verdict::Pass => Mark::Pass,
            Verdict::Fail(_) => Mark::Fail,
            Verdict::NotRun(_) => Mark::NotRun,
        }
    }
}

impl Mark {
    /// In a word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Mark::Pass => "pass",
            Mark::Fail => "FAIL",
            Mark::NotRun => "not run",
        }
    }
}
