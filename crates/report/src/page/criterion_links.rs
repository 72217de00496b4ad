//! The way to Criterion's pages of the same samples.

use std::fs;
use std::path::{Path, PathBuf};

use results::RunInfo;

/// A page of Criterion's, relative to its home.
pub(crate) fn page(group: &str) -> PathBuf {
    Path::new(group).join("report").join("index.html")
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
