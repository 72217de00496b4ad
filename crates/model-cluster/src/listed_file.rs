//! A file of the parent's list, as a node comes to its content: by its name, where the node has
//! the same file, and else piece by piece from the parent.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// How many bytes come in one message, at most.
const PIECE_BYTES: usize = 512 * 1024;

/// One in the list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ListedFile {
    /// Its place in it.
    pub(crate) place: usize,
    /// Its path, which need not be text.
    path: OsString,
    /// None where the parent cannot look at it.
    stamp: Option<Stamp>,
}

/// What two files have in common only if they are the same, or copies that keep the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    bytes: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            bytes: metadata.len(),
            changed: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

impl ListedFile {
    /// The one in this place.
    pub(crate) fn of(paths: &[PathBuf], place: usize) -> Self {
        let path = &paths[place];
        Self {
            place,
            path: path.into(),
            stamp: Stamp::of(path),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.path.as_ref()
    }

    /// Whether this machine has the same.
    pub(crate) fn is_here(&self) -> bool {
        self.stamp.is_some() && Stamp::of(self.path()) == self.stamp
    }
}

/// A piece of a file, from this byte on; an empty one is its end.
pub(crate) fn piece(path: &Path, offset: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let mut piece = vec![0; PIECE_BYTES];
    let mut filled = 0;
    while filled < piece.len() {
        match file.read_at(&mut piece[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    piece.truncate(filled);
    Ok(piece)
}
