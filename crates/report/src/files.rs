//! Writes the files that are made from the data.

use results::{Comparison, ResultsDir};

use crate::{markdown, page};

/// Writes all three files. The page comes last: it stands for them.
///
/// # Errors
///
/// When they cannot be written.
pub fn write(directory: &ResultsDir, comparison: &Comparison) -> anyhow::Result<()> {
    directory.write(comparison)?;
    write_texts(directory, comparison)
}

/// Writes the two files that are made from the data.
///
/// # Errors
///
/// When they cannot be written.
pub fn write_texts(directory: &ResultsDir, comparison: &Comparison) -> anyhow::Result<()> {
    directory.write_text(ResultsDir::MARKDOWN, &markdown::document(comparison))?;
    let page = page::page_at(comparison, Some(directory.path()))?;
    directory.write_text(ResultsDir::PAGE, &page)
}
