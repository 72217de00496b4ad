//! Files at the sender: how they are read, and when one is tried again.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use transfer::{Offered, Sha};

use crate::{Error, PIECE_BYTES};

/// How often in a row a file is tried again that comes no further.
const MOST_FAILURES: u32 = 10;
/// The wait before a second try in a row; each further one is twice as long.
const BACKOFF: Duration = Duration::from_millis(10);
const BACKOFF_MOST: Duration = Duration::from_secs(1);

/// The longest name, in bytes: a frame has to hold it. What disks take is less.
const LONGEST_NAME: usize = 512;

/// A file to send, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    /// Which of all files, from 0.
    pub number: usize,
    /// Where it is. It need not be text.
    #[serde(with = "as_os_string")]
    pub path: PathBuf,
    /// What the receiver shall call it.
    pub name: String,
    /// What it was when it was hashed.
    state: Option<State>,
    /// The receiver got something else: it has to be hashed again.
    is_doubted: bool,
    /// Bytes of the file that went over connections, also those that were sent again.
    pub sent: u64,
    /// How often it was tried again.
    pub retries: u32,
    /// The most bytes that the receiver ever had.
    furthest: u64,
    /// Tries in a row that have brought nothing.
    failures: u32,
}

/// Paths that are not text, too, go to other processes.
mod as_os_string {
    use std::ffi::OsString;
    use std::path::{Path, PathBuf};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        path.as_os_str().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        OsString::deserialize(from).map(PathBuf::from)
    }
}

/// What a file is, and what tells that it is still the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    identity: [i64; 7],
    bytes: u64,
    pub(crate) sha256: Sha,
}

/// What comes after a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The receiver has all of it.
    Acknowledged(Acknowledged),
    /// Another try over another connection, after this time.
    Again(Duration),
    /// It has failed; others can be sent.
    Failed(Error),
    /// It has failed, and so would all others.
    Stop(Error),
}

/// The receiver has a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// Its length.
    pub bytes: u64,
    /// Its digest, at both ends.
    pub sha256: Sha,
    /// Whether it outlasts a power cut.
    pub synced: bool,
    /// Whether the receiver had all of it before.
    pub before: bool,
}

impl Outgoing {
    /// A file that has not been tried yet.
    pub fn new(number: usize, path: PathBuf, name: String) -> Self {
        Self {
            number,
            path,
            name,
            state: None,
            is_doubted: false,
            sent: 0,
            retries: 0,
            furthest: 0,
            failures: 0,
        }
    }

    /// A try has ended: what comes next.
    pub fn ended(&mut self, result: Result<Acknowledged, Error>) -> Next {
        let error = match result {
            Ok(acknowledged) => return Next::Acknowledged(acknowledged),
            Err(error) => error,
        };
        if !error.is_passing() {
            return match error.is_of_one_file() {
                true => Next::Failed(error),
                false => Next::Stop(error),
            };
        }
        if self.failures >= MOST_FAILURES {
            return match error {
                Error::Busy => Next::Failed(error),
                error => Next::Stop(error),
            };
        }
        let wait = match self.failures {
            0 => Duration::ZERO,
            failures => BACKOFF_MOST.min(BACKOFF * 2_u32.pow(failures - 1)),
        };
        self.failures += 1;
        self.retries += 1;
        Next::Again(wait)
    }

    /// The receiver has so much of it.
    pub(crate) fn has_come(&mut self, bytes: u64) {
        if bytes > self.furthest {
            self.furthest = bytes;
            self.failures = 0;
        }
    }

    pub(crate) fn doubt(&mut self) {
        self.is_doubted = true;
        self.furthest = 0;
    }

    /// Takes what was found when it was opened.
    pub(crate) fn opened(&mut self, state: State) {
        self.state = Some(state);
        self.is_doubted = false;
    }

    pub(crate) fn offered(&self) -> Option<Offered> {
        self.state.map(|state| Offered {
            name: self.name.clone(),
            bytes: state.bytes,
            sha256: state.sha256,
        })
    }

    /// Opens the file, and hashes it if that was not done before. A small one that is hashed is
    /// then in `piece`. Blocks.
    pub(crate) fn open(&self, piece: &mut Piece) -> Result<Source, Error> {
        let fail = |error: io::Error| source_error(&self.path, &error.to_string());
        if self.name.len() > LONGEST_NAME {
            return Err(source_error(&self.path, "its name is too long"));
        }
        // A pipe would not be opened before another program writes to it.
        let metadata = std::fs::metadata(&self.path).map_err(fail)?;
        if !metadata.is_file() {
            return Err(source_error(&self.path, "it is no file"));
        }
        let file = File::open(&self.path).map_err(fail)?;
        let identity = identity(&file).map_err(fail)?;
        let bytes = file.metadata().map_err(fail)?.len();
        let known = self.state.filter(|_| !self.is_doubted);
        let is_same = |state: State| state.identity == identity && state.bytes == bytes;
        if self.state.is_some_and(|state| !is_same(state)) {
            return Err(self.changed());
        }
        let mut is_in_piece = false;
        let sha256 = match known {
            Some(state) => state.sha256,
            None => {
                let sha256 = digest(&file, bytes, piece).map_err(fail)?;
                is_in_piece = bytes <= PIECE_BYTES as u64;
                if self.state.is_some_and(|state| state.sha256 != sha256) {
                    return Err(self.changed());
                }
                sha256
            }
        };
        let state = State {
            identity,
            bytes,
            sha256,
        };
        let source = Source {
            file,
            path: self.path.clone(),
            state,
            at: 0,
            is_in_piece,
        };
        // What was hashed has to be all of it, and of one state.
        source.check()?;
        Ok(source)
    }

