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
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Key;
use crate::commit::{Committer, Named};
use crate::fs::{DiskError, make_directory, plain_bytes};
use crate::journal::Record;
use crate::list::Entry;
use crate::lock::{Boot, OpenError, lock, sign, this_boot};
use crate::partial::Finished;
use crate::parts::{Parts, STATE, part_name};
use crate::recovery::{Journal, record_at};
use crate::transfer::Part;

/// A directory that this process alone downloads into.
pub struct Store {
    parts: Arc<Parts>,
    /// Held locked until the store is dropped; none in a child of the process that has it.
    _lock: Option<File>,
    journal: Mutex<Journal>,
    committer: Committer,
}

/// What the store knows of an entry of the list.
#[derive(Debug)]
pub enum Known {
    /// It is there, under this name.
    There(Finished),
    /// An earlier line asked for it, by the same name.
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
        // The process that had the directory until now may have written it anew.
        parts.reopen_journal()?;
        parts.remove_decoded()?;
        let mut journal = Journal::new(&parts);
        journal.mend()?;
        if let Boot::Another = boot {
            journal.after_restart()?;
            // Only now: a run that is killed before has not done it.
            sign(&lock, &this_boot())
                .map_err(|source| parts.error(Path::new(STATE).join("lock"), source))?;
        }
        Ok(Self {
            committer: Committer::new(&parts),
            journal: Mutex::new(journal),
            parts,
            _lock: Some(lock),
        })
    }

    /// Opens a directory that the parent of this process has opened, and keeps open.
    pub fn open_shared(path: &Path) -> Result<Self, DiskError> {
        let parts = Arc::new(Parts::open(path)?);
        Ok(Self {
            committer: Committer::new(&parts),
            journal: Mutex::new(Journal::new(&parts)),
            parts,
            _lock: None,
        })
    }

    /// The same store, which syncs nothing: for measuring what that costs.
    pub fn without_syncs(mut self) -> Self {
        self.committer.syncs = false;
        self
    }

    /// What processes that write into the directory share.
    pub fn parts(&self) -> &Arc<Parts> {
        &self.parts
    }

    /// Lines of the journal that were damaged when it was opened.
    pub fn damaged(&self) -> u64 {
        self.journal().damaged()
    }

    /// What is to be done about an entry of the list, whose name is settled
    /// here: two URLs never have the same.
    pub fn look_up(&self, entry: &mut Entry) -> Result<Known, DiskError> {
        let mut journal = self.journal();
        let Some(at) = journal.see(entry.key)? else {
            return Ok(Known::Repeated);
        };
        let wanted = std::mem::take(&mut entry.name);
        entry.name = journal.settle_name(wanted, entry.key)?;
        drop(journal);
        let record = record_at(&self.parts, at)?;
        self.known(entry, record)
    }

    /// What has come of an entry that was named before: its digest may not have
    /// been, and is checked now.
    pub(crate) fn look_again(&self, entry: &Entry) -> Result<Known, DiskError> {
        let record = self.last_record(entry.key)?;
        match record {
            Some(Record::Whole { .. }) => self.known(entry, record),
            // It has failed.
            _ => Ok(Known::Repeated),
        }
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
                    let digest = if unnamed {
                        self.parts.digest(&self.parts.state, &part_name(entry.key))
                    } else {
                        self.parts.digest(&self.parts.directory, &whole.name)
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
                if unnamed {
                    Ok(Known::Finished(whole))
                } else {
                    Ok(Known::There(whole))
                }
            }
        }
    }

    /// What there is of a file now, to go on with what a process that died had
    /// begun.
    pub fn part(&self, key: Key) -> Result<Part, DiskError> {
        let record = self.last_record(key)?;
        Ok(record.map_or_else(Part::default, |record| self.rest_of(record)))
    }

    pub(crate) fn last_record(&self, key: Key) -> Result<Option<Record>, DiskError> {
        let mut journal = self.journal();
        journal.read_on()?;
        let at = journal.last(key)?;
        drop(journal);
        record_at(&self.parts, at)
    }

    /// The part that a record speaks of, as long as it is on the disk.
    pub(crate) fn rest_of(&self, record: Record) -> Part {
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
        if usable && there > 0 {
            Part {
                bytes: there,
                ..part
            }
        } else {
            Part::default()
        }
    }

    /// Takes a file that has every byte. True says that it is time for a
    /// [`commit`](Self::commit), which blocks.
    pub fn add(&self, file: Finished) -> bool {
        self.committer.add(file)
    }

    /// Whether files wait for their names that have waited long enough.
    pub fn is_due(&self) -> bool {
        self.committer.is_due()
    }

    /// Gives the files that have every byte their names, after a sync. Returns
    /// them, or why one has none. After an error they wait for the next time.
    pub fn commit(&self) -> Result<Vec<Named>, DiskError> {
        self.committer.commit()
    }

    /// Ends a run: whatever is complete has its name, and is on the disk.
    /// `all` says that nothing is left to do, and the journal can be made small.
    pub fn close(&self, all: bool) -> Result<(), DiskError> {
        if all {
            self.journal().tidy()?;
        }
        self.parts.with_journal(|journal| journal.sync_data())
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.parts.path()).finish()
    }
}
