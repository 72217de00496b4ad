//! Two models' code of a workload in two columns, for the page: the texts, each
//! once; what differs between any two of them; and the figures of both.

use std::collections::BTreeMap;

use results::{Comparison, Source, Sources, Status, Verdict};
use serde::Serialize;

use crate::diff::{self, Step};
use crate::distinct::distinct;
use crate::findings::{self, JobResults};
use crate::format::{NONE, counted, status};
use crate::highlight::{RustCode, escaped};
use crate::metrics::{CPU, MEMORY, Metric, TIME};

/// All that the page needs to show any two side by side.
#[derive(Debug)]
pub(crate) struct SideBySide {
    /// The commit, with a word on it if there was more.
    pub(crate) revision: String,
    /// The texts.
    pub(crate) files: Vec<FileText>,
    /// The rest, as JSON that can stand in a `script` element: by
    /// workload, the steps between texts, and the jobs with their figures.
    pub(crate) data: String,
}

/// One model's file of one workload.
#[derive(Debug)]
pub(crate) struct FileText {
    /// The model.
    pub(crate) model: String,
    /// The workload.
    pub(crate) workload: String,
    /// Where it is in the tree.
    pub(crate) path: String,
    /// Its lines of code, in words.
    pub(crate) size: String,
    /// Its text as escaped HTML, no element of which is on two lines.
    pub(crate) html: String,
}

/// What the page's script knows of a workload.
#[derive(Debug, Serialize)]
struct OfWorkload {
    /// By two models' names, the steps from the one's text to the other's: a number
    /// of lines that are the same, or a pair of numbers of lines that stand in each
    /// other's place.
    steps: BTreeMap<String, Vec<StepData>>,
    /// The jobs that have figures.
    jobs: Vec<JobData>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum StepData {
    Same(usize),
    Other([usize; 2]),
}

/// The figures that stand above the texts.
pub(crate) const METRICS: [Metric; 3] = [TIME, CPU, MEMORY];

#[derive(Debug, Serialize)]
struct JobData {
    label: String,
    /// By model: each of [`METRICS`].
    figures: BTreeMap<String, [String; 3]>,
    /// By two models' names: which is faster.
    verdicts: BTreeMap<String, String>,
}

/// The code of a comparison that kept it.
pub(crate) fn side_by_side(comparison: &Comparison, sources: &Sources) -> SideBySide {
    let jobs = findings::all(comparison);
    let workloads = distinct(sources.files.iter().map(|file| &*file.workload));
    let data = workloads.iter().map(|workload| {
        let files = sources
            .files
            .iter()
            .filter(|file| file.workload == *workload);
        let of = of_workload(&files.collect::<Vec<_>>(), &jobs);
        (*workload, of)
    });
    let data: BTreeMap<_, _> = data.collect();
    SideBySide {
        revision: match sources.revision.strip_suffix("-dirty") {
            None => sources.revision.clone(),
            Some(commit) => format!("{commit}, with changes that were not committed"),
        },
        files: sources.files.iter().map(FileText::of).collect(),
        data: in_script(&data),
    }
}

impl FileText {
    fn of(file: &Source) -> Self {
        let code = RustCode::of(&file.text);
        let size = match &code {
            Some(code) => format!("{} of code", counted(code.lines(), "line")),
            None => "not Rust".to_owned(),
        };
        Self {
            model: file.model.clone(),
            workload: file.workload.clone(),
            path: file.path.clone(),
            size,
            html: match code {
                Some(code) => code.html().join("\n"),
                None => escaped(file.text.trim_end()),
            },
        }
    }
}

fn of_workload(files: &[&Source], jobs: &[JobResults]) -> OfWorkload {
    let mut steps = BTreeMap::new();
    for (at, left) in files.iter().enumerate() {
        for right in &files[at + 1..] {
            let between = diff::steps(&left.text, &right.text);
            let between = between.into_iter().map(StepData::from).collect();
            steps.insert(pair(&left.model, &right.model), between);
        }
    }
    let workload = files.first().map_or("", |file| &*file.workload);
    let of_workload = jobs
        .iter()
        .filter(|job| job.workload() == workload && !job.is_point());
    OfWorkload {
        steps,
        jobs: of_workload.map(|job| job_data(job, files)).collect(),
    }
}

fn job_data(job: &JobResults, files: &[&Source]) -> JobData {
    let models: Vec<&str> = files.iter().map(|file| &*file.model).collect();
    let figures = models.iter().filter_map(|model| {
        let cell = job.cell(model)?;
        let figure = |metric: &Metric| {
            let text = metric.text(cell).filter(|_| cell.status == Status::Ok);
            let missing = if metric.is_time() {
                status(cell.status)
            } else {
                NONE
            };
            text.unwrap_or_else(|| missing.to_owned())
        };
        Some(((*model).to_owned(), METRICS.each_ref().map(figure)))
    });
    let figures = figures.collect();
    let mut verdicts = BTreeMap::new();
    for (at, left) in models.iter().enumerate() {
        for right in &models[at + 1..] {
            let words = match job.verdict(left, right) {
                Some(Verdict::Faster) => format!("{left} is faster"),
                Some(Verdict::Slower) => format!("{right} is faster"),
                Some(Verdict::NoDifference) => "no difference".to_owned(),
                Some(Verdict::CannotTell) => "cannot tell".to_owned(),
                None => "no verdict".to_owned(),
            };
            verdicts.insert(pair(left, right), words);
        }
    }
    JobData {
        label: job.label().to_owned(),
        figures,
        verdicts,
    }
}

/// Two models as one key. No model's name has a blank in it.
fn pair(left: &str, right: &str) -> String {
    format!("{left} {right}")
}

impl From<Step> for StepData {
    fn from(step: Step) -> Self {
        match step {
            Step::Same(number) => Self::Same(number),
            Step::Other(gone, new) => Self::Other([gone, new]),
        }
    }
}

/// JSON that stays text in a `script` element, whatever is in it.
fn in_script(data: &impl Serialize) -> String {
    let json = serde_json::to_string(data).unwrap_or_else(|_| "{}".to_owned());
    // Only within JSON's strings can there be any.
    json.replace('<', "\\u003c")
}
