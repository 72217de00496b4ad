//! The README's table, kept equal to the reference results.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};

use crate::markdown;
use crate::results::{Comparison, write_whole};

const BEGIN: &str = "<!-- results: written by `cargo xtask report reference --readme` -->";
const END: &str = "<!-- /results -->";

/// Puts the table into the file at `path`, between its two markers.
///
/// # Errors
///
/// When the file or its markers are not there.
pub fn update(path: &Path, comparison: &Comparison) -> anyhow::Result<()> {
    let old =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let new = with_table(&old, comparison).with_context(|| path.display().to_string())?;
    write_whole(path, &new)
}

/// `readme` with the table of `comparison`.
fn with_table(readme: &str, comparison: &Comparison) -> anyhow::Result<String> {
    let parts = readme.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let Some((before, after)) = parts else {
        bail!("the table goes between these two lines, which are not there:\n{BEGIN}\n{END}");
    };
    let table = markdown::overview(comparison);
    Ok(format!("{before}{BEGIN}\n{table}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Directory;
    use crate::workspace;

    #[test]
    fn the_readme_says_what_the_reference_results_say() {
        let root = workspace::root();
        let reference = root.join("results/reference");
        let results = Directory::open(reference).and_then(|directory| directory.read());
        let results = results.expect("the reference results can be read");
        let readme = fs::read_to_string(root.join("README.md")).expect("there is a README");
        let right = with_table(&readme, &results).expect("it has its markers");
        assert_eq!(readme, right, "run `cargo xtask report reference --readme`");
    }
}
