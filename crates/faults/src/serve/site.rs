//! A model's server of files, in a directory of its own.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, Mode, mkfifoat};

use crate::check::{Wrong, wrong};
use crate::conformance::server::Server;

/// When the file that most requests are for was changed: long ago, so that its date tells
/// which it is.
const CHANGED: Duration = Duration::from_secs(1_000_000_000);

/// In this century's last year.
const FUTURE: Duration = Duration::from_secs(4_100_000_000);

/// A server that runs, and what it serves.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) server: Server,
    pub(crate) directory: PathBuf,
}

impl Site {
    /// Asks for a file over a connection of its own.
    pub(crate) fn is_well(&self) -> Result<(), Wrong> {
        let mut client = self.server.connect()?;
        client.send("GET /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let head = client.head()?;
        let body = client.body(&head)?;
        match head.status == 200 && body == b"0123456789" {
            true => client.closed(),
            false => Err(wrong(
                "an answer with the file",
                format!("{head:?}, {body:?}"),
            )),
        }
    }
}

/// Makes a directory with the files that the cases ask for, and what they must not see.
pub(crate) fn make_directory(root: &Path) -> io::Result<PathBuf> {
    let directory = root.join("served");
    fs::create_dir_all(directory.join("sub"))?;
    let at = |name: &str| directory.join(name);
    fs::write(root.join("secret.txt"), "secret")?;
    for (name, content) in [
        ("a.txt", "0123456789"),
        ("empty.txt", ""),
        ("with space.txt", "space"),
        ("100%.txt", "percent"),
        ("ä.html", "umlaut"),
        ("future.txt", "future"),
        ("sub/index.html", "index"),
    ] {
        fs::write(at(name), content)?;
    }
    for (name, changed) in [("a.txt", CHANGED), ("future.txt", FUTURE)] {
        let file = File::options().write(true).open(at(name))?;
        file.set_modified(SystemTime::UNIX_EPOCH + changed)?;
    }
    symlink("a.txt", at("inside.txt"))?;
    symlink("../secret.txt", at("outside.txt"))?;
    symlink("..", at("up"))?;
    mkfifoat(CWD, at("pipe"), Mode::RUSR | Mode::WUSR)?;
    Ok(directory)
}
