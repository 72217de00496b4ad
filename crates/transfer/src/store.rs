//! The directory: who has it, what it holds, and how files get their names.
//!
//! What is promised:
//!
//! - **Nothing is under its name that is not complete.** A file is written under
//!   its key in the dot-named directory, noted in the journal, synced, and only
//!   then renamed.
//! - **A kill costs what was in flight.** What was written is in the kernel's
//!   hands; the next run finds it by the journal and goes on.
//! - **A power cut costs more, and breaks nothing.** Files are synced in groups
//!   (one sync of the file system costs a tenth of a thousand single ones), so
//!   that what is under a name was on the disk before. After a restart, parts
//!   are used as far as they were synced.
//! - **When a run ends well, everything is on the disk.**

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, FlockOperation, OFlags};
use rustix::io::Errno;

use crate::journal::{LONGEST, Record};
use crate::list::Entry;
use crate::parts::{
    DiskError, Finished, JOURNAL, Parts, STATE, make_directory, open_new, open_plain, part_name,
    plain_bytes, rename_new,
};
use crate::table::Table;
use crate::transfer::Part;
use crate::{Key, name};

/// So many files are synced and named at a time, or as many as there are when
/// the first of them has waited so long.
const GROUP: usize = 256;
const GROUP_PATIENCE: Duration = Duration::from_secs(1);
/// Up to so many files are synced each by itself: a sync of the file system
/// would wait for everybody else's bytes, too.
const SINGLE: usize = 4;

/// A journal to which a run has added more is not made small at its end: the
/// next run, which has to read all of it anyway, sees whether that is worth it.
const SMALL: u64 = 1024 * 1024;

/// In the table: the list of this run has named the URL.
const SEEN: u64 = 1 << 63;

/// Why a directory cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process downloads into it.
    #[error("{path}: process {owner} is downloading into it")]
    Busy {
        /// The directory.
        path: String,
        /// Which process.
        owner: String,
    },
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// A directory that this process alone downloads into.
pub struct Store {
    parts: Arc<Parts>,
    /// Held locked until the store is dropped.
    lock: File,
    journal: Mutex<Journal>,
    pending: Mutex<Pending>,
    committing: Mutex<()>,
}

/// The journal, as far as it has been read.
struct Journal {
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
    parts: u64,
    /// Lines that are no records.
    damaged: u64,
    /// Where the last of these ends. What it said may have taken the place of
    /// any record before it.
    suspect: u64,
}

#[derive(Default)]
struct Pending {
    files: Vec<Finished>,
    since: Option<Instant>,
    /// What has got its name before a commit failed, for the next one to tell.
    named: Vec<Named>,
}

/// A file that has got its name, or why it has none.
type Named = Result<Finished, (Finished, String)>;

/// What the store knows of an entry of the list.
#[derive(Debug)]
pub enum Known {
    /// It is there, under this name.
    There(Finished),
    /// An earlier line asked for it.
    Repeated,
    /// Every byte of it is there, and it only wants its name.
    Finished(Finished),
    /// It is to be downloaded, from there on.
    Wanted(Part),
    /// What stands under its name is not what the list says.
    Other(String),
}

