//! The directory that is served, and its files.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat, fstat, open, openat2};
use rustix::io::Errno;

use crate::answer::{Answer, Cached};
use crate::refusal::Refusal;
use crate::request::Request;

/// How often a path is looked up again that was changed meanwhile.
const MOST_TRIES: usize = 8;

/// A directory that is served. Its files are opened anew for each answer, and what leads out
/// of it, as a symbolic link can, is not found.
#[derive(Debug)]
pub struct Site {
    directory: OwnedFd,
}

/// What a path leads to.
enum Found {
    File(File, Stat),
    Nothing(Refusal),
    /// It has to be waited for.
    Later,
}

impl Site {
    /// Opens a directory, whatever becomes of its name.
    ///
    /// # Errors
    ///
    /// When it is none, and on Linux before 5.6, which cannot keep a path below it.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = open(directory, flags, Mode::empty())?;
        match openat2(
            &directory,
            c".",
            flags,
            Mode::empty(),
            ResolveFlags::BENEATH,
        ) {
            Err(Errno::NOSYS) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "files are served only where the kernel has openat2 (Linux 5.6)",
            )),
            found => found.map(|_| Self { directory }).map_err(io::Error::from),
        }
    }

    /// The answer, if nothing of it has to be waited for: the path and the first bytes of the
    /// file are in the kernel's caches. If they are not, [`answer`](Self::answer) has to be
    /// called where waiting is allowed.
    ///
    /// It takes four system calls, or fewer: `openat2`, `fstat`, `preadv2` and `close`. Some
    /// file systems, among them `tmpfs`, do not tell what is cached: of their files there is
    /// never an answer here.
    pub fn answer_cached(&self, request: &Request) -> Option<Answer> {
        self.answer_to(request, Cached::Only)
    }

    /// The answer. It waits for the disk.
    pub fn answer(&self, request: &Request) -> Answer {
        let answer = self.answer_to(request, Cached::OrNot);
        answer.unwrap_or_else(|| Answer::refusal(Refusal::Internal, Some(request)))
    }

    fn answer_to(&self, request: &Request, cached: Cached) -> Option<Answer> {
        let found = match &request.path {
            Ok(path) => self.find(path, cached),
            Err(refusal) => Found::Nothing(*refusal),
        };
        match found {
            Found::File(file, stat) => Answer::of(request, file, &stat, cached),
            Found::Nothing(refusal) => Some(Answer::refusal(refusal, Some(request))),
            Found::Later => None,
        }
    }

    fn find(&self, path: &[u8], cached: Cached) -> Found {
        // A pipe without a writer must not be waited for.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let resolve = match cached {
            Cached::Only => ResolveFlags::BENEATH | ResolveFlags::CACHED,
            Cached::OrNot => ResolveFlags::BENEATH,
        };
        let mut tries = 0;
        let opened = loop {
            tries += 1;
            match openat2(&self.directory, path, flags, Mode::empty(), resolve) {
                // A link with `..` while a directory is moved may have led out: the kernel
                // cannot tell. And a signal is no answer.
                Err(Errno::AGAIN | Errno::INTR)
                    if cached == Cached::OrNot && tries < MOST_TRIES => {}
                opened => break opened,
            }
        };
        let refusal = match opened.and_then(|file| Ok((fstat(&file)?, file))) {
            Ok((stat, file)) => match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => return Found::File(File::from(file), stat),
                _ => Refusal::NotFound,
            },
            // EINVAL: before Linux 5.12, it does not tell what is cached.
            Err(Errno::AGAIN | Errno::INVAL) if cached == Cached::Only => return Found::Later,
            Err(
                Errno::NOENT
                | Errno::NOTDIR
                | Errno::ACCESS
                | Errno::PERM
                | Errno::LOOP
                | Errno::NAMETOOLONG
                | Errno::XDEV
                | Errno::NXIO
                | Errno::NODEV
                | Errno::ISDIR,
            ) => Refusal::NotFound,
            Err(_) => Refusal::Internal,
        };
        Found::Nothing(refusal)
    }
}
