//! `index.html`: one self-contained file. Every text in it is escaped by the
//! template library; nothing is fetched from anywhere.

use std::path::Path;

use anyhow::Context;
use askama::Template;

use crate::markdown::machine;
use crate::replay;
use crate::results::Comparison;
use crate::sweep_view::{self, RULE, SweepView};
use crate::view::{self, Finding, Row, Table};

/// The page's styles, a file a part of it.
const STYLES: [&str; 1] = [include_str!("../templates/page.css")];

/// Its scripts. All of it can be read without them, too.
const SCRIPTS: [&str; 0] = [];

#[derive(Template)]
#[template(path = "index.html")]
struct Page<'a> {
    comparison: &'a Comparison,
    machine: String,
    findings: Vec<Finding>,
    tables: Vec<Table>,
    sweeps: Vec<SweepView>,
}

impl Page<'_> {
    /// The parts of the page that are about no single workload, as far as this
    /// comparison has them: their anchors and titles, for the navigation.
    fn parts(&self) -> Vec<(&'static str, &'static str)> {
        Vec::new()
    }

    /// The way to Criterion's pages of a group, if they were made: from
    /// `results/NAME/`, where the page lies.
    fn criterion(&self, group: &str) -> Option<String> {
        let home = self.comparison.run.criterion.as_ref()?;
        Some(format!("../../{home}/{}", replay::page(group).display()))
    }
}

/// The page of a comparison.
///
/// # Errors
///
/// When the template cannot be rendered, which only a bug could bring about.
pub fn page(comparison: &Comparison) -> anyhow::Result<String> {
    page_at(comparison, None)
}

/// The page of a comparison whose files are in `directory`: what lies beside its
/// data is on it, too.
///
/// # Errors
///
/// As [`page`].
pub fn page_at(comparison: &Comparison, _directory: Option<&Path>) -> anyhow::Result<String> {
    let page = Page {
        comparison,
        machine: machine(comparison),
        findings: view::findings(comparison),
        tables: view::tables(comparison),
        sweeps: sweep_view::sweeps(comparison),
    };
    page.render().context("the page's template")
}