    fn changed(&self) -> Error {
        source_error(&self.path, CHANGED)
    }
}

const CHANGED: &str = "it has changed while it was sent";

fn source_error(path: &Path, why: &str) -> Error {
    Error::Source(format!("{}: {why}", path.display()))
}

/// What changes when a file does.
fn identity(file: &File) -> io::Result<[i64; 7]> {
    let data = file.metadata()?;
    Ok([
        data.dev() as i64,
        data.ino() as i64,
        data.len() as i64,
        data.mtime(),
        data.mtime_nsec(),
        data.ctime(),
        data.ctime_nsec(),
    ])
}

/// The digest of this many bytes, which are read piece by piece.
fn digest(file: &File, bytes: u64, piece: &mut Piece) -> io::Result<Sha> {
    let mut digest = Sha256::new();
    let mut at = 0;
    while at < bytes {
        piece.read(file, at, bytes - at)?;
        digest.update(piece.data());
        at += piece.data().len() as u64;
    }
    if bytes == 0 {
        piece.clear();
    }
    Ok(Sha(digest.finalize().into()))
}

/// A file that is open to be sent.
pub struct Source {
    pub(crate) file: File,
    path: PathBuf,
    pub(crate) state: State,
    /// From where on it has still to be sent.
    pub(crate) at: u64,
    /// All of it is in the piece, as it was when it was hashed.
    pub(crate) is_in_piece: bool,
}

impl Source {
    /// Bytes that have still to be sent.
    pub(crate) fn left(&self) -> u64 {
        self.state.bytes - self.at
    }

    /// Begins after what the receiver has, if that is right; else at the start. Blocks.
    pub(crate) fn begin(&mut self, have: (u64, Sha), piece: &mut Piece) -> Result<(), Error> {
        let (bytes, sha256) = have;
        let is_right = match bytes {
            0 => false,
            all if all == self.state.bytes => sha256 == self.state.sha256,
            part if part < self.state.bytes => {
                self.is_in_piece = false;
                digest(&self.file, part, piece).map_err(|error| self.error(&error))? == sha256
            }
            _ => false,
        };
        self.at = if is_right { bytes } else { 0 };
        Ok(())
    }

    /// Reads the next piece. After the last one it has to be the same file still. Blocks.
    pub(crate) fn read(&mut self, piece: &mut Piece) -> Result<(), Error> {
        if self.is_in_piece {
            // That is what was hashed, whatever has become of the file since.
            piece.skip(self.at as usize);
        } else {
            let read = piece.read(&self.file, self.at, self.left());
            read.map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => source_error(&self.path, CHANGED),
                _ => self.error(&error),
            })?;
            if piece.data().len() as u64 == self.left() {
                self.check()?;
            }
        }
        Ok(())
    }

    /// Whether it is what it was when it was hashed.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let now = identity(&self.file).map_err(|error| self.error(&error))?;
        match now == self.state.identity {
            true => Ok(()),
            false => Err(self.changed()),
        }
    }

    pub(crate) fn changed(&self) -> Error {
        source_error(&self.path, CHANGED)
    }

    fn error(&self, error: &io::Error) -> Error {
        source_error(&self.path, &error.to_string())
    }
}

/// A piece of a file, with room for a frame before and after it: so they are written at once,
/// and nothing is copied.
#[derive(Default)]
pub(crate) struct Piece {
    bytes: Vec<u8>,
    start: usize,
}

/// Room for DATA.
const ROOM_BEFORE: usize = 64;

impl Piece {
    pub(crate) fn clear(&mut self) {
        self.bytes.resize(ROOM_BEFORE, 0);
        self.start = ROOM_BEFORE;
    }

    /// Bytes of the file.
    pub(crate) fn data(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    fn skip(&mut self, bytes: usize) {
        self.start = (ROOM_BEFORE + bytes).min(self.bytes.len());
    }

    /// Reads as much as fits, and at most so much.
    fn read(&mut self, file: &File, at: u64, most: u64) -> io::Result<()> {
        let length = most.min(PIECE_BYTES as u64) as usize;
        // What has the same length as the piece before is not filled with zeros.
        self.bytes.resize(ROOM_BEFORE + length, 0);
        self.start = ROOM_BEFORE;
        file.read_exact_at(&mut self.bytes[ROOM_BEFORE..], at)
    }

    /// Puts a frame before the data.
    pub(crate) fn prepend(&mut self, frame: &[u8]) {
        let start = self.start - frame.len();
        self.bytes[start..self.start].copy_from_slice(frame);
        self.start = start;
    }

    /// Where a frame is to be appended.
    pub(crate) fn end(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}
