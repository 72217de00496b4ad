//! What the journal says of each URL, and how it is mended.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, OFlags};

use crate::fs::{DiskError, open_new, open_plain};
use crate::journal::{LONGEST, Record};
use crate::parts::{JOURNAL, Parts, STATE};
use crate::table::Table;
use crate::{Key, name};

/// A journal to which a run has added more is not made small at its end: the
/// next run, which has to read all of it anyway, sees whether that is worth it.
const SMALL: u64 = 1024 * 1024;

/// In the table: the list of this run has named the URL.
const SEEN: u64 = 1 << 63;

/// The journal, as far as it has been read.
pub(crate) struct Journal {
    parts: Arc<Parts>,
    /// Where each URL's last record begins, plus one; and which URLs and names
    /// the list of this run has used.
    table: Table,
    /// Bytes that have been read.
    read: u64,
    /// Records that later ones have replaced.
    dead: u64,
    /// Records there are in all.
    lines: u64,
    /// Those of them that speak of parts.
    part_records: u64,
    /// Lines that are no records.
    damaged: u64,
    /// Where the last of these ends. What it said may have taken the place of
    /// any record before it.
    suspect: u64,
}

impl Journal {
    pub(crate) fn new(parts: &Arc<Parts>) -> Self {
        let at = parts.clone();
        let unnamed = move || {
            let file = open_new(&at.state, "seen")?;
            rustix::fs::unlinkat(&at.state, "seen", AtFlags::empty())?;
            Ok(file)
        };
        Self {
            parts: parts.clone(),
            table: Table::new(unnamed),
            read: 0,
            dead: 0,
            lines: 0,
            part_records: 0,
            damaged: 0,
            suspect: 0,
        }
    }

    /// Lines that were damaged when it was opened.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged
    }

    /// The list names a URL. Gives where its last record is, for [`record_at`];
    /// none if an earlier line has named the URL.
    pub(crate) fn see(&mut self, key: Key) -> Result<Option<u64>, DiskError> {
        let seen = |before: Option<u64>| before.unwrap_or(0) | SEEN;
        let before = (self.table.update(key, seen))
            .map_err(|source| self.error(source))?
            .unwrap_or(0);
        Ok((before & SEEN == 0).then_some(before))
    }

    /// Where the last record of a URL is, for [`record_at`].
    pub(crate) fn last(&self, key: Key) -> Result<u64, DiskError> {
        let last = self.last_in_table(key);
        last.map_err(|source| self.error(source))
    }

    fn last_in_table(&self, key: Key) -> io::Result<u64> {
        Ok(self.table.get(key)?.unwrap_or(0) & !SEEN)
    }

    /// The first name of its kind that no earlier URL of the list has.
    pub(crate) fn settle_name(&mut self, wanted: String, key: Key) -> Result<String, DiskError> {
        let mut name = wanted;
        let mut copy = key;
        loop {
            let before = self.table.set(Key::from_name(&name), SEEN);
            if before.map_err(|source| self.error(source))?.is_none() {
                return Ok(name);
            }
            name = name::distinct(&name, copy);
            copy = Key(copy.0.wrapping_add(1 << 96));
        }
    }

    /// Reads what was appended since the last time. True if half a line is at
    /// the end, which another process may be writing just now: it is left for
    /// later.
    pub(crate) fn read_on(&mut self) -> Result<bool, DiskError> {
        self.parts.with_journal(|journal| {
            let mut records = Records::new(journal, self.read);
            while let Some((at, record)) = records.next()? {
                self.read = records.at;
                self.lines += 1;
                match record {
                    None => {
                        self.damaged += 1;
                        self.suspect = self.read;
                    }
                    Some(record) => {
                        self.part_records += u64::from(matches!(record, Record::Part { .. }));
                        let last = |before: Option<u64>| (at + 1) | before.unwrap_or(0) & SEEN;
                        let before = self.table.update(record.key(), last)?.unwrap_or(0);
                        self.dead += u64::from(before & !SEEN > 0);
                    }
                }
            }
            Ok(records.torn)
        })
    }

    /// Reads the journal; leaves out what is damaged or replaced, if that is
    /// much of it.
    pub(crate) fn mend(&mut self) -> Result<(), DiskError> {
        // No other process writes on half a line now.
        let torn = self.read_on()?;
        let damaged = self.damaged + u64::from(torn);
        if damaged > 0 || self.dead > 1000 && self.dead * 2 > self.lines {
            self.compact()?;
            self.damaged = damaged;
        }
        Ok(())
    }

    /// Makes the journal small at the end of a run that has left nothing to do.
    pub(crate) fn tidy(&mut self) -> Result<(), DiskError> {
        // Where no parts are on record, none has been replaced.
        if self.part_records == 0 && !self.parts.has_replaceable() {
            return Ok(());
        }
        let metadata = self.parts.with_journal(File::metadata)?;
        let bytes = metadata.len();
        if bytes - self.read.min(bytes) <= SMALL {
            self.read_on()?;
        }
        if self.dead > 0 {
            self.compact()?;
        }
        Ok(())
    }

    /// Writes the journal anew, with the last record of each URL.
    fn compact(&mut self) -> Result<(), DiskError> {
        let new = "journal.new";
        let fail = |source| self.parts.error(Path::new(STATE).join(new), source);
        let copy = |old: &File| -> io::Result<()> {
            let mut file = io::BufWriter::new(open_new(&self.parts.state, new)?);
            let mut lines = Records::new(old, 0);
            while let Some((at, record)) = lines.next()? {
                let Some(record) = record else { continue };
                // What stands under a key may be of another state of the file
                // than its record says, if the damaged line said so.
                let suspect = at < self.suspect && matches!(record, Record::Part { .. });
                if self.last_in_table(record.key())? == at + 1 && !suspect {
                    file.write_all(record.line().as_bytes())?;
                }
            }
            file.into_inner()?.sync_data()
        };
        self.parts
            .with_journal(|old| Ok(copy(old)))?
            .map_err(fail)?;
        let state = &self.parts.state;
        rustix::fs::renameat(state, new, state, JOURNAL).map_err(|errno| fail(errno.into()))?;
        rustix::fs::fsync(state).map_err(|errno| fail(errno.into()))?;
        self.parts.reopen_journal()?;
        *self = Self::new(&self.parts);
        self.read_on().map(drop)
    }

    /// After a restart of the machine, what was not synced may be anything.
    pub(crate) fn after_restart(&mut self) -> Result<(), DiskError> {
        let fail = |source: io::Error| self.parts.error(STATE, source);
        let listing = rustix::fs::Dir::read_from(&self.parts.state).map_err(|e| fail(e.into()))?;
        for entry in listing {
            let entry = entry.map_err(|errno| fail(errno.into()))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(key) = name.strip_suffix(".part").and_then(Key::parse) else {
                continue;
            };
            let at = self.last_in_table(key).map_err(fail)?;
            let synced = match record_at(&self.parts, at)? {
                Some(Record::Part { part, .. }) => part.bytes,
                _ => 0,
            };
            let there = self.parts.part_bytes(key);
            if synced == 0 || there.is_none_or(|bytes| bytes < synced) {
                // First: what has its name could be as long.
                self.parts.forget(key)?;
                self.parts.discard(key);
            } else {
                let fail = |source| self.parts.error(Path::new(STATE).join(&name), source);
                let part = open_plain(&self.parts.state, &name, OFlags::RDWR).map_err(fail)?;
                part.set_len(synced).map_err(fail)?;
            }
        }
        self.read_on().map(drop)
    }

    fn error(&self, source: io::Error) -> DiskError {
        self.parts.error(Path::new(STATE).join(JOURNAL), source)
    }
}

