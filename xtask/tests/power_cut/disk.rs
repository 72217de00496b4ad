//! A model of the disk: what a power cut can leave.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use crate::trace::{Bytes, Inode, Operation};

/// What is left of operations that were not synced.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Left {
    /// None of them.
    Synced,
    /// All of them.
    All,
    /// Names and lengths, with zeros in the place of bytes.
    Names,
    /// Names up to some point, and any of the bytes: another choice for each seed.
    Any(u64),
}

/// What a power cut has left.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    directories: BTreeSet<PathBuf>,
    names: BTreeMap<PathBuf, Inode>,
    contents: HashMap<Inode, Vec<u8>>,
    /// The files that were reported as complete before.
    pub(crate) reported: BTreeSet<String>,
}

impl Disk {
    pub(crate) fn after(operations: &[Operation], left: Left) -> Self {
        let seed = match left {
            Left::Any(seed) => seed.wrapping_add(1000 * operations.len() as u64),
            _ => 0,
        };
        let mut random = fastrand::Rng::with_seed(seed);
        let names_until = random.usize(..=operations.len());
        let mut disk = Self::default();
        for (at, operation) in operations.iter().enumerate() {
            let synced = operations[at..]
                .iter()
                .any(|later| is_sync_of(later, operation));
            let named = synced
                || match left {
                    Left::Synced => false,
                    Left::All | Left::Names => true,
                    Left::Any(_) => at < names_until,
                };
            let written = synced
                || match left {
                    Left::Synced | Left::Names => false,
                    Left::All => true,
                    Left::Any(_) => random.bool(),
                };
            let sized = written || !matches!(left, Left::Synced);
            disk.apply(operation, named, written, sized);
        }
        disk
    }

    fn apply(&mut self, operation: &Operation, named: bool, written: bool, sized: bool) {
        match operation {
            Operation::MakeDirectory(path) if named => {
                self.directories.insert(path.clone());
            }
            Operation::Create(path, inode) if named => {
                self.names.insert(path.clone(), *inode);
            }
            Operation::Rename(from, to) if named => {
                if let Some(inode) = self.names.remove(from) {
                    self.names.insert(to.clone(), inode);
                }
            }
            Operation::Remove(path) if named => {
                self.names.remove(path);
            }
            Operation::Write(inode, offset, Bytes(bytes)) if sized => {
                let content = self.contents.entry(*inode).or_default();
                let end = offset + bytes.len();
                content.resize(content.len().max(end), 0);
                if written {
                    content[*offset..end].copy_from_slice(bytes);
                }
            }
            Operation::SetLength(inode, length) if sized => {
                self.contents.entry(*inode).or_default().resize(*length, 0);
            }
            Operation::Report(name) => {
                self.reported.insert(name.clone());
            }
            _ => {}
        }
    }

    /// The files with their bytes.
    fn tree(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let content = |inode| self.contents.get(inode).cloned().unwrap_or_default();
        let files = self
            .names
            .iter()
            .map(|(path, inode)| (path.clone(), content(inode)));
        files.collect()
    }

    /// Tells this from what another cut has left.
    pub(crate) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.tree(), &self.reported).hash(&mut hasher);
        hasher.finish()
    }

    /// Makes such a directory, on a machine that was started again.
    pub(crate) fn write(&self, directory: &Path) {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("text");
        for path in &self.directories {
            fs::create_dir_all(directory.join(path)).expect("a directory");
        }
        for (path, mut bytes) in self.tree() {
            if path.ends_with("lock") {
                let text = String::from_utf8_lossy(&bytes);
                bytes = text.replace(boot.trim(), "another").into_bytes();
            }
            let path = directory.join(path);
            fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
            fs::write(path, bytes).expect("a file");
        }
    }
}

/// Whether the one makes sure of the other.
fn is_sync_of(sync: &Operation, operation: &Operation) -> bool {
    match (sync, operation) {
        (Operation::SyncAll, _) => true,
        (
            Operation::SyncFile(synced),
            Operation::Create(_, inode)
            | Operation::Write(inode, ..)
            | Operation::SetLength(inode, _),
        ) => synced == inode,
        // Names are in one journal: to sync any of them takes those before it along.
        (Operation::SyncFile(_), Operation::MakeDirectory(_)) => true,
        (
            Operation::SyncDirectory,
            Operation::MakeDirectory(_)
            | Operation::Create(..)
            | Operation::Rename(..)
            | Operation::Remove(_),
        ) => true,
        _ => false,
    }
}
