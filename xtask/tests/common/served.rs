//! Models' programs that serve, `cargo xtask faults` with them, and a browser as their client.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// `cargo xtask faults` of this kind: its exit code, and all that it says.
pub fn faults(kind: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["faults", kind])
        .args(arguments)
        .output()
        .expect("it starts");
    let printed = String::from_utf8_lossy(&done.stdout).into_owned();
    let said = String::from_utf8_lossy(&done.stderr);
    (done.status.code(), format!("{printed}{said}"))
}

/// The same with a program of [`with_program`].
pub fn faults_of(kind: &str, directory: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let directory = directory.to_str().expect("text");
    let own = ["--models", "thread", "--prebuilt", directory];
    faults(kind, &[&own[..], arguments].concat())
}

/// A directory with this script as the program of `thread`.
pub fn with_program(script: &str) -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let program = directory.path().join("model-thread");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("a program");
    fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("a program");
    directory
}

pub fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// A model's program that serves on a port of its own, and ends with this value.
pub struct Served {
    child: Child,
    pub url: String,
}

impl Served {
    pub fn start(program: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        let read = BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line);
        read.expect("a line");
        let (_, url) = line.trim().split_once(" at ").expect("an address");
        Self {
            child,
            url: url.to_owned(),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = kill(
            Pid::from_raw(self.child.id().cast_signed()),
            Signal::SIGTERM,
        );
        let _ = self.child.wait();
    }
}

/// A browser that is installed here.
pub struct Browser(&'static str);

impl Browser {
    /// None, said aloud, if there is none.
    pub fn find() -> Option<Self> {
        let names = ["chromium", "chromium-browser", "google-chrome"];
        let found = names.into_iter().find(|name| has(name));
        if found.is_none() {
            super::skip(&format!("there is no {} here", names.join(" or ")));
        }
        found.map(Self)
    }

    /// The page at a URL as it is once all of it has loaded.
    pub fn show(&self, arguments: &[&str], url: &str) -> String {
        let profile = tempfile::tempdir().expect("a profile");
        let done = Command::new("timeout")
            .args(["60", self.0])
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(arguments)
            .args(["--dump-dom", url])
            .output()
            .expect("it starts");
        String::from_utf8_lossy(&done.stdout).into_owned()
    }
}

/// A directory with a page, and scripts that it names: each adds a word to it.
pub struct Page(TempDir);

const SCRIPTS: u32 = 12;

impl Page {
    pub fn make() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let write = |name: &str, content: &str| {
            fs::write(directory.path().join(name), content).expect("a file");
        };
        let mut page = "<!doctype html><title>Page</title><body>".to_owned();
        for number in 0..SCRIPTS {
            page += &format!("<script src=\"{number}.js\"></script>");
            let script = format!("document.body.append('word' + {number} * 2 + '.')");
            write(&format!("{number}.js"), &script);
        }
        write("index.html", &page);
        Self(directory)
    }

    pub fn path(&self) -> String {
        self.0.path().display().to_string()
    }

    /// Whether all of it has loaded.
    pub fn check(&self, shown: &str, of: &str) {
        for number in 0..SCRIPTS {
            let word = format!("word{}.", number * 2);
            assert!(shown.contains(&word), "no {word} of {of} in {shown}");
        }
    }
}
