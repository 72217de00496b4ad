//! The way to Criterion's pages of the same samples.

use std::fs;
use std::path::{Path, PathBuf};

use results::{Cell, RunInfo};

/// How long the name of one of Criterion's directories is at most, in bytes.
const LONGEST: usize = 64;

/// What the group of a cell is called on Criterion's pages: one for each job, so that what
/// stands on one scale can be compared, and one for each sweep.
pub fn group(cell: &Cell) -> String {
    match &cell.point {
        Some(point) => sweep_group(&cell.workload, &point.key, cell.cores),
        None => job_group(&cell.workload, &cell.label),
    }
}

/// The same of a job, by its workload and label.
pub(crate) fn job_group(workload: &str, label: &str) -> String {
    format!("{workload} {label}")
}

/// The same of a sweep of a workload's key, with the number of cores if it was kept to some.
pub(crate) fn sweep_group(workload: &str, key: &str, cores: Option<usize>) -> String {
    let cores = cores.map_or(String::new(), |cores| format!(" cores={cores}"));
    format!("{workload}.{key}{cores}")
}

/// Whether a directory in Criterion's home may be one of a group of this workload's.
pub fn is_of_workload(directory: &str, workload: &str) -> bool {
    let rest = directory.strip_prefix(workload);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '.']))
}

/// A group's page, relative to Criterion's home.
pub(crate) fn page(group: &str) -> PathBuf {
    let kept = |c: char| if "?\"/\\*<>:|^".contains(c) { '_' } else { c };
    let mut directory: String = group.chars().map(kept).collect();
    directory.truncate(directory.floor_char_boundary(LONGEST));
    Path::new(&directory).join("report").join("index.html")
}

/// The file in Criterion's home that says whose pages they are.
pub const MADE_FROM: &str = "made-from.json";

/// Whether Criterion's pages in `home` are those of this very run.
pub(crate) fn made_from(home: &Path, run: &RunInfo) -> bool {
    let text = fs::read(home.join(MADE_FROM));
    let made: Option<RunInfo> = text
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok());
    made.is_some_and(|made| (made.name, made.started) == (run.name.clone(), run.started.clone()))
}
