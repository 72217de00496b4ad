//! A file of the parent's list. A node reads it by its path if it has the same file; otherwise it
//! gets the content from the parent, in pieces.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The maximum size of a piece, in bytes.
const PIECE_BYTES: usize = 512 * 1024;

/// A file in the list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ListedFile {
    /// Its index in the list.
    pub(crate) place: usize,
    /// Its path, which may not be valid UTF-8.
    path: OsString,
    /// `None` if the parent cannot read its metadata.
    stamp: Option<Stamp>,
}

/// Size and modification time: equal only for the same file, or for a copy that keeps the time.
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
    /// Returns the file at this index.
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

    /// Opens the file, if this machine has the same one and lets us. If not, or if it cannot be
    /// read then, the parent has to be asked: it may be allowed to, or knows what is wrong.
    pub(crate) fn open(&self) -> Option<File> {
        let is_same = self.stamp.is_some() && Stamp::of(self.path()) == self.stamp;
        is_same.then(|| File::open(self.path()).ok()).flatten()
    }
}

/// Reads a piece of a file from byte `offset` on. An empty piece means the end of the file.
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

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_file_is_opened_only_if_it_is_the_same_and_may_be() {
        let directory = tempfile::tempdir().expect("a directory");
        let paths =
            ["same", "changed", "socket", "missing"].map(|name| directory.path().join(name));
        fs::write(&paths[0], "").expect("a file");
        fs::write(&paths[1], "").expect("a file");
        // Not even root can open a socket, but everyone gets its metadata.
        let _socket = UnixListener::bind(&paths[2]).expect("a socket");
        let listed = [0, 1, 2, 3].map(|place| ListedFile::of(&paths, place));
        fs::write(&paths[1], "of another size").expect("a file");
        let opens = listed.map(|file| file.open().is_some());
        assert_eq!(opens, [true, false, false, false]);
    }
}
