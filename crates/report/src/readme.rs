//! The README's table, kept equal to the reference results.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use results::{Comparison, check_writable, write_whole};

use crate::markdown;

const BEGIN: &str = "<!-- results: written by `cargo xtask report reference --readme` -->";
const END: &str = "<!-- /results -->";

/// Puts the table into the file at `path`, between its two markers.
///
/// # Errors
///
/// When the file or its markers are not there.
pub fn update(path: &Path, comparison: &Comparison) -> anyhow::Result<()> {
    replace(path, [BEGIN, END], &markdown::overview(comparison))
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
    fn the_readme_says_what_the_reference_results_say() {
        let root = workspace::root().expect("the tree");
        let reference = root.join("results/reference");
        let results = ResultsDir::open(reference).and_then(|directory| directory.read());
        let results = results.expect("the reference results can be read");
        let readme = fs::read_to_string(root.join("README.md")).expect("there is a README");
        let right = between(&readme, [BEGIN, END], &markdown::overview(&results));
        let right = right.expect("it has its markers");
        assert_eq!(readme, right, "run `cargo xtask report reference --readme`");
    }
}
