//! Files that are opened below a directory, and nowhere else.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

/// The disk refused.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct DiskError {
    /// What it was about.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

impl DiskError {
    /// Whether it is not the disk, but this process that has too much open.
    pub fn is_too_many_open_files(&self) -> bool {
        matches!(
            Errno::from_io_error(&self.source),
            Some(Errno::MFILE | Errno::NFILE)
        )
    }
}

/// Opens a plain file, and nothing else: no link, no device, nothing that has
/// another name somewhere.
pub(crate) fn open_plain(at: &OwnedFd, name: &str, flags: OFlags) -> io::Result<File> {
    let file = open_any(at, name, flags)?;
    check_plain(&file)?;
    Ok(file)
}

/// Opens a new file; what had the name has it no more.
pub(crate) fn open_new(at: &OwnedFd, name: &str) -> io::Result<File> {
    // What cannot be removed is in the way of the next call, which says so.
    let _ = rustix::fs::unlinkat(at, name, AtFlags::empty());
    open_plain(at, name, OFlags::CREATE | OFlags::EXCL | OFlags::RDWR)
}

pub(crate) fn open_any(at: &OwnedFd, name: &str, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::openat(at, name, flags, Mode::from_raw_mode(0o666))?;
    Ok(file.into())
}

/// Refuses what is no plain file, or has another name; returns its length.
pub(crate) fn check_plain(file: &File) -> io::Result<u64> {
    let stat = rustix::fs::fstat(file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_nlink > 1 {
        return Err(io::Error::other("it is no plain file of its own"));
    }
    Ok(stat.st_size as u64)
}

/// Gives a file a name elsewhere; false if that is taken.
pub(crate) fn rename_new(
    from: &OwnedFd,
    name: &str,
    to: &OwnedFd,
    new: &str,
) -> Result<bool, Errno> {
    match rustix::fs::renameat_with(from, name, to, new, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        // Not every file system can. No other process is at work here, by
        // our lock, so to look first is nearly as good.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            match rustix::fs::statat(to, new, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(_) => Ok(false),
                Err(Errno::NOENT) => rustix::fs::renameat(from, name, to, new).map(|()| true),
                Err(errno) => Err(errno),
            }
        }
        Err(errno) => Err(errno),
    }
}

/// The length of a plain file, if there is one.
pub(crate) fn plain_bytes(at: &OwnedFd, name: &str) -> Option<u64> {
    let stat = rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    (FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile).then_some(stat.st_size as u64)
}

/// Adds at most `most` bytes of a file to a digest.
pub(crate) fn hash_from(file: &mut File, most: u64, digest: &mut Sha256) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let mut file = file.take(most);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            read => digest.update(&buffer[..read]),
        }
    }
}

/// Makes a directory, and those above it.
pub(crate) fn make_directory(path: &Path) -> Result<(), DiskError> {
    fs::create_dir_all(path).map_err(|source| DiskError {
        path: path.to_owned(),
        source,
    })
}
