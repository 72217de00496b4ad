//! `cargo xtask`: compare, measure, report, read, effort, download, faults, check.
//!
//! - [`compare`] is the product. It has programs built ([`contestants`]); its
//!   [`session`] plans what they do ([`plan`], [`budget`]), has them do it in
//!   rounds ([`passes`], [`measure`], [`lab`], [`child`]), and writes what came of it
//!   ([`results`]).
//! - [`neighbours`] tells whether somebody else used the machine meanwhile, by what
//!   was [`used`] of it, and what that is worth by [`known_work`]; [`windows`] has
//!   rounds taken again that were disturbed.
//! - [`judge`] tells differences from chance: between models ([`verdicts`]),
//!   between runs ([`baseline`]), and where there are none ([`self_check`]).
//! - [`view`] puts the results into words, once, for [`report`]'s tables,
//!   [`markdown`] and [`page`]; [`replay`] puts them into Criterion's pages, and
//!   [`serve`] shows all of these to a browser elsewhere.
//! - [`outsider`] is any other program that takes part in a comparison: it is sent
//!   on an [`errand`]. [`program`] measures one alone. Either is a [`stranger`].
//! - [`sweep`] repeats a job over a list of values; [`curves`] makes curves and
//!   crossovers of that, [`sweep_view`] and [`chart`] show them. [`cores`] keeps
//!   the models to some of the machine's.
//! - [`download`] hands a list of URLs to a model's own downloader.
//! - [`faults`] puts every model's downloader to the test: a server that does
//!   everything wrong, kills, and a million files.
//! - [`read`] shows two models' code, and [`check`] keeps it tidy. [`rust_code`]
//!   knows what is code.
//! - [`sources`] and [`effort`] are kept [`beside`] a comparison: the code that was
//!   measured, and what it took to make it.
//! - [`side_by_side`], [`claims`] and [`choose`] are parts of the page, and see a
//!   comparison as [`evidence`], job by job.
//!
//! **Nothing is printed from inside a measurement**: the session alone talks.
//! **Nothing outlives its run**: every child goes through [`child::run`],
//! or [`faults`]' own way to run many at once.

pub mod baseline;
pub mod beside;
pub mod bottleneck;
pub mod budget;
pub mod ceiling;
pub mod chart;
pub mod check;
pub mod child;
pub mod choose;
pub mod claims;
pub mod cold;
pub mod compare;
pub mod completion;
pub mod contestants;
pub mod cores;
pub mod curves;
pub mod download;
pub mod effort;
pub mod errand;
pub mod evidence;
pub mod faults;
pub mod host;
pub mod interrupt;
pub mod judge;
pub mod known_work;
pub mod lab;
pub mod lock;
pub mod markdown;
pub mod measure;
pub mod neighbours;
pub mod outsider;
pub mod page;
pub mod passes;
pub mod plan;
pub mod program;
pub mod progress;
pub mod read;
pub mod readme;
pub mod replay;
pub mod report;
pub mod results;
pub mod rust_code;
pub mod samples;
pub mod self_check;
pub mod serve;
pub mod session;
pub mod side_by_side;
pub mod sources;
pub mod statistics;
pub mod stranger;
pub mod sweep;
pub mod sweep_view;
pub mod unit_costs;
pub mod units;
pub mod used;
pub mod verdicts;
pub mod view;
pub mod windows;
pub mod workspace;

use std::io::{self, Write};

/// Prints to standard output. Nobody is left to tell if that cannot be done: it
/// is closed (`| head`), or a full disk, which results would not fit on either.
pub fn print(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}
