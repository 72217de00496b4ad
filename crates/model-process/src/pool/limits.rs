//! How many children there can be, and how many deaths are too many.

use std::env;

use anyhow::{bail, ensure};
use runner::scratch::LONGEST_FOR_SOCKETS;
use rustix::process::{Resource, getrlimit};
use suite::{Result, Unsupported};

use crate::shm::MAX_CHILDREN;

/// How many children may die of the same work before it fails.
pub(crate) const MAX_DEATHS: u32 = 5;

/// File descriptors that the parent needs for each child, at worst (while all of
/// them start, or while a pipeline is connected), and for everything else.
const DESCRIPTORS_PER_CHILD: u64 = 3;
const OTHER_DESCRIPTORS: u64 = 64;
/// The same for a download, which can do with fewer children than it is allowed
/// requests, and so calculates with less of a margin.
const OTHER_DESCRIPTORS_OF_DOWNLOAD: u64 = 24;

/// Refuses more children than there can be.
pub(crate) fn check_supported(units: usize) -> Result<()> {
    check_max(units)?;
    let needed = units as u64 * DESCRIPTORS_PER_CHILD + OTHER_DESCRIPTORS;
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < needed => bail!(Unsupported(format!(
            "{units} child processes need up to {needed} open files, and the limit is {limit} (ulimit -n)"
        ))),
        _ => Ok(()),
    }
}

/// `units`, or as many children as there can be with the files that this process
/// may open, but at least one.
pub(crate) fn at_most(units: usize) -> Result<usize> {
    check_max(units)?;
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let affordable = limit.saturating_sub(OTHER_DESCRIPTORS_OF_DOWNLOAD) / DESCRIPTORS_PER_CHILD;
    Ok(units.min(usize::try_from(affordable).unwrap_or(usize::MAX).max(1)))
}

fn check_max(units: usize) -> Result<()> {
    if units > MAX_CHILDREN {
        bail!(Unsupported(format!(
            "{units} units would be {units} child processes, and at most {MAX_CHILDREN} are started"
        )));
    }
    Ok(())
}

/// Refuses a temporary directory that does not exist or has a long path:
/// ipc-channel makes a socket there for each child, and would panic.
pub(crate) fn check_temporary_directory() -> Result<()> {
    const MAX_BYTES: usize = LONGEST_FOR_SOCKETS;
    let directory = env::temp_dir();
    ensure!(
        directory.is_dir() && directory.as_os_str().len() <= MAX_BYTES,
        "TMPDIR: {} has to be a directory, in at most {MAX_BYTES} bytes",
        directory.display()
    );
    Ok(())
}
