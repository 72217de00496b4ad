//! A comparison as its readers see it: tables for a terminal and for Markdown, and
//! a page.

pub mod diff;
pub mod files;
pub mod findings;
pub mod format;
pub mod highlight;
pub mod markdown;
pub mod page;
pub mod readme;
pub mod tables;
pub mod terminal;
pub mod words;
