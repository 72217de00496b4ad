//! `cargo xtask faults`: the downloaders, put to the test.
//!
//! - A [`case`] tells in data what is downloaded, what happens meanwhile, and what
//!   is right; [`cases`] has all of them, under the 28 faults.
//! - [`run`] puts one to a model's downloader, a child [`process`], in a [`sandbox`] of
//!   its own, with its [`servers`], and [`check`] says what is wrong.
//! - The [`matrix`] does all of that for all models, and [`table`] shows it.
//! - [`crash`] and [`scale`] are what does not fit into a case.

use std::path::Path;
use std::process::Command;

pub mod case;
pub mod cases;
pub mod check;
pub mod crash;
pub mod matrix;
pub mod process;
pub mod run;
pub mod sandbox;
pub mod scale;
pub mod servers;
pub mod table;

/// How to get name spaces to mount in, if there is a way: as whoever may, or as
/// root of a name space of one's own.
pub fn name_spaces(directory: &Path) -> Option<&'static [&'static str]> {
    let ways: [&[&str]; 2] = [&["unshare", "-m"], &["unshare", "-rm"]];
    ways.into_iter().find(|way| {
        let mut command = Command::new(way[0]);
        command.args(&way[1..]);
        command
            .args(["mount", "-t", "tmpfs", "-o", "size=200k", "none"])
            .arg(directory);
        command.output().is_ok_and(|done| done.status.success())
    })
}
