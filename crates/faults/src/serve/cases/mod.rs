//! All cases, in the order of the table.

mod connections;
mod content;
mod framing;
mod lines;
mod targets;

use crate::check::Wrong;
use crate::serve::case::{Case, Test, Turn};
use crate::serve::server::Server;

/// A time that a busy machine does not reach. More connections than any case has at once, and
/// few enough for a model that starts a process for each.
const USUAL: &[&str] = &["--idle-timeout", "20", "--connections", "16"];

/// All of them.
pub fn all() -> Vec<Case> {
    [
        lines::all(),
        framing::all(),
        targets::all(),
        content::all(),
        connections::all(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A name, a section, what is sent, and what is right.
type Said = [&'static str; 4];

fn turns(said: Said, turns: Vec<Turn>) -> Case {
    case(said, USUAL, Test::Turns(turns))
}

fn clients(
    said: Said,
    arguments: &'static [&'static str],
    test: fn(&mut Server) -> Result<(), Wrong>,
) -> Case {
    case(said, arguments, Test::Clients(test))
}

fn case(
    [name, section, what, right]: Said,
    arguments: &'static [&'static str],
    test: Test,
) -> Case {
    Case {
        name,
        section,
        what,
        right,
        arguments,
        test,
    }
}
