//! A comparison as its readers see it: tables for a terminal and for Markdown, and
//! a page.

mod anchors;
mod chart;
mod diff;
mod distinct;
pub mod export;
pub mod files;
pub mod findings;
mod fit;
pub mod format;
pub mod highlight;
pub mod markdown;
mod metrics;
pub mod page;
pub mod readme;
pub mod runs;
pub mod side_by_side;
mod table;
mod tables;
pub mod terminal;
pub mod words;
