//! Files that another machine offers, by name, size and digest.

use rustix::fs::{AtFlags, OFlags};
use rustix::io::Errno;

use crate::answer::Validator;
use crate::fs::{DiskError, open_plain, plain_bytes};
use crate::journal::Record;
use crate::transfer::Part;
use crate::{Key, Sha, Store, name};

/// A file that another machine offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// What it shall be called.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its digest.
    pub sha256: Sha,
}

/// What there is of such a file.
#[derive(Debug, PartialEq, Eq)]
pub enum There {
    /// All of it, under its name and on the disk.
    All,
    /// So much; also nothing.
    Part(Part),
    /// Something else has its name.
    Other,
}

impl Offered {
    /// What it is known by while it is written.
    pub fn key(&self) -> Key {
        Key::from_url(&format!("offered:{}", self.name))
    }

    /// Whether the name is one component that neither leaves the directory nor hides in it, on
    /// any system.
    pub fn has_safe_name(&self) -> bool {
        name::safe(&self.name) == self.name
    }

    /// The state of the file that its parts belong to.
    fn validator(&self) -> Validator {
        Validator {
            etag: Some(format!("\"{}\"", self.sha256)),
            ..Validator::default()
        }
    }
}

impl Store {
    /// What there is of a file that another machine offers. Blocks.
    pub fn offered(&self, offered: &Offered) -> Result<There, DiskError> {
        let (parts, name) = (self.parts(), &offered.name);
        match rustix::fs::statat(&parts.directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => {
                let same = plain_bytes(&parts.directory, name) == Some(offered.bytes)
                    && parts.digest(&parts.directory, name)? == offered.sha256;
                if !same {
                    return Ok(There::Other);
                }
                let sync = || -> std::io::Result<()> {
                    open_plain(&parts.directory, name, OFlags::RDONLY)?.sync_data()?;
                    Ok(rustix::fs::fsync(&parts.directory)?)
                };
                sync().map_err(|source| parts.error(name, source))?;
                return Ok(There::All);
            }
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(parts.error(name, errno)),
        }
        let validator = offered.validator();
        let fits = |record: &Record| match record {
            Record::Part { part, .. } => part.validator == validator,
            Record::Whole { sha256, .. } => *sha256 == Some(offered.sha256),
        };
        let record = self.last_record(offered.key())?.filter(fits);
        let there = record.map_or(0, |record| self.rest_of(record).bytes);
        Ok(There::Part(Part {
            bytes: if there <= offered.bytes { there } else { 0 },
            total: Some(offered.bytes),
            validator,
        }))
    }
}
