//! What a case is.

use std::fmt::Debug;
use std::path::Path;

use crate::run::Failure;

/// What a program is asked or what happens to it, and what is right.
#[derive(Debug)]
pub struct Case {
    /// Its name, for `--only`.
    pub name: &'static str,
    /// Where that is said.
    pub section: &'static str,
    /// What is sent or done.
    pub what: &'static str,
    /// What is right.
    pub right: &'static str,
    /// Arguments of the program.
    pub(crate) arguments: &'static [&'static str],
    pub(crate) test: Box<dyn Test>,
}

/// A name, a section, what is sent, and what is right.
pub(crate) type Said = [&'static str; 4];

/// How a case is tested.
pub(crate) trait Test: Debug + Send + Sync {
    /// Runs a program, whose model does one thing after the other or not, with files in a
    /// directory of its own that is not there yet. Nothing was wrong if nothing is in the
    /// failure's list.
    fn run(
        &self,
        program: &Path,
        serial: bool,
        arguments: &[&str],
        directory: &Path,
    ) -> anyhow::Result<Failure>;
}

impl Case {
    pub(crate) fn new(
        [name, section, what, right]: Said,
        arguments: &'static [&'static str],
        test: impl Test + 'static,
    ) -> Self {
        Self {
            name,
            section,
            what,
            right,
            arguments,
            test: Box::new(test),
        }
    }
}
