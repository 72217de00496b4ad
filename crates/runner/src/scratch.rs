//! Where files are written whose writing is measured.

use std::env;
use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use rustix::fs::statfs;
use tempfile::TempDir;

/// Where Linux keeps a file system in memory.
const MEMORY: &str = "/dev/shm";

/// What `statfs` calls such a file system (`TMPFS_MAGIC` of `linux/magic.h`).
const TMPFS: i64 = 0x0102_1994;

/// What the names of all such directories begin with.
const PREFIX: &str = "paces-";

/// How many bytes the path of a directory may have in which ipc-channel makes its sockets: a
/// socket's path has at most 107, and the rest is its own name.
pub const LONGEST_FOR_SOCKETS: usize = 80;

/// An empty directory, removed when it is dropped. As long as it lives it is
/// locked, so that others can tell it from one whose owner was killed.
#[derive(Debug)]
pub struct Scratch {
    directory: TempDir,
    _lock: File,
}

impl Scratch {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// An empty directory with room for `bytes`, removed when it is dropped; and
/// what to call its place. What others who were killed have left in that place
/// is removed.
///
/// In memory, where there is room and `TMPDIR` names no other place. On a disk
/// it would be the file system that is measured: to create a file, ext4 passes
/// over every inode that was freed in the last minute, one by one, so that each
/// run pays for the files of those before it.
pub fn directory(bytes: u64) -> anyhow::Result<(Scratch, String)> {
    let memory = Path::new(MEMORY);
    if env::var_os("TMPDIR").is_none()
        && has_room(memory, bytes)
        && let Ok(directory) = create(memory)
    {
        return Ok((directory, format!("memory, {MEMORY}")));
    }
    let directory = on_disk()?;
    Ok((directory, env::temp_dir().display().to_string()))
}

/// The same where temporary files are, which is mostly a disk: for files that are only read.
pub fn on_disk() -> anyhow::Result<Scratch> {
    let place = env::temp_dir();
    let named = || format!("cannot create a temporary directory in {}", place.display());
    create(&place).with_context(named)
}

fn create(place: &Path) -> std::io::Result<Scratch> {
    sweep(place);
    let directory = tempfile::Builder::new().prefix(PREFIX).tempdir_in(place)?;
    let lock = File::open(directory.path())?;
    lock.lock()?;
    Ok(Scratch {
        directory,
        _lock: lock,
    })
}

/// Removes what is not locked. A killed process cannot tidy up after itself;
/// the next one does.
fn sweep(place: &Path) {
    /// One that was made just now may not be locked yet.
    const YOUNG: Duration = Duration::from_secs(60);
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    for entry in entries {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let old = || {
            let made = entry.metadata().and_then(|data| data.modified());
            made.is_ok_and(|made| made.elapsed().is_ok_and(|age| age > YOUNG))
        };
        let abandoned = || File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok());
        if ours && entry.file_type().is_ok_and(|kind| kind.is_dir()) && old() && abandoned() {
            // What cannot be removed belongs to another user.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn has_room(path: &Path, bytes: u64) -> bool {
    statfs(path).is_ok_and(|system| {
        let block = u64::try_from(system.f_bsize).unwrap_or(0);
        let free = system.f_bavail.saturating_mul(block);
        system.f_type == TMPFS && free >= bytes
    })
}
