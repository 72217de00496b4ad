//! Files that are not complete yet, and the journal beside them.
//!
//! Everything is opened relative to a directory that was opened once, and no
//! symbolic link is followed: whatever is planted in the directory, nothing
//! outside it is written.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use crate::journal::Record;
use crate::transfer::{Part, Transfer};
use crate::{Key, Sha, name};

/// Where all bookkeeping lives, in the directory that is downloaded into.
pub const STATE: &str = ".paces-download";
/// The journal's name there.
pub(crate) const JOURNAL: &str = "journal";

/// A body goes to the disk in pieces of this size, or whole: what a kill costs.
const PIECE_BYTES: usize = 32 * 1024;
/// So many bytes are synced at a time: what a power cut costs a large file.
const SYNC_BYTES: u64 = 32 * 1024 * 1024;

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
    pub fn is_crowded(&self) -> bool {
        matches!(
            Errno::from_io_error(&self.source),
            Some(Errno::MFILE | Errno::NFILE)
        )
    }
}

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

/// A file that has every byte, under its key.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Finished {
    /// The URL that it came from.
    pub url: String,
    /// What it is known by.
    pub key: Key,
    /// What it shall be called.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its digest, if one was asked for.
    pub sha256: Option<Sha>,
    /// How often it had to be tried again.
    pub retries: u32,
}

