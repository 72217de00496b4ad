//! The directory in which one case runs with one model.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::Context;
use origin::{FaultRequest, fault_body, fault_gzip};
use sha2::{Digest, Sha256};

use crate::case::{BYTES, Case, Content, STATE, Setup};
use crate::servers::Servers;

/// The file outside of the directory that is downloaded into, which has to stay.
pub(crate) const UNTOUCHED: &str = "not to be touched\n";

/// A directory to download into, what is around it, and a token for the origin.
#[derive(Debug)]
pub(crate) struct Sandbox<'a> {
    root: PathBuf,
    token: String,
    servers: &'a Servers,
}

impl<'a> Sandbox<'a> {
    /// A new one, of which nothing is there but the list.
    pub(crate) fn new(
        parent: &Path,
        case: &Case,
        model: &str,
        servers: &'a Servers,
    ) -> anyhow::Result<Self> {
        let token = format!("{model}.{}", case.name);
        let sandbox = Self {
            root: parent.join(&token),
            token,
            servers,
        };
        for directory in [&sandbox.own(), &sandbox.outside()] {
            fs::create_dir_all(directory)
                .with_context(|| format!("cannot make {}", directory.display()))?;
        }
        fs::write(sandbox.outside().join("file"), UNTOUCHED)?;
        fs::write(sandbox.list(), sandbox.expand(&case.list)?)?;
        Ok(sandbox)
    }

    /// The directory that is downloaded into.
    pub(crate) fn directory(&self) -> PathBuf {
        self.root.join("directory")
    }

    /// The list.
    pub(crate) fn list(&self) -> PathBuf {
        self.own().join("list")
    }

    /// For what is ours.
    pub(crate) fn own(&self) -> PathBuf {
        self.root.join("own")
    }

    fn outside(&self) -> PathBuf {
        self.root.join("outside")
    }

