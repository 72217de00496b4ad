//! A download survives a power cut between any two of its writes: on a model of the disk
//! that loses what was not synced.
//!
//! strace records what a model's downloader does to the disk. For a cut after each of these
//! operations, the model of the disk says what could be left: what was synced, and of the
//! rest nothing, all, all names without the bytes, or any of it. In each such directory
//!
//! - a file that has its name is right, and so is every file that was reported as complete;
//! - the next run makes all of it right, and leaves nothing behind.
//!
//! The model is that of a journaling file system, as ext4, XFS and btrfs are: renames are
//! atomic, names change on the disk in the order in which they were changed, and to sync a
//! file also keeps the name that it was made under. Bytes are written in any order.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lab::build::{self, Profile};
use lab::interrupt::Interrupt;
use lab::models;
use lab::progress::Progress;
use lab::workspace;
use origin::{Origin, Run, Shape};
use serde_json::Value;

/// What is traced: everything that changes a file, makes sure of it, or moves in one.
const CALLS: &str = "trace=?open,?openat,?openat2,?creat,?lseek,?write,?pwrite64,?writev,\
    ?pwritev,?pwritev2,?truncate,?ftruncate,?fallocate,?rename,?renameat,?renameat2,?link,\
    ?linkat,?symlink,?symlinkat,?unlink,?unlinkat,?mkdir,?mkdirat,?rmdir,?fsync,?fdatasync,\
    ?sync,?syncfs,?sync_file_range,?copy_file_range,?sendfile";

/// The bookkeeping of a download.
const STATE: &str = ".paces-download";

/// Of more files than are synced one by one, and of fewer. They have 125 KB on average, which
/// are several writes.
const FILES: [u64; 2] = [7, 2];

#[test]
fn a_download_survives_a_power_cut_between_any_two_writes() {
    let works = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "true"])
        .stderr(Stdio::null())
        .status();
    if !works.is_ok_and(|status| status.success()) {
        assert!(
            std::env::var_os("CI").is_none(),
            "strace is missing or not permitted"
        );
        eprintln!("SKIPPED: this needs strace, which is missing or not permitted");
        return;
    }
    let root = workspace::root().expect("a checkout");
    let models = models::models(&root).expect("models");
    let names: Vec<_> = models
        .iter()
        .map(|model| workspace::package(model.name()))
        .collect();
    let packages: Vec<&str> = ["origin"]
        .into_iter()
        .chain(names.iter().map(|name| &**name))
        .collect();
    let (interrupt, progress) = (Interrupt::default(), Progress::new());
    let programs = build::programs(&root, &packages, Profile::Release, &interrupt, &progress);
    let mut programs = programs.expect("cargo runs").into_iter();
    let program = programs.next().flatten().expect("the origin builds");
    let origin = Origin::spawn(&program, &[]).expect("it starts");
    for (model, program) in models.iter().zip(programs) {
        let program = program.expect("it builds");
        for images in FILES {
            let shape = Shape {
                images,
                image_bytes: 0,
                delay_ms: 0,
                mbit_per_s: 0,
            };
            let run = Run::open(origin.url(), &shape).expect("a run");
            let files = run.files().expect("its files");
            let urls: String = files.iter().map(|file| format!("{}\n", file.url)).collect();
            let cuts = survives(&program, &urls, images as usize);
            println!("{} with {images} files: {cuts} cuts", model.name());
        }
    }
}

/// Cuts the power after each operation of a download; how often that was.
fn survives(program: &Path, urls: &str, files: usize) -> usize {
    let place = tempfile::tempdir().expect("a directory");
    let place = place.path();
    let list = place.join("list");
    fs::write(&list, urls).expect("a list");
    let traced = place.join("traced");
    let log = place.join("log");
    let out = fs::File::create(place.join("out")).expect("a file");
    let status = Command::new("strace")
        .args(["-f", "-y", "-xx", "-s", "1048576", "-e", CALLS, "-o"])
        .arg(&log)
        .arg(program)
        .arg("download")
        .arg(&list)
        .args(["--json", "--into"])
        .arg(&traced)
        .stdout(out)
        .stderr(Stdio::null())
        .status();
    assert!(status.expect("strace").success());
    let right = named(&traced);
    assert_eq!(right.len(), files);
    let log = fs::read_to_string(&log).expect("text");
    let operations = Recorder::new(&traced, &place.join("out")).record(&log);
    // Each file is made, written, and gets its name.
    assert!(operations.len() > 3 * files, "{operations:?}");

    let mut cuts = 0;
    let mut tried = BTreeSet::new();
    for cut in 0..=operations.len() {
        for left in [
            Left::Synced,
            Left::All,
            Left::Names,
            Left::Any(1),
            Left::Any(2),
        ] {
            let disk = Disk::after(&operations[..cut], left);
            // Most cuts leave what another one has left.
            if !tried.insert(disk.digest()) {
                continue;
            }
            cuts += 1;
            let directory = place.join(format!("{cut}-{cuts}"));
            disk.write(&directory);
            let what = || {
                format!(
                    "{} after {cut} of {operations:#?}: {left:?}",
                    program.display()
                )
            };
            let there = named(&directory);
            for (name, bytes) in &there {
                assert_eq!(Some(bytes), right.get(name), "{name} is wrong: {}", what());
            }
            for name in &disk.reported {
                assert!(there.contains_key(name), "{name} was reported: {}", what());
            }
            let next = Command::new(program)
                .arg("download")
                .arg(&list)
                .args(["--quiet", "--into"])
                .arg(&directory)
                .output()
                .expect("it runs");
            let said = String::from_utf8_lossy(&next.stderr);
            assert!(next.status.success(), "{said}: {}", what());
            assert!(
                named(&directory) == right,
                "the next run: {said}: {}",
                what()
            );
            let state = fs::read_dir(directory.join(STATE)).expect("the bookkeeping");
            for entry in state {
                let name = entry.expect("an entry").file_name();
                assert!(
                    name == "journal" || name == "lock",
                    "{name:?} is left: {}",
                    what()
                );
            }
            fs::remove_dir_all(&directory).expect("it is ours");
        }
    }
    cuts
}

/// The files that have names, but for the bookkeeping.
fn named(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let Ok(entries) = fs::read_dir(directory) else {
        return BTreeMap::new();
    };
    let entries = entries.map(|entry| entry.expect("an entry"));
    let entries = entries.filter(|entry| entry.file_name() != STATE);
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().expect("text");
            (name, fs::read(entry.path()).expect("a file"))
        })
        .collect()
}

/// A file, whatever its name.
type Inode = usize;

/// What was done to the disk. Paths are relative to the directory; `""` is itself.
#[derive(Debug, Clone)]
enum Operation {
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
struct Bytes(Vec<u8>);

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// Reads operations out of strace's log.
struct Recorder {
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
    fn new(directory: &Path, out: &Path) -> Self {
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

    fn record(mut self, log: &str) -> Vec<Operation> {
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

/// What is left of operations that were not synced.
#[derive(Debug, Clone, Copy)]
enum Left {
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
struct Disk {
    directories: BTreeSet<PathBuf>,
    names: BTreeMap<PathBuf, Inode>,
    contents: HashMap<Inode, Vec<u8>>,
    reported: BTreeSet<String>,
}

impl Disk {
    fn after(operations: &[Operation], left: Left) -> Self {
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
    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.tree(), &self.reported).hash(&mut hasher);
        hasher.finish()
    }

    /// Makes such a directory, on a machine that was started again.
    fn write(&self, directory: &Path) {
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
