//! All cases, in the order of the table.

mod connections;
mod content;
mod framing;
mod lines;
mod targets;

use crate::check::Wrong;
use crate::conformance::case::{Case, Said};
use crate::conformance::timed::USUAL;
use crate::serve::case::{Test, Turn};
use crate::serve::site::Site;

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

fn turns(said: Said, turns: Vec<Turn>) -> Case {
    Case::new(said, USUAL, Test::Turns(turns))
}

fn clients(
    said: Said,
    arguments: &'static [&'static str],
    test: fn(&mut Site) -> Result<(), Wrong>,
) -> Case {
    Case::new(said, arguments, Test::Clients(test))
}