    /// `text` with every `{WORD}` replaced: `{NAME}` by the URL of a fault,
    /// `{tls:NAME}` and the like by that at another server, `{CA}` by the authority
    /// that signed its certificate, `{SHA}` by the right file's digest, `{SHA GZIP}` by that of
    /// the right file as gzip, `{FULL BACKLOG}`
    /// by a server that accepts no connections, `{SILENT}` by one that accepts them and
    /// sends nothing, and `{CLOSED}` by one that is not there. Other words are errors.
    pub(crate) fn expand(&self, text: &str) -> anyhow::Result<String> {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (word, after) = after.split_once('}').context("a brace is not closed")?;
            expanded += before;
            expanded += &match self.servers.word(word) {
                Some(text) => text,
                None if word == "SHA" => sha256(&fault_body(1, BYTES)),
                None if word == "SHA GZIP" => sha256(&fault_gzip(&fault_body(1, BYTES))),
                None => self.servers.fault(word, &self.token)?,
            };
            rest = after;
        }
        Ok(expanded + rest)
    }

    /// What the origins have been asked here.
    pub(crate) fn log(&self) -> anyhow::Result<Vec<FaultRequest>> {
        self.servers.log(&self.token)
    }

    /// Prepares what the next run meets.
    pub(crate) fn setup(&self, setup: Setup) -> anyhow::Result<()> {
        let at = |path: &str| self.directory().join(path);
        fs::create_dir_all(self.directory())?;
        let done = match setup {
            Setup::File(path, Content::Body(version, bytes)) => {
                fs::write(at(path), fault_body(version, bytes))
            }
            Setup::File(path, Content::Text(text)) => fs::write(at(path), text),
            Setup::File(path, _) | Setup::Directory(path) => fs::create_dir(at(path)),
            Setup::Link(path, target) => symlink(target, at(path)),
            Setup::List(text) => fs::write(self.list(), self.expand(text)?),
            Setup::LinkedParts(target) => self.parts()?.iter().try_for_each(|part| {
                fs::remove_file(part)?;
                symlink(target, part)
            }),
            Setup::PartsOf(bytes) => self.parts()?.iter().try_for_each(|part| {
                let part = File::options().write(true).open(part)?;
                part.set_len(bytes)
            }),
            Setup::Gone(path) => fs::remove_file(at(path)),
            Setup::JournalFlipped => self.change_journal(|journal| {
                let middle = journal.len() / 2;
                journal[middle] ^= 1;
            }),
            Setup::JournalTorn => self.change_journal(|journal| {
                journal.truncate(journal.len().saturating_sub(5));
            }),
            Setup::JournalGarbage => self.change_journal(|journal| {
                journal.extend_from_slice(b"\0\xff no record\nnor this");
            }),
        };
        done.with_context(|| format!("cannot prepare {setup:?}"))
    }

    fn change_journal(&self, change: impl FnOnce(&mut Vec<u8>)) -> std::io::Result<()> {
        let path = self.directory().join(STATE).join("journal");
        let mut journal = fs::read(&path)?;
        change(&mut journal);
        fs::write(path, journal)
    }

    /// Files that are not complete.
    fn parts(&self) -> anyhow::Result<Vec<PathBuf>> {
        let parts = partial_files(&self.directory());
        anyhow::ensure!(!parts.is_empty(), "there are no partial files");
        Ok(parts)
    }

    /// What is in the directory, but for the bookkeeping.
    pub(crate) fn found(&self) -> anyhow::Result<Vec<Found>> {
        let mut found = Vec::new();
        if !self.directory().is_dir() {
            return Ok(found);
        }
        for entry in fs::read_dir(self.directory())? {
            let entry = entry?;
            if entry.file_name() == STATE {
                continue;
            }
            let kind = entry.file_type()?;
            let data = if kind.is_file() {
                fs::read(entry.path())?
            } else {
                Vec::new()
            };
            found.push(Found {
                name: entry.file_name().to_string_lossy().into_owned(),
                is_link: kind.is_symlink(),
                is_directory: kind.is_dir(),
                data,
            });
        }
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    /// Says what was written outside of the directory, if anything was.
    pub(crate) fn trespassed(&self) -> anyhow::Result<Option<String>> {
        for (directory, known) in [
            (&self.root, &["directory", "own", "outside"][..]),
            (&self.outside(), &["file"][..]),
        ] {
            for entry in fs::read_dir(directory)? {
                let name = entry?.file_name();
                if !known.iter().any(|known| name == OsStr::new(known)) {
                    return Ok(Some(format!("{} is there", directory.join(name).display())));
                }
            }
        }
        let file = fs::read(self.outside().join("file"))?;
        let touched = file != UNTOUCHED.as_bytes();
        Ok(touched.then(|| "a file outside of the directory was written".to_owned()))
    }
}

/// Something in a directory.
#[derive(Debug)]
pub(crate) struct Found {
    /// Its name.
    pub(crate) name: String,
    is_link: bool,
    is_directory: bool,
    data: Vec<u8>,
}

impl Found {
    /// Whether it is this.
    pub(crate) fn is(&self, content: Content) -> bool {
        match content {
            Content::Link => self.is_link,
            Content::Directory => self.is_directory,
            _ if self.is_link || self.is_directory => false,
            Content::Body(version, bytes) => self.data == fault_body(version, bytes),
            Content::Gzip(bytes) => self.data == fault_gzip(&fault_body(1, bytes)),
            Content::Text(text) => self.data == text.as_bytes(),
        }
    }

    /// How many bytes it has.
    pub(crate) fn bytes(&self) -> u64 {
        self.data.len() as u64
    }

    /// What it is, for people.
    pub(crate) fn about(&self) -> String {
        let name = &self.name;
        match (self.is_link, self.is_directory) {
            (true, _) => format!("{name} (a link)"),
            (_, true) => format!("{name} (a directory)"),
            _ => {
                let known = [1, 2].into_iter().find(|version| {
                    self.data == fault_body(*version, self.data.len()) && !self.data.is_empty()
                });
                let what = known.map_or(String::new(), |version| format!(" of version {version}"));
                format!("{name} ({} bytes{what})", self.data.len())
            }
        }
    }
}

/// Files that are not complete, in the bookkeeping of a directory.
pub(crate) fn partial_files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory.join(STATE)).into_iter().flatten();
    let paths = entries.flatten().map(|entry| entry.path());
    paths
        .filter(|path| path.extension() == Some(OsStr::new("part")))
        .collect()
}

/// The digest of these bytes, in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