/// How a file with every byte ends.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Finish {
    /// Right, as far as anybody can tell.
    Whole(Finished),
    /// Not what the list says it is; it is kept aside.
    Mismatch(String),
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

    /// Begins, or goes on with, a file: what is received is to be written from
    /// `offset` on. Does no I/O yet.
    pub fn begin(self: &Arc<Self>, transfer: &Transfer, offset: u64) -> Partial {
        // A small file fits; it is not to be copied from one buffer to a larger.
        let rest = transfer
            .part
            .total
            .map_or(0, |total| total.saturating_sub(offset));
        let piece = Vec::with_capacity(rest.min(PIECE_BYTES as u64) as usize);
        Partial {
            parts: self.clone(),
            url: crate::list::shown(&transfer.url),
            key: transfer.key,
            name: transfer.name.clone(),
            wanted: transfer.sha256,
            retries: transfer.retries(),
            part: transfer.part.clone(),
            file: None,
            piece,
            bytes: offset,
            synced: 0,
            noted: false,
            digest: transfer.sha256.map(|_| Sha256::new()),
        }
    }

    /// Removes what there is of a file that has failed, if anything.
    pub fn discard(&self, key: Key) {
        // It is of no use to anybody: that it stays is no failure.
        let _ = rustix::fs::unlinkat(&self.state, part_name(key), AtFlags::empty());
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

/// A file on its way to the disk.
///
/// [`push`](Self::push) costs nothing but memory; [`flush`](Self::flush) and
/// [`finish`](Self::finish) block, and are to be called where blocking may be.
pub struct Partial {
    parts: Arc<Parts>,
    url: String,
    key: Key,
    name: String,
    wanted: Option<Sha>,
    retries: u32,
    part: Part,
    file: Option<File>,
    /// What goes to the disk with the next write. Every call into a blocking
    /// pool costs a hop to another thread and back: a few large ones are the
    /// idiom, and a small file takes one.
    piece: Vec<u8>,
    /// Bytes on the disk.
    bytes: u64,
    synced: u64,
    noted: bool,
    /// Of the bytes on the disk, if the list says what it has to be.
    digest: Option<Sha256>,
}

impl Partial {
    /// Adds what was received.
    pub fn push(&mut self, bytes: &[u8]) {
        self.piece.extend_from_slice(bytes);
    }

    /// Whether enough has come together for a [`flush`](Self::flush).
    pub fn is_due(&self) -> bool {
        self.piece.len() >= PIECE_BYTES
    }

    /// Bytes of the file that are on the disk.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes what was pushed. From now on the file outlasts a kill.
    pub fn flush(&mut self) -> Result<(), DiskError> {
        self.open()?;
        // First: bytes of one state of the file never stand under a record that
        // speaks of another. Without a strong validator nothing could be joined
        // to them, so there is nothing to say.
        if !self.noted && self.part.validator.strong().is_some() {
            self.note(0)?;
            self.noted = true;
        }
        self.write()?;
        if self.bytes >= self.synced + SYNC_BYTES {
            let sync = |file: &File| file.sync_data();
            let synced = self.file.as_ref().map_or(Ok(()), sync);
            synced.map_err(|source| self.error(source))?;
            self.synced = self.bytes;
            if self.noted {
                self.note(self.synced)?;
            }
        }
        Ok(())
    }

    /// Writes the rest, and checks the whole if the list says what it has to
    /// be. The file is under its key still; [`Store::commit`](crate::Store::commit)
    /// gives it its name.
    pub fn finish(mut self) -> Result<Finish, DiskError> {
        self.open()?;
        self.write()?;
        let got = self
            .digest
            .take()
            .map(|digest| Sha(digest.finalize().into()));
        if let (Some(wanted), Some(got)) = (self.wanted, got)
            && wanted != got
        {
            return self.keep_aside(got);
        }
        let whole = Finished {
            url: std::mem::take(&mut self.url),
            key: self.key,
            name: std::mem::take(&mut self.name),
            bytes: self.bytes,
            sha256: got,
            retries: self.retries,
        };
        self.parts.note(&whole.record())?;
        Ok(Finish::Whole(whole))
    }

    fn keep_aside(self, got: Sha) -> Result<Finish, DiskError> {
        let (parts, part) = (&self.parts, part_name(self.key));
        let aside = name::aside(&self.name);
        // What has that name may be the same, from an earlier run, or something
        // else. The second name has the URL in it: what has that one is what was
        // kept of the same URL before.
        let moved = match rename_new(&parts.state, &part, &parts.directory, &aside) {
            Ok(true) => Ok(aside),
            Ok(false) if parts.is_same(&part, &aside).unwrap_or(false) => {
                parts.discard(self.key);
                Ok(aside)
            }
            Ok(false) => {
                let aside = name::aside(&name::distinct(&self.name, self.key));
                rustix::fs::renameat(&parts.state, &part, &parts.directory, &aside).map(|()| aside)
            }
            Err(errno) => Err(errno),
        };
        Ok(Finish::Mismatch(match moved {
            Ok(aside) => format!("its SHA-256 is {got}: kept as {aside}"),
            Err(errno) => {
                parts.discard(self.key);
                format!("its SHA-256 is {got}; it could not be kept: {errno}")
            }
        }))
    }

    fn write(&mut self) -> Result<(), DiskError> {
        let written = match &mut self.file {
            Some(file) => file.write_all(&self.piece),
            None => Ok(()),
        };
        if let Err(source) = written {
            // Part of the piece may be there. What is opened anew is cut.
            self.file = None;
            return Err(self.error(source));
        }
        if let Some(digest) = &mut self.digest {
            digest.update(&self.piece);
        }
        self.bytes += self.piece.len() as u64;
        self.piece.clear();
        Ok(())
    }

    /// Opens the file at the place where writing begins, unless it is open.
    fn open(&mut self) -> Result<(), DiskError> {
        if self.file.is_some() {
            return Ok(());
        }
        let (file, length) = self.open_part().map_err(|source| self.error(source))?;
        self.file = Some(file);
        // Something else was there, and may be on record. That is gone now; and
        // where it may have outlasted a power cut, so does the note of it.
        if self.bytes == 0 && length > 0 {
            self.noted = self.part.validator.strong().is_some();
            match self.noted {
                true => self.note(0)?,
                false => self.parts.forget(self.key)?,
            }
            if length >= SYNC_BYTES {
                self.parts.with_journal(|journal| journal.sync_data())?;
            }
        }
        Ok(())
    }

    /// The file, and how long it was before it was cut.
    fn open_part(&mut self) -> io::Result<(File, u64)> {
        let name = part_name(self.key);
        let flags = OFlags::CREATE | OFlags::RDWR;
        let mut file = open_any(&self.parts.state, &name, flags)?;
        // A child of a run that was killed may be at its last write still.
        rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
        let length = check_plain(&file)?;
        if length < self.bytes {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("{length} bytes are there, of {}", self.bytes),
            ));
        }
        if length > self.bytes {
            file.set_len(self.bytes)?;
        }
        if self.bytes > 0 {
            if let Some(digest) = &mut self.digest {
                *digest = Sha256::new();
                hash_from(&mut file, self.bytes, digest)?;
            }
            file.seek(io::SeekFrom::Start(self.bytes))?;
        }
        Ok((file, length))
    }

    fn note(&self, synced: u64) -> Result<(), DiskError> {
        let part = Part {
            bytes: synced,
            ..self.part.clone()
        };
        let key = self.key;
        self.parts.note(&Record::Part { key, part })
    }

    fn error(&self, source: io::Error) -> DiskError {
        let part = Path::new(STATE).join(part_name(self.key));
        self.parts.error(part, source)
    }
}

impl Finished {
    pub(crate) fn record(&self) -> Record {
        Record::Whole {
            key: self.key,
            bytes: self.bytes,
            sha256: self.sha256,
            name: self.name.clone(),
        }
    }
}

pub(crate) fn part_name(key: Key) -> String {
    format!("{key}.part")
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

fn open_any(at: &OwnedFd, name: &str, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::openat(at, name, flags, Mode::from_raw_mode(0o666))?;
    Ok(file.into())
}

/// Refuses what is no plain file, or has another name; returns its length.
fn check_plain(file: &File) -> io::Result<u64> {
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
        // Not every file system can. Nobody else is at work here by our lock,
        // so to look first is nearly as good.
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

fn open_journal(state: &OwnedFd) -> io::Result<File> {
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::APPEND;
    open_plain(state, JOURNAL, flags)
}

/// The length of a plain file, if there is one.
pub(crate) fn plain_bytes(at: &OwnedFd, name: &str) -> Option<u64> {
    let stat = rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    (FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile).then_some(stat.st_size as u64)
}

fn hash_from(file: &mut File, most: u64, digest: &mut Sha256) -> io::Result<()> {
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
