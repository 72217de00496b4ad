//! How files get their names: in groups, after a sync.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use crate::fs::{DiskError, open_plain, rename_new};
use crate::partial::Finished;
use crate::parts::{Parts, STATE, part_name};
use crate::{Key, name};

/// Files that are synced and named at a time; or as many as there are when the
/// first of them has waited for [`GROUP_PATIENCE`].
const GROUP: usize = 256;
const GROUP_PATIENCE: Duration = Duration::from_millis(500);
/// Up to this many files are synced each by itself: a sync of the file system
/// would wait for the bytes of all other programs, too.
const SINGLE: usize = 4;

/// A file that has got its name, or why it has none.
pub type Named = Result<Finished, (Finished, String)>;

/// The files that have every byte, and wait for their names.
pub(crate) struct Committer {
    parts: Arc<Parts>,
    /// Whether what is named has to be on the disk.
    pub(crate) syncs: bool,
    pending: Mutex<Pending>,
    committing: Mutex<()>,
}

#[derive(Default)]
struct Pending {
    files: Vec<Finished>,
    since: Option<Instant>,
    /// What has got its name before a commit failed, for the next one to tell.
    named: Vec<Named>,
}

impl Committer {
    pub(crate) fn new(parts: &Arc<Parts>) -> Self {
        Self {
            parts: parts.clone(),
            syncs: true,
            pending: Mutex::default(),
            committing: Mutex::default(),
        }
    }

    /// Takes a file that has every byte. True says that it is time for a
    /// [`commit`](Self::commit), which blocks.
    pub(crate) fn add(&self, file: Finished) -> bool {
        let mut pending = locked(&self.pending);
        pending.files.push(file);
        let since = *pending.since.get_or_insert_with(Instant::now);
        pending.files.len() >= GROUP || since.elapsed() >= GROUP_PATIENCE
    }

    /// Whether files wait for their names that have waited long enough.
    pub(crate) fn is_due(&self) -> bool {
        let since = locked(&self.pending).since;
        since.is_some_and(|since| since.elapsed() >= GROUP_PATIENCE)
    }

    /// Gives the files that have every byte their names, after a sync. Returns
    /// them, or why one has none. After an error they wait for the next time.
    pub(crate) fn commit(&self) -> Result<Vec<Named>, DiskError> {
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
            if !self.syncs {
                return Ok(());
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
        if !self.syncs {
            return Ok(());
        }
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
                if error.is_too_many_open_files() {
                    Err(error)
                } else {
                    Ok(false)
                }
            }
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
