//! What the tests of the directory share: a run, and a server by hand.
#![allow(dead_code, reason = "each test program uses some of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use transfer::list::BadLine;
use transfer::{
    Accepted, Answer, DiskError, Failure, Fatal, Finish, Finished, Head, Key, List, Next, Observer,
    Options, STATE, Session, Sha, Tally, Transfer,
};

/// What an observer was told.
#[derive(Default)]
pub struct Seen {
    pub notes: Mutex<Vec<String>>,
    /// Names, and whether they were there before.
    pub complete: Mutex<Vec<(String, bool)>>,
    pub failed: Mutex<Vec<(String, String)>>,
}

impl Observer for Seen {
    fn bad_line(&self, bad: &BadLine) {
        panic!("{bad}");
    }
    fn note(&self, text: &str) {
        self.notes.lock().unwrap().push(text.to_owned());
    }
    fn complete(&self, file: &Finished, before: bool) {
        let mut complete = self.complete.lock().unwrap();
        complete.push((file.name.clone(), before));
    }
    fn failed(&self, failure: &Failure) {
        let mut failed = self.failed.lock().unwrap();
        failed.push((failure.name.clone(), failure.reason.clone()));
    }
}

impl Seen {
    pub fn names(&self) -> Vec<(String, bool)> {
        let mut names = self.complete.lock().unwrap().clone();
        names.sort();
        names
    }
}

pub struct Run {
    pub session: Arc<Session>,
    pub seen: Arc<Seen>,
    pub wanted: Vec<Transfer>,
}

pub fn try_run(directory: &Path, list: &str) -> Result<Run, Fatal> {
    let seen = Arc::new(Seen::default());
    let list = List::Text(list.into());
    let session = Session::open(directory, list, Options::default(), seen.clone())?;
    let mut wanted = Vec::new();
    while let Some(some) = session.read_list(1000)? {
        wanted.extend(some);
    }
    Ok(Run {
        session,
        seen,
        wanted,
    })
}

pub fn run(directory: &Path, list: &str) -> Run {
    try_run(directory, list).expect("it can be opened")
}

pub fn head(status: u16, length: usize, tag: Option<&str>, range: Option<String>) -> Head {
    let mut headers = HeaderMap::new();
    headers.insert("content-length", HeaderValue::from(length));
    if let Some(tag) = tag {
        headers.insert("etag", tag.parse().unwrap());
    }
    if let Some(range) = range {
        headers.insert("content-range", range.parse().unwrap());
    }
    Head { status, headers }
}

impl Run {
    /// One file as a good server sends it: its first `most` bytes, and then the
    /// process is killed.
    pub fn fetch_some(
        &self,
        mut transfer: Transfer,
        content: &[u8],
        tag: Option<&str>,
        most: usize,
    ) -> Result<Option<Finish>, DiskError> {
        let options = &self.session.options;
        if transfer.is_whole() {
            let partial = self.session.parts().begin(&transfer, transfer.part.bytes);
            return partial.finish().map(Some);
        }
        let request = transfer.request(options);
        let same = request
            .headers
            .get("if-range")
            .map(|value| value.to_str().unwrap())
            == tag;
        let first = transfer.part.bytes as usize;
        let head = if request.headers.contains_key("range") && same {
            let range = format!("bytes {first}-{}/{}", content.len() - 1, content.len());
            head(206, content.len() - first, tag, Some(range))
        } else {
            head(200, content.len(), tag, None)
        };
        let answer = transfer.answered(&head, options, Instant::now(), SystemTime::now());
        let Answer::Body(mut body) = answer else {
            panic!("{answer:?}")
        };
        let mut partial = self.session.parts().begin(&transfer, body.offset);
        let end = most.min(content.len());
        for piece in content[(body.offset as usize).min(end)..end].chunks(10_000) {
            let took = transfer.received(&mut body, piece.len(), options, Instant::now());
            assert_eq!(took, Ok(Accepted::All));
            partial.push(piece);
            if partial.is_due() {
                partial.flush()?;
                transfer.written(partial.bytes());
            }
        }
        if most < content.len() {
            partial.flush()?;
            return Ok(None);
        }
        assert_eq!(transfer.ended(&body, options), Next::Complete);
        partial.finish().map(Some)
    }

    pub fn fetch(
        &self,
        transfer: &Transfer,
        content: &[u8],
        tag: Option<&str>,
    ) -> Option<Finished> {
        let finish = self.fetch_some(transfer.clone(), content, tag, usize::MAX);
        match finish.expect("the disk takes it").expect("all of it") {
            Finish::Whole(file) => Some(file),
            Finish::Mismatch(why) => {
                self.session.fail(transfer, why);
                None
            }
        }
    }

    /// The file, up to where it is the session's to name it.
    pub fn finish(&self, transfer: &Transfer, content: &[u8], tag: Option<&str>) {
        if let Some(file) = self.fetch(transfer, content, tag)
            && self.session.finished(file)
        {
            self.session.commit().expect("the disk takes it");
        }
    }

    /// All that is wanted, from a server that has this under each name.
    pub fn finish_all(&self, content: impl Fn(&str) -> Vec<u8>) -> Tally {
        for transfer in &self.wanted {
            let content = content(&transfer.name);
            self.finish(transfer, &content, Some(&tag(&content)));
        }
        self.session.close().expect("the disk takes it")
    }

    pub fn names(&self) -> Vec<String> {
        self.wanted
            .iter()
            .map(|transfer| transfer.name.clone())
            .collect()
    }
}

pub fn tag(content: &[u8]) -> String {
    format!("\"{}\"", sha(content))
}

pub fn sha(content: &[u8]) -> Sha {
    Sha(Sha256::digest(content).into())
}

pub fn bytes(seed: u8, length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| (at * 31 + at / 255) as u8 ^ seed)
        .collect()
}

pub fn of_name(name: &str) -> Vec<u8> {
    let seed = name.bytes().fold(7, u8::wrapping_add);
    bytes(seed, 1000 + usize::from(seed))
}

pub fn part_path(directory: &Path, url: &str) -> PathBuf {
    directory
        .join(STATE)
        .join(format!("{}.part", Key::from_url(url)))
}

pub fn journal(directory: &Path) -> PathBuf {
    directory.join(STATE).join("journal")
}

/// The names in a directory, but for the bookkeeping.
pub fn listing(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name != STATE).collect();
    names.sort();
    names
}

pub fn parts(directory: &Path) -> usize {
    let names = fs::read_dir(directory.join(STATE)).unwrap();
    names
        .filter(|entry| {
            entry
                .as_ref()
                .unwrap()
                .path()
                .extension()
                .is_some_and(|e| e == "part")
        })
        .count()
}

pub fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

pub const A: &str = "http://h/a";
pub const B: &str = "http://h/b";
pub const C: &str = "http://h/c";

pub trait WriteLine {
    fn write_all_line(self, line: &str);
}

impl WriteLine for &fs::File {
    fn write_all_line(self, line: &str) {
        std::io::Write::write_all(&mut &*self, line.as_bytes()).expect("room for a line");
    }
}
