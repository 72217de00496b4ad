//! A directory with made-up models, shell scripts in the place of programs, for
//! what comes of comparing them too. What its models do is each test's own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

pub struct Stage(TempDir);

impl Stage {
    pub fn empty() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Puts a program there: a shell script.
    pub fn script(&self, name: &str, body: &str) {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{body}")).expect("a script");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("a script");
    }

    /// A quick comparison of what is there.
    pub fn quick(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command
            .args(["compare", "--quick", "--prebuilt"])
            .arg(self.0.path())
            .arg("--output")
            .arg(self.0.path())
            .args(args);
        command
    }

    pub fn read(&self, name: &str) -> String {
        let path = self.path(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// All data of a comparison.
    pub fn results(&self, name: &str) -> Value {
        let text = self.read(&format!("results/{name}/comparison.json"));
        serde_json::from_str(&text).expect("it is JSON")
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
