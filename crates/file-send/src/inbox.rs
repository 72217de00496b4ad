//! The directory of the receiver.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use transfer::{DiskError, Finished, Key, OpenError, PartLock, Parts, Store};

use crate::Error;

/// A directory that files are received into, by this process and its children alone.
#[derive(Debug)]
pub struct Inbox {
    pub(crate) store: Store,
    /// Whether a file is on the disk before it has its name.
    pub(crate) syncs: bool,
    /// What has come of files that another thread has given their names.
    named: Mutex<HashMap<Key, Result<String, String>>>,
}

impl Inbox {
    /// Opens a directory, which is made if it is not there, and keeps every other process out
    /// of it. Without `syncs` nothing outlasts a power cut.
    ///
    /// # Errors
    ///
    /// When another process has it, or the disk refuses.
    pub fn open(path: &Path, syncs: bool) -> Result<Self, OpenError> {
        Ok(Self::of(Store::open(path)?, syncs))
    }

    /// Opens a directory that the parent of this process has opened, and keeps open.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub fn open_shared(path: &Path, syncs: bool) -> Result<Self, DiskError> {
        Ok(Self::of(Store::open_shared(path)?, syncs))
    }

    fn of(store: Store, syncs: bool) -> Self {
        Self {
            store: match syncs {
                true => store,
                false => store.without_syncs(),
            },
            syncs,
            named: Mutex::default(),
        }
    }

    pub(crate) fn parts(&self) -> &Arc<Parts> {
        self.store.parts()
    }

    /// Gives a file that has every byte its name, after a sync. Files that come to this
    /// together share it: those that wait for one sync are all in the next.
    pub(crate) fn name(&self, file: Finished, lock: PartLock) -> Result<(), Error> {
        let (key, name) = (file.key, file.name.clone());
        self.store.add(file);
        let mut all = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(&key) {
            for named in self.store.commit().map_err(error)? {
                let (key, named) = match named {
                    Ok(file) => (file.key, Ok(file.name)),
                    Err((file, why)) => (file.key, Err(why)),
                };
                all.insert(key, named);
            }
        }
        let named = all.remove(&key);
        drop((all, lock));
        match named {
            Some(Ok(got)) if got == name => Ok(()),
            Some(Ok(got)) => {
                let why = format!("something else has got the name {name}: kept as {got}");
                Err(Error::Refused(why))
            }
            Some(Err(why)) => Err(Error::Refused(why)),
            None => Err(Error::Disk("the file has got no name".to_owned())),
        }
    }
}

/// What the sender is told of a disk that refuses.
pub(crate) fn error(error: DiskError) -> Error {
    if error.source.kind() == std::io::ErrorKind::WouldBlock {
        Error::Busy
    } else if error.is_too_many_open_files() {
        Error::Broken("the receiver has too many files open".to_owned())
    } else {
        Error::Disk(error.to_string())
    }
}
