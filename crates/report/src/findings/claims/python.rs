//! The article's claims with Python itself.

use results::{Comparison, Interpreter, Kind, ModelInfo, Models};

use super::rules::{lost_by_threads, threads_cpu};
use super::{Answer, Claim, Test, claims, named};
use crate::findings::{self, JobResults};
use crate::words::Summary;

/// What became of a claim with one interpreter of Python.
#[derive(Debug, Clone)]
pub struct InPython {
    /// Which: `Python 3.11.7`.
    pub interpreter: String,
    /// By which rule it is answered.
    pub rule: String,
    /// Whether it is so.
    pub answer: Answer,
    /// By which figures, or why it cannot be told.
    pub measured: Vec<String>,
}

/// What one interpreter's contestants have done.
pub(super) struct PythonJobs<'a> {
    interpreter: Interpreter,
    models: Vec<ModelInfo>,
    jobs: Vec<JobResults<'a>>,
}

impl<'a> PythonJobs<'a> {
    /// Of each interpreter.
    pub(super) fn of(comparison: &'a Comparison) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for python in comparison
            .cells
            .iter()
            .filter_map(|cell| cell.python.as_ref())
        {
            let interpreter = &python.interpreter;
            if all.iter().all(|known| known.interpreter != *interpreter) {
                let jobs = findings::in_python(comparison, interpreter);
                all.push(Self {
                    interpreter: interpreter.clone(),
                    models: models(comparison.models(), &jobs),
                    jobs,
                });
            }
        }
        all
    }

    /// What becomes of this claim; none if it was not measured at its workload.
    pub(super) fn answer(
        &self,
        id: &str,
        workload: &str,
        rule: &str,
        test: Test,
    ) -> Option<InPython> {
        let of_workload = |job: &&JobResults| job.workload() == workload;
        let mut jobs = self.jobs.iter().filter(of_workload);
        jobs.find(|job| !job.models().is_empty())?;
        let models = Models(&self.models);
        let (rule, test): (&str, Test) = match id {
            // Of threads: what processes lose in shared memory is another thing.
            "lost-updates" => (
                "Holds if {threads} with several workers lost one. That none was lost proves nothing.",
                lost_by_threads,
            ),
            "threads-cpu" => (
                "Does not hold if {threads} is faster than {baseline}, whose tasks share a thread, \
                 on more than one core.",
                threads_cpu,
            ),
            _ => (rule, test),
        };
        let findings = test(&self.jobs, models);
        Some(InPython {
            interpreter: self.interpreter.words(),
            rule: named(rule, models),
            answer: Answer::of(&findings),
            measured: findings.into_iter().map(|one| one.words).collect(),
        })
    }
}

/// The contestants as models, each like those of its kind. asyncio, which has one thread, is the
/// baseline of the others.
fn models(known: Models, jobs: &[JobResults]) -> Vec<ModelInfo> {
    let mut models: Vec<ModelInfo> = Vec::new();
    for cell in jobs.iter().flat_map(|job| &job.cells) {
        let kind = cell.python.as_ref().and_then(|python| python.model.kind());
        let Some(like) = known.iter().find(|model| Some(model.kind) == kind) else {
            continue;
        };
        if models.iter().all(|model| model.name != cell.model) {
            models.push(ModelInfo {
                name: cell.model.clone(),
                baseline: like.kind == Kind::Task,
                ..like.clone()
            });
        }
    }
    models
}

/// Each claim that was measured with Python, in words; none if there is none.
pub(crate) fn summary(comparison: &Comparison) -> Option<Summary> {
    let line = |claim: &Claim, answer: &InPython| {
        format!(
            "{} {}: {} ({}). Rust: {}.",
            claim.python,
            answer.interpreter,
            answer.answer.words(),
            answer.measured.join("; "),
            claim.answer.words()
        )
    };
    let lines: Vec<_> = claims(comparison)
        .iter()
        .flat_map(|claim| claim.in_python.iter().map(|answer| line(claim, answer)))
        .collect();
    (!lines.is_empty()).then(|| Summary {
        title: "The article's claims, with Python".to_owned(),
        lines,
    })
}
