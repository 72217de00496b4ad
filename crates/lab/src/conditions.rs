//! What is done before and after a measured program, its input, and which exit codes count
//! as success.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::bail;
use suite::Invalid;

use crate::child::Finished;
use crate::containment::contained;
use crate::error::Interrupted;
use crate::interrupt::Interrupt;
use crate::process::{self, Limits};

/// The conditions that a program is run under.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// What a shell runs before each run. It is not timed.
    pub prepare: Option<String>,
    /// What a shell runs after the last run.
    pub cleanup: Option<String>,
    /// Its standard input; nothing, if there is none.
    pub input: Option<PathBuf>,
    /// Exit codes that count as success, besides 0.
    pub ignored_exits: Vec<u8>,
}

impl Conditions {
    /// Refuses an input that cannot be read.
    ///
    /// # Errors
    ///
    /// With the reason.
    pub fn check(&self) -> Result<(), Invalid> {
        let Some(input) = &self.input else {
            return Ok(());
        };
        let refused = |why: String| Invalid::new("--input", input.display(), why);
        match File::open(input).and_then(|file| file.metadata()) {
            Ok(what) if what.is_dir() => Err(refused("is a directory".to_owned())),
            Ok(_) => Ok(()),
            Err(error) => Err(refused(format!("cannot be read: {error}"))),
        }
    }

    /// Does what has to be done before each run.
    ///
    /// # Errors
    ///
    /// When it fails, with the command; and those of [`process::run`].
    pub fn prepare(&self, interrupt: &Interrupt) -> anyhow::Result<()> {
        shell("--prepare", self.prepare.as_deref(), interrupt)
    }

    /// Does what has to be done after the last run.
    ///
    /// # Errors
    ///
    /// As [`prepare`](Self::prepare).
    pub fn clean_up(&self, interrupt: &Interrupt) -> anyhow::Result<()> {
        shell("--cleanup", self.cleanup.as_deref(), interrupt)
    }

    /// Whether the program's exit code counts as success.
    pub fn is_success(&self, done: &Finished) -> bool {
        let ignored = |code| self.ignored_exits.iter().any(|&one| i32::from(one) == code);
        done.status.success() || done.status.code().is_some_and(ignored)
    }

    /// These conditions in words, to stand after the command; nothing if none is given.
    pub(crate) fn words(&self) -> String {
        let text = |what: &str, text: &Option<String>| Some(format!("{what} {}", text.as_ref()?));
        let input = self.input.as_ref();
        let codes: Vec<_> = self.ignored_exits.iter().map(u8::to_string).collect();
        let parts = [
            text("before each run:", &self.prepare),
            text("at the end:", &self.cleanup),
            input.map(|input| format!("input: {}", input.display())),
            (!codes.is_empty()).then(|| format!("also right: exit code {}", codes.join(", "))),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        match &*parts {
            [] => String::new(),
            parts => format!(" ({})", parts.join("; ")),
        }
    }
}

/// How long either may take: neither is the program's own time, so its limits say nothing
/// about them.
const LONGEST: Duration = Duration::from_secs(60 * 60);

fn shell(option: &str, line: Option<&str>, interrupt: &Interrupt) -> anyhow::Result<()> {
    let Some(line) = line else {
        return Ok(());
    };
    let limits = Limits {
        timeout: LONGEST,
        interrupt: interrupt.clone(),
    };
    let mut command = Command::new("sh");
    command.args(["-c", line]);
    let done = match contained(|| process::run(&mut command, &limits, None)) {
        Err(error) if !error.is::<Interrupted>() => bail!("{option} {line}: {error:#}"),
        done => done?,
    };
    if done.status.success() {
        return Ok(());
    }
    match done.stderr.trim_end() {
        "" => bail!("{option} {line}: {}", done.status),
        said => bail!("{option} {line}: {}: {said}", done.status),
    }
}
