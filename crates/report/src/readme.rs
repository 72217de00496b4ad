//! The README's tables, kept equal to the results that they are of.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use results::{Comparison, check_writable, write_whole};

use crate::markdown;

/// Between these is the table of the reference results.
const MARKS: [&str; 2] = [
    "<!-- results: written by `cargo xtask report reference --readme` -->",
    "<!-- /results -->",
];

/// Between these is that of a comparison with Python.
const PYTHON_MARKS: [&str; 2] = [
    "<!-- python: written by `cargo xtask report article --readme` -->",
    "<!-- /python -->",
];

/// Puts the table into the file at `path`, between its two markers.
///
/// # Errors
///
/// When the file or its markers are not there.
pub fn update(path: &Path, comparison: &Comparison) -> anyhow::Result<()> {
    let has_python = comparison.cells.iter().any(|cell| cell.python.is_some());
    let marks = if has_python { PYTHON_MARKS } else { MARKS };
    replace(path, marks, &markdown::overview(comparison))
}

/// Puts a text into the file at `path`, between two lines that stand there.
///
/// # Errors
///
/// When the file or these lines are not there.
pub fn replace(path: &Path, marks: [&str; 2], text: &str) -> anyhow::Result<()> {
    let old =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let new = between(&old, marks, text).with_context(|| path.display().to_string())?;
    write_whole(path, &new)
}

/// Makes sure that [`replace`] will find its place: better now than after a build.
///
/// # Errors
///
/// As those of [`replace`].
pub fn check(path: &Path, marks: [&str; 2]) -> anyhow::Result<()> {
    let name = || path.display().to_string();
    let old = fs::read_to_string(path).with_context(name)?;
    between(&old, marks, "").with_context(name)?;
    check_writable(path.parent().unwrap_or(Path::new(".")))
}

/// `page` with `text` between its marks.
fn between(page: &str, [begin, end]: [&str; 2], text: &str) -> anyhow::Result<String> {
    let parts = page.split_once(begin).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(end)?;
        Some((before, after))
    });
    let Some((before, after)) = parts else {
        bail!("the table goes between these two lines, which are not there:\n{begin}\n{end}");
    };
    Ok(format!("{before}{begin}\n{text}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab::workspace;
    use results::ResultsDir;

    #[test]
    fn the_readme_says_what_the_results_say() {
        let root = workspace::root().expect("the tree");
        let readme = fs::read_to_string(root.join("README.md")).expect("there is a README");
        for (name, marks) in [("reference", MARKS), ("article", PYTHON_MARKS)] {
            let directory = ResultsDir::open(root.join("results").join(name));
            let results = directory.and_then(|directory| directory.read());
            let results = results.expect("the results can be read");
            let right = between(&readme, marks, &markdown::overview(&results));
            let right = right.expect("it has its markers");
            assert_eq!(readme, right, "run `cargo xtask report {name} --readme`");
        }
    }
}
