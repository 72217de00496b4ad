//! What a program did to a directory, read out of strace's log.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// What is traced: everything that changes a file, makes sure of it, or moves in one.
pub(crate) const CALLS: &str = "trace=?open,?openat,?openat2,?creat,?lseek,?write,?pwrite64,?writev,\
    ?pwritev,?pwritev2,?truncate,?ftruncate,?fallocate,?rename,?renameat,?renameat2,?link,\
    ?linkat,?symlink,?symlinkat,?unlink,?unlinkat,?mkdir,?mkdirat,?rmdir,?fsync,?fdatasync,\
    ?sync,?syncfs,?sync_file_range,?copy_file_range,?sendfile";

/// A file, whatever its name.
pub(crate) type Inode = usize;

/// What was done to the disk. Paths are relative to the directory; `""` is itself.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    MakeDirectory(PathBuf),
    Create(PathBuf, Inode),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    Write(Inode, usize, Bytes),
    SetLength(Inode, usize),
    SyncFile(Inode),
    SyncDirectory,
    SyncAll,
    /// A file was reported as complete.
    Report(String),
}

/// Bytes that print as their number.
#[derive(Clone)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// Reads operations out of strace's log.
pub(crate) struct Recorder {
    directory: PathBuf,
    out: PathBuf,
    names: HashMap<PathBuf, Inode>,
    inodes: usize,
    /// Where the next `write` goes, by process or thread, descriptor and file. Threads have
    /// their descriptors in common; none is used by two of a download's.
    offsets: HashMap<(u32, Inode), usize>,
    lengths: HashMap<Inode, usize>,
    appends: BTreeSet<(u32, Inode)>,
    operations: Vec<Operation>,
}

impl Recorder {
    pub(crate) fn new(directory: &Path, out: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            out: out.to_owned(),
            names: HashMap::new(),
            inodes: 0,
            offsets: HashMap::new(),
            lengths: HashMap::new(),
            appends: BTreeSet::new(),
            operations: Vec::new(),
        }
    }

    pub(crate) fn record(mut self, log: &str) -> Vec<Operation> {
        // A call during which another thread's was noted is in two lines.
        let mut unfinished: HashMap<&str, &str> = HashMap::new();
        for line in log.lines() {
            let (thread, text) = line.split_once(' ').expect("a thread and a call");
            let text = text.trim_start();
            if let Some(begun) = text.strip_suffix("<unfinished ...>") {
                unfinished.insert(thread, begun.trim_end());
            } else if let Some(resumed) = text.strip_prefix("<... ") {
                let begun = unfinished.remove(thread).expect("it has begun");
                let (_, rest) = resumed.split_once("resumed>").expect("what it resumes");
                self.call(&format!("{begun}{rest}"));
            } else {
                self.call(text);
            }
        }
        self.operations
    }

    fn call(&mut self, text: &str) {
        let Some(call) = Call::parse(text) else {
            return; // a signal, an exit, or a call that failed
        };
        match call.name {
            "open" | "openat" | "creat" => {
                let (path, flags) = match call.name {
                    "openat" => (call.at(0, 1), call.arguments[2]),
                    _ => (
                        call.at_work(0),
                        *call.arguments.get(1).unwrap_or(&"O_CREAT"),
                    ),
                };
                let Some(path) = self.relative(&path) else {
                    return;
                };
                if flags.contains("O_DIRECTORY") {
                    return;
                }
                let known = self.names.get(&path).copied();
                let inode = known.unwrap_or_else(|| {
                    self.inodes += 1;
                    self.names.insert(path.clone(), self.inodes);
                    self.operations.push(Operation::Create(path, self.inodes));
                    self.inodes
                });
                assert!(known.is_some() || flags.contains("O_CREAT"), "{text}");
                assert!(!flags.contains("O_TRUNC"), "not modeled: {text}");
                let file = (call.result_descriptor(), inode);
                self.offsets.insert(file, 0);
                match flags.contains("O_APPEND") {
                    true => self.appends.insert(file),
                    false => self.appends.remove(&file),
                };
            }
            "write" if call.path(0) == self.out => {
                let text = call.bytes(1);
                for line in String::from_utf8(text).expect("text").lines() {
                    let report: Value = serde_json::from_str(line).expect("JSON");
                    if report["status"] == "complete" {
                        let name = report["name"].as_str().expect("a name").to_owned();
                        self.operations.push(Operation::Report(name));
                    }
                }
            }
            "write" | "pwrite64" | "ftruncate" | "lseek" | "fsync" | "fdatasync" | "syncfs" => {
                let Some(path) = self.relative(&call.path(0)) else {
                    return;
                };
                if call.name == "syncfs" {
                    return self.operations.push(Operation::SyncAll);
                }
                let Some(&inode) = self.names.get(&path) else {
                    assert!(call.name.ends_with("sync"), "{text}");
                    return self.operations.push(Operation::SyncDirectory);
                };
                self.on_file(&call, inode);
            }
            "rename" | "renameat" | "renameat2" => {
                let (from, to) = match call.name {
                    "rename" => (call.at_work(0), call.at_work(1)),
                    _ => (call.at(0, 1), call.at(2, 3)),
                };
                if let Some((from, to)) = self.relative(&from).zip(self.relative(&to)) {
                    let inode = self.names.remove(&from).expect("it has a name");
                    self.names.insert(to.clone(), inode);
                    self.operations.push(Operation::Rename(from, to));
                }
            }
            "unlink" | "unlinkat" => {
                let path = match call.name {
                    "unlink" => call.at_work(0),
                    _ => call.at(0, 1),
                };
                if let Some(path) = self.relative(&path) {
                    self.names.remove(&path);
                    self.operations.push(Operation::Remove(path));
                }
            }
            "mkdir" | "mkdirat" => {
                let path = match call.name {
                    "mkdir" => call.at_work(0),
                    _ => call.at(0, 1),
                };
                if let Some(path) = self.relative(&path) {
                    self.operations.push(Operation::MakeDirectory(path));
                }
            }
            _ => assert!(
                !call
                    .arguments
                    .iter()
                    .any(|argument| self.relative(&path_of(argument)).is_some()),
                "not modeled: {text}"
            ),
        }
    }

    fn on_file(&mut self, call: &Call, inode: Inode) {
        let descriptor = call.arguments[0].split('<').next().expect("a number");
        let file = (descriptor.parse().expect("a number"), inode);
        let length = self.lengths.entry(inode).or_default();
        let number = |argument: usize| call.arguments[argument].parse().expect("a number");
        self.operations.push(match call.name {
            "write" => {
                let bytes = call.bytes(1);
                let next = self.offsets.entry(file).or_default();
                if self.appends.contains(&file) {
                    *next = *length;
                }
                let at = *next;
                *next += bytes.len();
                *length = (*length).max(*next);
                Operation::Write(inode, at, Bytes(bytes))
            }
            "pwrite64" => {
                let (bytes, at) = (call.bytes(1), number(3));
                *length = (*length).max(at + bytes.len());
                Operation::Write(inode, at, Bytes(bytes))
            }
            "ftruncate" => {
                *length = number(1);
                Operation::SetLength(inode, *length)
            }
            "lseek" => {
                self.offsets
                    .insert(file, call.result.parse().expect("a number"));
                return;
            }
            _ => Operation::SyncFile(inode),
        });
    }

    /// Relative to the directory, if it is in it.
    fn relative(&self, path: &Path) -> Option<PathBuf> {
        let path = path.strip_prefix(&self.directory).ok()?;
        Some(path.to_owned())
    }
}

