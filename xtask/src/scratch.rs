//! Where downloads are written while they are measured.

use std::path::Path;

use anyhow::Context;
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use suite::Job;
use tempfile::TempDir;

use crate::plan::Group;

/// Where Linux keeps a file system in memory.
const MEMORY: &str = "/dev/shm";

/// An image of the origin's mixed set, on average, in bytes.
const MIXED_IMAGE: u64 = 125_000;

/// A directory for all that the runs write, removed when it is dropped; and
/// what to call its place.
///
/// In memory, where there is room and `TMPDIR` names no other place. On a disk
/// it would be the file system that is measured: to create a file, ext4 passes
/// over every inode that was freed in the last minute, so each run would pay
/// for the files of those before it.
///
/// # Errors
///
/// When no directory can be made.
pub fn directory(groups: &[Group]) -> anyhow::Result<(TempDir, String)> {
    let named = std::env::var_os("TMPDIR").is_some();
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix("paces-");
    if !named
        && has_room(Path::new(MEMORY), needed(groups))
        && let Ok(directory) = builder.tempdir_in(MEMORY)
    {
        return Ok((directory, format!("memory, {MEMORY}")));
    }
    let disk = std::env::temp_dir();
    let directory = builder
        .tempdir()
        .with_context(|| format!("cannot make a temporary directory in {}", disk.display()))?;
    Ok((directory, disk.display().to_string()))
}

/// The bytes of the largest download, twice: it is written again before the one
/// before is gone.
fn needed(groups: &[Group]) -> u64 {
    let bytes = |group: &Group| match &group.full {
        Job::Download(job) if job.image_bytes > 0 => job.images.saturating_mul(job.image_bytes),
        Job::Download(job) => job.images.saturating_mul(MIXED_IMAGE),
        _ => 0,
    };
    let largest = groups.iter().map(bytes).max().unwrap_or(0);
    largest.saturating_mul(2)
}

fn has_room(path: &Path, bytes: u64) -> bool {
    statfs(path).is_ok_and(|system| {
        let block = u64::try_from(system.block_size()).unwrap_or(0);
        system.filesystem_type() == TMPFS_MAGIC && system.blocks_available() * block >= bytes
    })
}
