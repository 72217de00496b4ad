//! Places that something is written to after a build: what is wrong with one is found
//! before it.

use std::path::Path;

use anyhow::{Context, ensure};
use results::Kind;
use runner::scratch::LONGEST_FOR_SOCKETS;
use rustix::fs::{Access, access};

use crate::models::Model;

/// What a directory in another one adds to its path, as `tempfile` names them.
pub const OWN_DIRECTORY: &str = "/.tmpXXXXXX";

/// Refuses a directory for temporary files that is none, or that cannot be written.
///
/// # Errors
///
/// With what is wrong.
pub fn check_temporary(directory: &Path) -> anyhow::Result<()> {
    let named = || format!("TMPDIR: {}", directory.display());
    ensure!(directory.is_dir(), "{} is no directory", named());
    access(directory, Access::WRITE_OK | Access::EXEC_OK)
        .with_context(|| format!("{} cannot be written", named()))
}

/// Refuses a directory for temporary files in which one of these models could make no
/// sockets. `below` is what is added to its path.
///
/// # Errors
///
/// With the lengths, and as [`check_temporary`].
pub fn check_sockets<'a>(
    models: impl IntoIterator<Item = &'a Model>,
    directory: &Path,
    below: &str,
) -> anyhow::Result<()> {
    let length = directory.as_os_str().len() + below.len();
    let makes_sockets = |model: &&Model| model.info.kind == Kind::Process;
    if let Some(model) = models.into_iter().find(makes_sockets) {
        check_temporary(directory)?;
        ensure!(
            length <= LONGEST_FOR_SOCKETS,
            "TMPDIR: {}{below} would have {length} bytes, and the sockets of {} need a directory \
             with {LONGEST_FOR_SOCKETS} at most",
            directory.display(),
            model.name()
        );
    }
    Ok(())
}

/// Refuses a directory that cannot be made, or not be written.
///
/// # Errors
///
/// With what is in the way.
pub fn check_directory(directory: &Path) -> anyhow::Result<()> {
    let mut place = std::path::absolute(directory).context("the current directory")?;
    let missing = |place: &Path| place.symlink_metadata().is_err();
    while missing(&place) && place.pop() {}
    let cannot = || format!("{} cannot be written", directory.display());
    ensure!(
        place.is_dir(),
        "{}: {} is no directory",
        cannot(),
        place.display()
    );
    access(&place, Access::WRITE_OK | Access::EXEC_OK)
        .with_context(|| format!("{}: {}", cannot(), place.display()))
}