/// A system call that succeeded, as strace writes it.
struct Call<'a> {
    name: &'a str,
    arguments: Vec<&'a str>,
    result: &'a str,
}

impl<'a> Call<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (call, result) = text.rsplit_once(" = ")?;
        let (name, rest) = call.split_once('(')?;
        let arguments = rest.trim_end().strip_suffix(')')?;
        // All text is in hexadecimal: no comma is in any.
        (!result.starts_with(['-', '?'])).then(|| Self {
            name,
            arguments: arguments.split(", ").collect(),
            result,
        })
    }

    /// The path of a descriptor.
    fn path(&self, descriptor: usize) -> PathBuf {
        path_of(self.arguments[descriptor])
    }

    /// A path that begins at a descriptor.
    fn at(&self, descriptor: usize, path: usize) -> PathBuf {
        self.path(descriptor).join(self.at_work(path))
    }

    /// A path as it stands; those that the tests give are absolute.
    fn at_work(&self, path: usize) -> PathBuf {
        PathBuf::from(String::from_utf8(self.bytes(path)).expect("text"))
    }

    fn bytes(&self, argument: usize) -> Vec<u8> {
        let text = self.arguments[argument].trim_matches('"');
        assert!(!text.ends_with("..."), "{} is cut short", self.name);
        unescaped(text)
    }

    fn result_descriptor(&self) -> u32 {
        let number = self.result.split('<').next().expect("a number");
        number.parse().expect("a descriptor")
    }
}

/// `5<PATH>`: what the descriptor is open for; nothing for other arguments.
fn path_of(argument: &str) -> PathBuf {
    let path = argument
        .split_once('<')
        .and_then(|(_, rest)| rest.strip_suffix('>'));
    let path = path.map(unescaped).unwrap_or_default();
    PathBuf::from(String::from_utf8_lossy(&path).into_owned())
}

/// Text with each byte as `\xff`; what is not is as it stands.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        match rest.strip_prefix("\\x") {
            Some(escaped) => {
                bytes.push(u8::from_str_radix(&escaped[..2], 16).expect("hexadecimal"));
                rest = &escaped[2..];
            }
            None => {
                let length = first.len_utf8();
                bytes.extend_from_slice(&rest.as_bytes()[..length]);
                rest = &rest[length..];
            }
        }
    }
    bytes
}
