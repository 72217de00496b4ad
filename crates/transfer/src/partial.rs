//! A file that is being written, under its key.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, FlockOperation, OFlags};
use sha2::{Digest, Sha256};

use crate::fs::{DiskError, check_plain, hash_from, open_any, open_new, rename_new};
use crate::gzip::Gzip;
use crate::journal::Record;
use crate::offered::Offered;
use crate::parts::{DECODED, Parts, STATE, part_name};
use crate::transfer::{Part, Transfer};
use crate::{Key, Sha, name};

/// A body goes to the disk in pieces of this size, or whole: what a kill costs.
const PIECE_BYTES: usize = 32 * 1024;
/// Bytes that are synced at a time: what a power cut costs a large file.
const SYNC_BYTES: u64 = 32 * 1024 * 1024;

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

/// Keeps others from writing a file that has every byte.
#[derive(Debug)]
pub struct PartLock {
    _file: Option<File>,
}

/// How a file with every byte ends.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Finish {
    /// Right, as far as can be told.
    Whole(Finished),
    /// Not what the list says it is, which is kept aside; or damaged.
    Mismatch(String),
}

impl Parts {
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
            gzip: transfer.gzip,
            file: None,
            piece,
            bytes: offset,
            synced: 0,
            noted: false,
            digest: transfer.sha256.map(|_| Sha256::new()),
            waits_for_lock: true,
        }
    }

    /// Begins, or goes on with, a file that another machine has offered. Does no I/O yet.
    pub fn begin_offered(self: &Arc<Self>, offered: &Offered, part: Part) -> Partial {
        Partial {
            parts: self.clone(),
            url: offered.name.clone(),
            key: offered.key(),
            name: offered.name.clone(),
            wanted: Some(offered.sha256),
            retries: 0,
            bytes: part.bytes,
            part,
            gzip: None,
            file: None,
            piece: Vec::new(),
            synced: 0,
            noted: false,
            digest: Some(Sha256::new()),
            waits_for_lock: false,
        }
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
    gzip: Option<Gzip>,
    file: Option<File>,
    /// What goes to the disk with the next write. Every call into a blocking
    /// pool costs a hop to another thread and back: a few large ones are the
    /// idiom, and a small file takes one. That one is all that tokio trails threads
    /// by with 16 KiB files: seven futex calls, two switches and 14 us of CPU each.
    piece: Vec<u8>,
    /// Bytes on the disk.
    bytes: u64,
    synced: u64,
    noted: bool,
    /// Of the bytes on the disk, if the list says what it has to be.
    digest: Option<Sha256>,
    /// Whether to wait for who is writing the file, or to fail.
    waits_for_lock: bool,
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
        let piece = std::mem::take(&mut self.piece);
        let written = self.write(&piece);
        self.piece = piece;
        written?;
        self.piece.clear();
        Ok(())
    }

    /// Writes this, without a copy of it in memory. From now on the file outlasts a kill.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), DiskError> {
        self.open()?;
        // First: bytes of one state of the file never stand under a record that
        // speaks of another. Without a strong validator nothing could be joined
        // to them, so there is nothing to say.
        if !self.noted && self.part.validator.strong().is_some() {
            self.note(0)?;
            self.noted = true;
        }
        self.append(piece)?;
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
        let piece = std::mem::take(&mut self.piece);
        self.append(&piece)?;
        let mut got = self
            .digest
            .take()
            .map(|digest| Sha(digest.finalize().into()));
        let mut bytes = self.bytes;
        // If the list means the bytes as they came, a `.tar.gz`, they are the file.
        let as_it_came = self.wanted.is_some() && got == self.wanted;
        if let Some(gzip) = self.gzip.filter(|_| bytes > 0 && !as_it_came) {
            let digest;
            (bytes, digest) = match self.decode(gzip)? {
                Ok(decoded) => decoded,
                Err(why) => {
                    self.parts.discard(self.key);
                    return Ok(Finish::Mismatch(why));
                }
            };
            got = self.wanted.map(|_| digest);
        }
        if let (Some(wanted), Some(got)) = (self.wanted, got)
            && wanted != got
        {
            return self.keep_aside(got);
        }
        self.whole(bytes, got).map(Finish::Whole)
    }

    /// Opens the file, and gives the digest of what is there of it.
    pub fn digest_so_far(&mut self) -> Result<Sha, DiskError> {
        self.open()?;
        let digest = self.digest.clone().unwrap_or_default();
        Ok(Sha(digest.finalize().into()))
    }

    /// Writes the rest of a file that another machine has offered. It is to be kept from other
    /// writers, by the lock that is returned, until it has its name. If it is not what was
    /// offered, nothing is left of it, and its digest is returned.
    pub fn finish_offered(
        mut self,
        rest: &[u8],
    ) -> Result<Result<(Finished, PartLock), Sha>, DiskError> {
        self.open()?;
        self.append(rest)?;
        let got = self.digest_so_far()?;
        if self.wanted != Some(got) || self.part.total != Some(self.bytes) {
            self.discard()?;
            return Ok(Err(got));
        }
        let whole = self.whole(self.bytes, Some(got))?;
        Ok(Ok((whole, PartLock { _file: self.file })))
    }

    /// What its bytes belong to.
    pub fn into_part(self) -> Part {
        self.part
    }

    /// Removes what there is of it.
    pub fn discard(self) -> Result<(), DiskError> {
        self.parts.forget(self.key)?;
        self.parts.discard(self.key);
        Ok(())
    }

    /// Notes that every byte is there.
    fn whole(&mut self, bytes: u64, sha256: Option<Sha>) -> Result<Finished, DiskError> {
        let whole = Finished {
            url: std::mem::take(&mut self.url),
            key: self.key,
            name: std::mem::take(&mut self.name),
            bytes,
            sha256,
            retries: self.retries,
        };
        self.parts.note(&whole.record())?;
        Ok(whole)
    }

    /// Puts what is gzipped in the place of what came. The length and digest of that;
    /// or what is wrong with it.
    fn decode(&mut self, gzip: Gzip) -> Result<Result<(u64, Sha), String>, DiskError> {
        let (state, part) = (&self.parts.state, part_name(self.key));
        let decoded = format!("{part}{DECODED}");
        let mut digest = Sha256::new();
        let mut decode = || -> io::Result<Result<u64, String>> {
            let Some(file) = &mut self.file else {
                return Err(io::Error::other("it is not open"));
            };
            let bytes = gzip.decode(file, &mut open_new(state, &decoded)?, &mut digest)?;
            match &bytes {
                Ok(_) => rustix::fs::renameat(state, &decoded, state, &part)?,
                Err(_) => rustix::fs::unlinkat(state, &decoded, AtFlags::empty())?,
            }
            Ok(bytes)
        };
        let result = decode().map_err(|source| self.error(source))?;
        Ok(result.map(|bytes| (bytes, Sha(digest.finalize().into()))))
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

    fn append(&mut self, piece: &[u8]) -> Result<(), DiskError> {
        let written = match &mut self.file {
            Some(file) => file.write_all(piece),
            None => Ok(()),
        };
        if let Err(source) = written {
            // Part of the piece may be there. What is opened anew is cut.
            self.file = None;
            return Err(self.error(source));
        }
        if let Some(digest) = &mut self.digest {
            digest.update(piece);
        }
        self.bytes += piece.len() as u64;
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
            if self.noted {
                self.note(0)?
            } else {
                self.parts.forget(self.key)?
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
        let lock = match self.waits_for_lock {
            true => FlockOperation::LockExclusive,
            false => FlockOperation::NonBlockingLockExclusive,
        };
        rustix::fs::flock(&file, lock)?;
        if !self.waits_for_lock {
            // Who had the lock may have given the file its name: then it is not to be changed.
            let (ours, named) = (
                rustix::fs::fstat(&file)?,
                rustix::fs::statat(&self.parts.state, &name, AtFlags::SYMLINK_NOFOLLOW),
            );
            if !named.is_ok_and(|named| named.st_ino == ours.st_ino) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
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
