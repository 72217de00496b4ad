//! Two models' code of a workload in two columns, for the page: the texts, each
//! once; what differs between any two of them; and the figures of both.

use std::collections::BTreeMap;

use results::Comparison;
use results::Verdict;
use results::{Source, Sources};
use serde::Serialize;

use crate::diff::{self, Step};
use crate::findings;
use crate::findings::Evidence;
use crate::format::{memory, time};
use crate::highlight::{RustCode, escaped};
use crate::tables::NONE;

/// All that the page needs to show any two side by side.
#[derive(Debug)]
pub struct SideBySide {
    /// The commit, with a word on it if there was more.
    pub revision: String,
    /// The texts.
    pub files: Vec<FileView>,
    /// The rest, as JSON that can stand in a `script` element: by
    /// workload, the steps between texts, and the jobs with their figures.
    pub data: String,
}

/// One model's file of one workload.
#[derive(Debug)]
pub struct FileView {
    /// The model.
    pub model: String,
    /// The workload.
    pub workload: String,
    /// Where it is in the tree.
    pub path: String,
    /// Its lines of code, in words.
    pub size: String,
    /// Its text as escaped HTML, no element of which is on two lines.
    pub html: String,
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

#[derive(Debug, Serialize)]
struct JobData {
    label: String,
    /// By model: time, CPU and memory.
    figures: BTreeMap<String, [String; 3]>,
    /// By two models' names: which is faster.
    verdicts: BTreeMap<String, String>,
}

/// The view of a comparison whose code is known.
pub fn view(comparison: &Comparison, sources: &Sources) -> SideBySide {
    let jobs = findings::all(comparison);
    let mut workloads: Vec<&str> = Vec::new();
    for file in &sources.files {
        if !workloads.contains(&&*file.workload) {
            workloads.push(&file.workload);
        }
    }
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
        files: sources.files.iter().map(FileView::of).collect(),
        data: in_script(&data),
    }
}

impl FileView {
    fn of(file: &Source) -> Self {
        let code = RustCode::of(&file.text);
        let size = match &code {
            Some(code) => format!("{} lines of code", code.lines()),
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

fn of_workload(files: &[&Source], jobs: &[Evidence]) -> OfWorkload {
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

fn job_data(job: &Evidence, files: &[&Source]) -> JobData {
    let models: Vec<&str> = files.iter().map(|file| &*file.model).collect();
    let figures = models.iter().filter_map(|model| {
        let cell = job.cell(model)?;
        let or_none = |text: Option<String>| text.unwrap_or_else(|| NONE.to_owned());
        let status = || crate::format::status(cell.status).to_owned();
        let figures = [
            cell.median_ns().map_or_else(status, time),
            or_none(job.cpu(model).map(|ns| time(ns as f64))),
            or_none(job.memory(model).map(memory)),
        ];
        Some(((*model).to_owned(), figures))
    });
    let figures = figures.collect();
    let mut verdicts = BTreeMap::new();
    for (at, left) in models.iter().enumerate() {
        for right in &models[at + 1..] {
            let words = match job.verdict(left, right) {
                Some(Verdict::Faster) => format!("{left} is faster"),
                Some(Verdict::Slower) => format!("{right} is faster"),
                Some(Verdict::NoDifference) => "no difference".to_owned(),
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
