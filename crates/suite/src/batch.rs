//! What `files` and `thumbnails` have in common: a list of files, each of which
//! is dealt with on its own, and of which some can be spoiled.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::WrongAnswer;

/// A file that could not be dealt with. It does not stop the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spoiled {
    /// The file's name, without its directory.
    pub name: String,
    /// What was wrong with it.
    pub reason: String,
}

/// Collects what came of each file, by its place in the job's list and in
/// whatever order they are done.
#[derive(Debug)]
pub struct Tally<S> {
    results: Vec<Option<Result<S, String>>>,
    /// Results, also those that took another one's place.
    good: u64,
}

impl<S> Tally<S> {
    pub(crate) fn new(paths: &[PathBuf]) -> Self {
        Self {
            results: paths.iter().map(|_| None).collect(),
            good: 0,
        }
    }

    /// What came of the file in this place of the list: a summary, or what was
    /// wrong with it.
    ///
    /// # Panics
    ///
    /// If there is no such place.
    pub fn add(&mut self, file: usize, result: Result<S, String>) {
        self.good += u64::from(result.is_ok());
        self.results[file] = Some(result);
    }

    /// The number of summaries, a digest over them, and who is spoiled; both in
    /// the order of the list. `put` puts a summary into the digest and adds it
    /// up otherwise.
    pub(crate) fn close(
        self,
        paths: &[PathBuf],
        mut put: impl FnMut(&mut blake3::Hasher, &S),
    ) -> (u64, String, Vec<Spoiled>) {
        let mut hasher = blake3::Hasher::new();
        let mut spoiled = Vec::new();
        for (path, result) in paths.iter().zip(&self.results) {
            let name = name(path);
            match result {
                Some(Ok(summary)) => {
                    hasher.update(name.as_bytes());
                    hasher.update(&[0]); // no name contains it
                    put(&mut hasher, summary);
                }
                Some(Err(reason)) => spoiled.push(Spoiled {
                    name,
                    reason: reason.clone(),
                }),
                None => {}
            }
        }
        let digest = hasher.finalize().to_hex().to_string();
        (self.good, digest, spoiled)
    }
}

/// A file's name, without its directory.
fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// The same files are spoiled, each with a reason. The reason's words may
/// differ: some libraries add their own to the operating system's.
pub(crate) fn check_spoiled(
    what: &'static str,
    got: &[Spoiled],
    right: &[Spoiled],
) -> Result<(), WrongAnswer> {
    let names = |list: &[Spoiled]| {
        let names: Vec<_> = list.iter().map(|file| &*file.name).collect();
        format!("[{}]", names.join(", "))
    };
    let silent = got.iter().find(|file| file.reason.is_empty());
    if let Some(silent) = silent {
        let got = format!("{} without a reason", silent.name);
        return WrongAnswer::unless(false, what, got, "a reason for each");
    }
    let (got, right) = (names(got), names(right));
    WrongAnswer::unless(got == right, what, &got, &right)
}

/// A line for each file that could not be dealt with, for people.
pub(crate) fn spoiled_lines(how: &str, files: &[Spoiled]) -> String {
    // Quoted: a name can hold anything.
    let line = |file: &Spoiled| format!("\n  {how}: {:?}: {}", file.name, file.reason);
    files.iter().map(line).collect()
}
