//! `index.html`: one self-contained file. Every text in it is escaped by the
//! template library; nothing is fetched from anywhere.

use anyhow::Context;
use askama::Template;

use crate::completion::CompletionView;
use crate::markdown::machine;
use crate::replay;
use crate::results::Comparison;
use crate::sweep_view::{self, RULE, SweepView};
use crate::view::{self, Finding, Row, Table};

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
    let page = Page {
        comparison,
        machine: machine(comparison),
        findings: view::findings(comparison),
        tables: view::tables(comparison),
        sweeps: sweep_view::sweeps(comparison),
    };
    page.render().context("the page's template")
}