impl Store {
    /// Opens a directory, which is made if it is not there, and keeps every
    /// other process out of it.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        make_directory(path)?;
        let parts = Arc::new(Parts::open(path)?);
        let (lock, boot) = lock(&parts)?;
        // Whoever had the directory until now may have written it anew.
        parts.reopen_journal()?;
        let store = Self {
            journal: Mutex::new(Journal::new(&parts)),
            parts,
            lock,
            pending: Mutex::default(),
            committing: Mutex::default(),
        };
        store.mend()?;
        if let Boot::Another = boot {
            store.after_restart()?;
            // Only now: who dies before has not done it.
            sign(&store.lock, &this_boot())
                .map_err(|source| store.parts.error(Path::new(STATE).join("lock"), source))?;
        }
        Ok(store)
    }

    /// What processes that write into the directory share.
    pub fn parts(&self) -> &Arc<Parts> {
        &self.parts
    }

    /// Lines of the journal that were damaged when it was opened.
    pub fn damaged(&self) -> u64 {
        locked(&self.journal).damaged
    }

    /// What is to be done about an entry of the list, whose name is settled
    /// here: two URLs never have the same.
    pub fn look_up(&self, entry: &mut Entry) -> Result<Known, DiskError> {
        let mut journal = locked(&self.journal);
        let in_journal = |source| self.parts.error(Path::new(STATE).join(JOURNAL), source);
        let seen = |before: Option<u64>| before.unwrap_or(0) | SEEN;
        let before = journal.table.update(entry.key, seen).map_err(in_journal)?;
        if before.is_some_and(|value| value & SEEN > 0) {
            return Ok(Known::Repeated);
        }
        let at = before.unwrap_or_default();
        let wanted = std::mem::take(&mut entry.name);
        entry.name = journal.settle_name(wanted, entry.key).map_err(in_journal)?;
        drop(journal);
        let record = self.record_at(at)?;
        self.known(entry, record)
    }

    fn known(&self, entry: &Entry, record: Option<Record>) -> Result<Known, DiskError> {
        match record {
            None => Ok(Known::Wanted(Part::default())),
            Some(record @ Record::Part { .. }) => {
                let forgotten =
                    matches!(&record, Record::Part { part, .. } if *part == Part::default());
                let part = self.rest_of(record);
                if part.bytes == 0 && !forgotten {
                    self.parts.forget(entry.key)?;
                }
                Ok(Known::Wanted(part))
            }
            Some(Record::Whole {
                bytes,
                sha256,
                name,
                ..
            }) => {
                let mut whole = Finished {
                    url: crate::list::shown(&entry.url),
                    key: entry.key,
                    name,
                    bytes,
                    sha256,
                    retries: 0,
                };
                // While it is under its key, what has its name is something else.
                let unnamed = self.parts.part_bytes(entry.key) == Some(bytes);
                if !unnamed && plain_bytes(&self.parts.directory, &whole.name) != Some(bytes) {
                    self.parts.forget(entry.key)?;
                    return Ok(Known::Wanted(Part::default()));
                }
                if entry.sha256.is_some() && whole.sha256 != entry.sha256 {
                    let digest = match unnamed {
                        true => self.parts.digest(&self.parts.state, &part_name(entry.key)),
                        false => self.parts.digest(&self.parts.directory, &whole.name),
                    }?;
                    if entry.sha256 != Some(digest) {
                        if unnamed {
                            self.parts.forget(entry.key)?;
                            return Ok(Known::Wanted(Part::default()));
                        }
                        return Ok(Known::Other(format!(
                            "{} is there already, and its SHA-256 is {digest}",
                            whole.name
                        )));
                    }
                    whole.sha256 = Some(digest);
                    self.parts.note(&whole.record())?;
                }
                match unnamed {
                    true => Ok(Known::Finished(whole)),
                    false => Ok(Known::There(whole)),
                }
            }
        }
    }

    /// What there is of a file now: for whoever goes on with what a process
    /// that died had begun.
    pub fn part(&self, key: Key) -> Result<Part, DiskError> {
        let in_journal = |source| self.parts.error(Path::new(STATE).join(JOURNAL), source);
        let mut journal = locked(&self.journal);
        journal.read_on(&self.parts)?;
        let at = journal.table.get(key).map_err(in_journal)?.unwrap_or(0) & !SEEN;
        drop(journal);
        let record = self.record_at(at)?;
        Ok(record.map_or_else(Part::default, |record| self.rest_of(record)))
    }

    /// The part that a record speaks of, as long as it is on the disk.
    fn rest_of(&self, record: Record) -> Part {
        let there = self.parts.part_bytes(record.key()).unwrap_or(0);
        let (part, usable) = match record {
            Record::Part { part, .. } => {
                let fits = part.total.is_none_or(|total| there <= total);
                let usable = fits && part.validator.strong().is_some();
                (part, usable)
            }
            Record::Whole { bytes, .. } => {
                let total = Some(bytes);
                let part = Part {
                    total,
                    ..Part::default()
                };
                (part, there == bytes)
            }
        };
        match usable && there > 0 {
            true => Part {
                bytes: there,
                ..part
            },
            false => Part::default(),
        }
    }

    /// Takes a file that has every byte. True says that it is time for a
    /// [`commit`](Self::commit), which blocks.
    pub fn add(&self, file: Finished) -> bool {
        let mut pending = locked(&self.pending);
        pending.files.push(file);
        let since = *pending.since.get_or_insert_with(Instant::now);
        pending.files.len() >= GROUP || since.elapsed() >= GROUP_PATIENCE
    }

    /// Whether files wait for their names that have waited long enough.
    pub fn is_due(&self) -> bool {
        let since = locked(&self.pending).since;
        since.is_some_and(|since| since.elapsed() >= GROUP_PATIENCE)
    }

    /// Gives the files that have every byte their names, after a sync. Returns
    /// them, or why one has none. After an error they wait for the next time.
    pub fn commit(&self) -> Result<Vec<Named>, DiskError> {
        let _one_at_a_time = locked(&self.committing);
        let Pending {
            files, mut named, ..
        } = std::mem::take(&mut *locked(&self.pending));
        if files.is_empty() {
            return Ok(named);
        }
        let mut rest = files.into_iter();
        let mut give_names = || {
            self.sync(rest.as_slice())?;
            while let Some(file) = rest.as_slice().first() {
                named.push(self.name(file)?);
                rest.next();
            }
            let directory = &self.parts.directory;
            rustix::fs::fsync(directory).map_err(|errno| self.parts.error("", errno))
        };
        let result = give_names();
        if let Err(error) = result {
            let mut pending = locked(&self.pending);
            pending.files.splice(..0, rest);
            pending.since.get_or_insert_with(Instant::now);
            pending.named.splice(..0, named);
            return Err(error);
        }
        Ok(named)
    }

    fn sync(&self, files: &[Finished]) -> Result<(), DiskError> {
        if cfg!(target_os = "linux") && files.len() > SINGLE {
            #[cfg(target_os = "linux")]
            return rustix::fs::syncfs(&self.parts.state)
                .map_err(|errno| self.parts.error(STATE, errno));
        }
        for file in files {
            let name = part_name(file.key);
            open_plain(&self.parts.state, &name, OFlags::RDONLY)
                .and_then(|part| part.sync_data())
                .map_err(|source| self.parts.error(Path::new(STATE).join(name), source))?;
        }
        Ok(())
    }

    /// Gives one file its name. What stands there already is never replaced: if
    /// it is the same, byte for byte, it stays; else the file gets another name.
    fn name(&self, file: &Finished) -> Result<Named, DiskError> {
        if self.give(file.key, &file.name)? {
            return Ok(Ok(file.clone()));
        }
        let other = Finished {
            name: name::distinct(&file.name, file.key),
            ..file.clone()
        };
        // First: what has the first name could be as long as this file, and
        // would be taken for it once nothing is under the key any more.
        self.parts.note(&other.record())?;
        if self.give(file.key, &other.name)? {
            return Ok(Ok(other));
        }
        self.parts.forget(file.key)?;
        self.parts.discard(file.key);
        let why = format!(
            "something else has the names {} and {}",
            file.name, other.name
        );
        Ok(Err((file.clone(), why)))
    }

    /// False if something else has the name.
    fn give(&self, key: Key, name: &str) -> Result<bool, DiskError> {
        let part = part_name(key);
        let moved = rename_new(&self.parts.state, &part, &self.parts.directory, name);
        if moved.map_err(|errno| self.parts.error(name, errno))? {
            return Ok(true);
        }
        match self.parts.is_same(&part, name) {
            Ok(same) => {
                if same {
                    self.parts.discard(key);
                }
                Ok(same)
            }
            Err(source) => {
                let error = self.parts.error(name, source);
                // What cannot be read is something else; but this is not its fault.
                if error.is_crowded() {
                    Err(error)
                } else {
                    Ok(false)
                }
            }
        }
    }

    /// Ends a run: whatever is complete has its name, and is on the disk.
    /// `all` says that nothing is left to do, and the journal can be made small.
    pub fn close(&self, all: bool) -> Result<(), DiskError> {
        // Where no parts are on record, none has been replaced.
        let parts = locked(&self.journal).parts > 0 || self.parts.has_replaceable();
        if all && parts {
            let bytes = |journal: &File| journal.metadata().map(|metadata| metadata.len());
            let bytes = self.parts.with_journal(bytes)?;
            let mut journal = locked(&self.journal);
            if bytes - journal.read.min(bytes) <= SMALL {
                journal.read_on(&self.parts)?;
            }
            let dead = journal.dead;
            drop(journal);
            if dead > 0 {
                self.compact()?;
            }
        }
        self.parts.with_journal(|journal| journal.sync_data())
    }

    /// The record that the table's value speaks of.
    fn record_at(&self, value: u64) -> Result<Option<Record>, DiskError> {
        let Some(at) = (value & !SEEN).checked_sub(1) else {
            return Ok(None);
        };
        self.parts.with_journal(|journal| {
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

    /// Reads the journal; leaves out what is damaged or replaced, if that is
    /// much of it.
    fn mend(&self) -> Result<(), DiskError> {
        let mut journal = locked(&self.journal);
        // Half a line at the end is not written on by anybody now.
        let torn = journal.read_on(&self.parts)?;
        let damaged = journal.damaged + u64::from(torn);
        if damaged > 0 || journal.dead > 1000 && journal.dead * 2 > journal.lines {
            drop(journal);
            self.compact()?;
            locked(&self.journal).damaged = damaged;
        }
        Ok(())
    }

    /// Writes the journal anew, with the last record of each URL.
    fn compact(&self) -> Result<(), DiskError> {
        let new = "journal.new";
        let fail = |source| self.parts.error(Path::new(STATE).join(new), source);
        let mut journal = locked(&self.journal);
        let copy = |old: &File| -> io::Result<()> {
            let mut file = io::BufWriter::new(open_new(&self.parts.state, new)?);
            let mut lines = Records::new(old, 0);
            while let Some((at, record)) = lines.next()? {
                let Some(record) = record else { continue };
                // What stands under a key may be of another state of the file
                // than its record says, if the damaged line said so.
                let suspect = at < journal.suspect && matches!(record, Record::Part { .. });
                let last = journal.table.get(record.key())?.unwrap_or(0) & !SEEN == at + 1;
                if last && !suspect {
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
        *journal = Journal::new(&self.parts);
        journal.read_on(&self.parts).map(|_| ())
    }

    /// After a restart of the machine, what was not synced may be anything.
    fn after_restart(&self) -> Result<(), DiskError> {
        let fail = |source: io::Error| self.parts.error(STATE, source);
        let listing = rustix::fs::Dir::read_from(&self.parts.state).map_err(|e| fail(e.into()))?;
        for entry in listing {
            let entry = entry.map_err(|errno| fail(errno.into()))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(key) = name.strip_suffix(".part").and_then(Key::parse) else {
                continue;
            };
            let at = locked(&self.journal).table.get(key).map_err(fail)?;
            let synced = match self.record_at(at.unwrap_or(0))? {
                Some(Record::Part { part, .. }) => part.bytes,
                _ => 0,
            };
            if synced == 0
                || self
                    .parts
                    .part_bytes(key)
                    .is_none_or(|bytes| bytes < synced)
            {
                // First: what has its name could be as long.
                self.parts.forget(key)?;
                self.parts.discard(key);
            } else {
                let fail = |source| self.parts.error(Path::new(STATE).join(&name), source);
                let part = open_plain(&self.parts.state, &name, OFlags::RDWR).map_err(fail)?;
                part.set_len(synced).map_err(fail)?;
            }
        }
        locked(&self.journal).read_on(&self.parts).map(|_| ())
    }
}

impl Journal {
    fn new(parts: &Arc<Parts>) -> Self {
        let at = parts.clone();
        let unnamed = move || {
            let file = open_new(&at.state, "seen")?;
            rustix::fs::unlinkat(&at.state, "seen", AtFlags::empty())?;
            Ok(file)
        };
        Self {
            table: Table::new(unnamed),
            read: 0,
            dead: 0,
            lines: 0,
            parts: 0,
            damaged: 0,
            suspect: 0,
        }
    }

    /// Reads what was appended since the last time. True if half a line is at
    /// the end, which somebody may be writing just now: it is left for later.
    fn read_on(&mut self, parts: &Parts) -> Result<bool, DiskError> {
        parts.with_journal(|journal| {
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
                        self.parts += u64::from(matches!(record, Record::Part { .. }));
                        let last = |before: Option<u64>| (at + 1) | before.unwrap_or(0) & SEEN;
                        let before = self.table.update(record.key(), last)?.unwrap_or(0);
                        self.dead += u64::from(before & !SEEN > 0);
                    }
                }
            }
            Ok(records.torn)
        })
    }

    /// The first name of its kind that no earlier URL of the list has.
    fn settle_name(&mut self, wanted: String, key: Key) -> io::Result<String> {
        let mut name = wanted;
        let mut copy = key;
        loop {
            if self.table.set(Key::of_name(&name), SEEN)?.is_none() {
                return Ok(name);
            }
            name = name::distinct(&name, copy);
            copy = Key(copy.0.wrapping_add(1 << 96));
        }
    }
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
                let skipped = match read == LONGEST {
                    true => self.skip()?,
                    false => None,
                };
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

/// When the directory was last used.
enum Boot {
    /// Since the machine was started.
    This,
    /// Before, or nobody knows.
    Another,
}

/// Keeps every other process out of the directory, and finds out whether the
/// machine was restarted since the last one was here.
fn lock(parts: &Parts) -> Result<(File, Boot), OpenError> {
    let fail = |source: io::Error| parts.error(Path::new(STATE).join("lock"), source);
    let flags = OFlags::CREATE | OFlags::RDWR;
    let file = open_plain(&parts.state, "lock", flags).map_err(fail)?;
    let locked = rustix::fs::flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive);
    let mut last = [0; 256];
    let read = file.read_at(&mut last, 0).map_err(fail)?;
    // A power cut can leave anything there.
    let last = String::from_utf8_lossy(&last[..read]);
    let mut words = last.split_whitespace();
    let (owner, boot) = (words.next().unwrap_or("?"), words.next());
    match locked {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            return Err(OpenError::Busy {
                path: parts.path().display().to_string(),
                owner: owner.to_owned(),
            });
        }
        Err(errno) => return Err(fail(errno.into()).into()),
    }
    let now = this_boot();
    // Where nobody can tell, a restart has to be assumed.
    let same = !now.is_empty() && boot == Some(now.as_str());
    let (boot, text) = match same {
        true => (Boot::This, now.as_str()),
        false => (Boot::Another, ""),
    };
    sign(&file, text).map_err(fail)?;
    Ok((file, boot))
}

/// Leaves in the lock who has it, and since which start of the machine.
fn sign(lock: &File, boot: &str) -> io::Result<()> {
    let text = format!("{} {boot}\n", std::process::id());
    lock.write_all_at(text.as_bytes(), 0)?;
    // Afterwards: others may be reading.
    lock.set_len(text.len() as u64)
}

fn this_boot() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.unwrap_or_default().trim().to_owned()
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.parts.path()).finish()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
