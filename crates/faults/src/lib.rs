//! Every downloader against every fault.
//!
//! - A [`case`] says in data what is downloaded, what happens meanwhile, and what is
//!   right; [`cases`] has all of them, under the faults.
//! - [`run`] runs one with a model's downloader in a sandbox of its own, with its
//!   [`servers`], and checks the outcome.
//! - The [`matrix`] runs all of them with all models, and [`table`] shows it.
//! - [`conformance`] does the same over raw connections: [`serve`] has the other side, servers
//!   of files against every kind of client, and [`proxy`] stands between client and server.
//! - [`crash`] and [`scale`] are tests of other shapes, and [`cluster`] those of another crate.

use std::path::Path;
use std::process::Command;

pub mod case;
pub mod cases;
mod check;
pub mod cluster;
pub mod conformance;
pub mod crash;
pub mod matrix;
pub mod programs;
pub mod proxy;
pub mod run;
mod sandbox;
pub mod scale;
pub mod serve;
pub mod servers;
pub mod table;

/// How to get name spaces to mount in, if there is a way: as a user who may, or as root
/// of a name space of its own.
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
