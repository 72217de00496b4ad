//! Errors that commands and tables tell apart.

use std::time::Duration;

use nix::sys::signal::Signal;
use results::Status;

/// A signal asked for all of this to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// A child process took longer than it may, and was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not within {} s", .0.as_secs_f64().round())]
pub struct TimedOut(pub Duration);

/// A child process was stopped, and nothing would have continued it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// What was run.
    pub program: String,
    /// What stopped it.
    pub signal: Signal,
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let Self { program, signal } = self;
        match signal {
            Signal::SIGTTIN | Signal::SIGTTOU => write!(
                f,
                "{program} uses the terminal, and was stopped by that ({signal}): programs are \
                 measured in the background"
            ),
            _ => write!(
                f,
                "{program} is stopped ({signal}), and nothing continues it"
            ),
        }
    }
}

impl std::error::Error for Stopped {}

/// Why there is no figure.
#[derive(Debug)]
pub enum CellError {
    /// As [`Interrupted`].
    Interrupted,
    /// The cell says what was wrong; the rest goes on.
    Cell(Status, String),
}

impl CellError {
    /// A run crashed, hung or could not be started.
    pub fn failed(reason: impl Into<String>) -> Self {
        CellError::Cell(Status::Failed, reason.into())
    }
}

/// The last line that says something, made fit for a table.
pub fn last_words(stderr: &str) -> String {
    const LONGEST: usize = 300;
    let mut lines = stderr.lines().map(str::trim);
    // Rust's own advice after a panic is not the reason for it.
    let telling = |line: &&str| !line.is_empty() && !line.starts_with("note: run with");
    let last = lines.rfind(telling).unwrap_or_default();
    let printable = last.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut words: String = printable.take(LONGEST).collect();
    if last.chars().count() > LONGEST {
        words.push('…');
    }
    words
}

impl From<anyhow::Error> for CellError {
    fn from(error: anyhow::Error) -> Self {
        if error.is::<Interrupted>() {
            return CellError::Interrupted;
        }
        CellError::failed(match error.downcast_ref::<TimedOut>() {
            Some(TimedOut(limit)) => format!(
                "it was ended when it had not finished after {:.0} s",
                limit.as_secs_f64()
            ),
            None => format!("{error:#}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_fit_a_table() {
        assert_eq!(last_words("a\n\x1b[31mb\x07\n\n"), " [31mb ");
        assert!(last_words(&"x".repeat(1000)).chars().count() <= 301);
        assert_eq!(last_words(""), "");
    }
}
