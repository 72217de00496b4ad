//! Files that are not complete yet, and the journal of them.
//!
//! Everything is opened relative to a directory that was opened once, and no
//! symbolic link is followed: whatever is planted in the directory, nothing
//! outside it is written.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, unlinkat};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use crate::fs::{DiskError, hash_from, open_plain, plain_bytes};
use crate::journal::Record;
use crate::transfer::Part;
use crate::{Key, Sha};

/// Where all bookkeeping lives, in the directory that is downloaded into.
pub const STATE: &str = ".paces-download";
/// The journal's name there.
pub(crate) const JOURNAL: &str = "journal";
/// How the name of a file ends that is being decoded.
pub(crate) const DECODED: &str = ".decoded";

/// A directory to download into, as each process that writes there sees it.
pub struct Parts {
    path: PathBuf,
    pub(crate) directory: OwnedFd,
    pub(crate) state: OwnedFd,
    /// Replaced when the journal is written anew.
    journal: RwLock<File>,
    /// A write to it has failed, and may have left half a line.
    torn: AtomicBool,
    /// It was told of parts, which later records replace.
    replaceable: AtomicBool,
}

impl Parts {
    /// Opens a directory that stands, with its bookkeeping.
    pub fn open(path: &Path) -> Result<Self, DiskError> {
        let fail = |path: PathBuf| {
            move |errno: Errno| DiskError {
                path: path.clone(),
                source: errno.into(),
            }
        };
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let directory =
            rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(fail(path.to_owned()))?;
        let at = path.join(STATE);
        match rustix::fs::mkdirat(&directory, STATE, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(fail(at)(errno)),
        }
        let flags = flags | OFlags::NOFOLLOW;
        let state = rustix::fs::openat(&directory, STATE, flags, Mode::empty())
            .map_err(fail(at.clone()))?;
        let journal = open_journal(&state).map_err(|source| DiskError {
            path: at.join(JOURNAL),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            directory,
            state,
            journal: RwLock::new(journal),
            torn: AtomicBool::new(false),
            replaceable: AtomicBool::new(false),
        })
    }

    /// The journal has been written anew, under its old name.
    pub(crate) fn reopen_journal(&self) -> Result<(), DiskError> {
        let journal = open_journal(&self.state)
            .map_err(|source| self.error(Path::new(STATE).join(JOURNAL), source))?;
        *self.journal.write().unwrap_or_else(PoisonError::into_inner) = journal;
        Ok(())
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes what there is of a file that has failed, if anything.
    pub(crate) fn discard(&self, key: Key) {
        // It is of no more use: that it stays is no failure.
        let _ = unlinkat(&self.state, part_name(key), AtFlags::empty());
    }

    /// Removes what processes that died were decoding.
    pub(crate) fn remove_decoded(&self) -> Result<(), DiskError> {
        let fail = |errno: Errno| self.error(STATE, errno);
        for entry in Dir::read_from(&self.state).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            if entry.file_name().to_bytes().ends_with(DECODED.as_bytes()) {
                unlinkat(&self.state, entry.file_name(), AtFlags::empty()).map_err(fail)?;
            }
        }
        Ok(())
    }

    /// Bytes of a file that are on the disk under its key.
    pub(crate) fn part_bytes(&self, key: Key) -> Option<u64> {
        plain_bytes(&self.state, &part_name(key))
    }

    /// Appends to the journal.
    pub(crate) fn note(&self, record: &Record) -> Result<(), DiskError> {
        if matches!(record, Record::Part { .. }) {
            self.replaceable.store(true, Ordering::Relaxed);
        }
        self.with_journal(|mut journal| {
            let mut line = record.line();
            if self.torn.swap(false, Ordering::Relaxed) {
                line.insert(0, '\n');
            }
            let written = journal.write_all(line.as_bytes());
            if written.is_err() {
                self.torn.store(true, Ordering::Relaxed);
            }
            written
        })
    }

    /// Notes that nothing is known of a file. To be done before anything else is
    /// written under its key, or what was known would be taken to be about that.
    pub(crate) fn forget(&self, key: Key) -> Result<(), DiskError> {
        let part = Part::default();
        self.note(&Record::Part { key, part })
    }

    /// Whether the journal was told of parts.
    pub(crate) fn has_replaceable(&self) -> bool {
        self.replaceable.load(Ordering::Relaxed)
    }

    /// Does something with the journal, without opening it.
    pub(crate) fn with_journal<T>(
        &self,
        act: impl FnOnce(&File) -> io::Result<T>,
    ) -> Result<T, DiskError> {
        let journal = self.journal.read().unwrap_or_else(PoisonError::into_inner);
        act(&journal).map_err(|source| self.error(Path::new(STATE).join(JOURNAL), source))
    }

    /// The digest of a file.
    pub(crate) fn digest(&self, at: &OwnedFd, name: &str) -> Result<Sha, DiskError> {
        let hash = || {
            let mut file = open_plain(at, name, OFlags::RDONLY)?;
            let mut digest = Sha256::new();
            hash_from(&mut file, u64::MAX, &mut digest)?;
            io::Result::Ok(Sha(digest.finalize().into()))
        };
        hash().map_err(|source| self.error(name, source))
    }

    /// Whether what is under a key is what has a name, byte for byte.
    pub(crate) fn is_same(&self, part: &str, name: &str) -> io::Result<bool> {
        let mut part = open_plain(&self.state, part, OFlags::RDONLY)?;
        let mut there = open_plain(&self.directory, name, OFlags::RDONLY)?;
        if part.metadata()?.len() != there.metadata()?.len() {
            return Ok(false);
        }
        let (mut one, mut other) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
        loop {
            let read = part.read(&mut one)?;
            there.read_exact(&mut other[..read])?;
            if one[..read] != other[..read] {
                return Ok(false);
            }
            if read == 0 {
                return Ok(true);
            }
        }
    }

    pub(crate) fn error(&self, name: impl AsRef<Path>, source: impl Into<io::Error>) -> DiskError {
        DiskError {
            path: self.path.join(name),
            source: source.into(),
        }
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Parts").field(&self.path).finish()
    }
}

pub(crate) fn part_name(key: Key) -> String {
    format!("{key}.part")
}

fn open_journal(state: &OwnedFd) -> io::Result<File> {
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::APPEND;
    open_plain(state, JOURNAL, flags)
}