/// The record at a place that the journal's table gives: none at 0, else the one
/// that begins a byte before.
pub(crate) fn record_at(parts: &Parts, place: u64) -> Result<Option<Record>, DiskError> {
    let Some(at) = place.checked_sub(1) else {
        return Ok(None);
    };
    parts.with_journal(|journal| {
        // A name has at most 255 bytes, and so have most headers.
        let mut short = [0; 1024];
        let read = journal.read_at(&mut short, at)?;
        let end = |line: &[u8]| line.iter().position(|&byte| byte == b'\n');
        if let Some(end) = end(&short[..read]) {
            return Ok(Record::parse(&short[..end]));
        }
        let mut long = vec![0; LONGEST as usize];
        let read = journal.read_at(&mut long, at)?;
        Ok(end(&long[..read]).and_then(|end| Record::parse(&long[..end])))
    })
}

/// The records of a journal, one after the other, wherever the file's own
/// position is.
struct Records<'a> {
    input: BufReader<At<'a>>,
    /// Where the next one begins.
    at: u64,
    /// The last line has no end.
    torn: bool,
    line: Vec<u8>,
}

struct At<'a>(&'a File, u64);

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read_at(buffer, self.1)?;
        self.1 += read as u64;
        Ok(read)
    }
}

impl<'a> Records<'a> {
    fn new(journal: &'a File, at: u64) -> Self {
        Self {
            input: BufReader::with_capacity(64 * 1024, At(journal, at)),
            at,
            torn: false,
            line: Vec::new(),
        }
    }

    /// Where a line begins, and its record, unless it is damaged.
    fn next(&mut self) -> io::Result<Option<(u64, Option<Record>)>> {
        loop {
            self.line.clear();
            let mut line = self.input.by_ref().take(LONGEST);
            let mut read = line.read_until(b'\n', &mut self.line)? as u64;
            if !self.line.ends_with(b"\n") {
                // Too long, or torn: only the bytes that follow tell.
                let skipped = if read == LONGEST { self.skip()? } else { None };
                let Some(skipped) = skipped else {
                    self.torn = read > 0;
                    return Ok(None);
                };
                read += skipped;
            }
            let at = self.at;
            self.at += read;
            // An empty one only ends what a failed write has left.
            if read > 1 {
                let body = self.line.strip_suffix(b"\n");
                return Ok(Some((at, body.and_then(Record::parse))));
            }
        }
    }

    /// Passes over the rest of a line; none if it has no end.
    fn skip(&mut self) -> io::Result<Option<u64>> {
        let mut skipped = 0;
        loop {
            let buffer = self.input.fill_buf()?;
            let end = buffer.iter().position(|&byte| byte == b'\n');
            let (some, bytes) = (!buffer.is_empty(), end.map_or(buffer.len(), |end| end + 1));
            self.input.consume(bytes);
            skipped += bytes as u64;
            match (end, some) {
                (Some(_), _) => return Ok(Some(skipped)),
                (None, true) => {}
                (None, false) => return Ok(None),
            }
        }
    }
}
