//! `index.html`: one self-contained file. Every text in it is escaped by the
//! template library; nothing is fetched from anywhere, and a policy within the page
//! has browsers refuse whatever is not ours.

use std::path::Path;

use anyhow::Context;
use askama::Template;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use results::{Comparison, FEWER_ROUNDS, Sidecars};
use sha2::{Digest, Sha256};

use crate::anchors;
use crate::findings::claims::{self, Answer, Claim};
use crate::findings::recommendations::{self, Recommendations};
use crate::markdown::machine;
use crate::page::effort::EffortTables;
use crate::page::overview::Panel;
use crate::page::side_by_side::{METRICS, SideBySide};
use crate::page::warnings::Warning;
use crate::page::workload::Workload;
use crate::tables::sweep::RULE;
use crate::words::{self, Summary};

pub mod criterion_links;
mod data;
mod effort;
mod introductions;
mod overview;
mod samples;
mod side_by_side;
mod warnings;
mod workload;

/// The page's styles, a file a part of it.
pub(crate) const STYLES: [&str; 3] = [
    include_str!("../../templates/page.css"),
    include_str!("../../templates/recommendations.css"),
    include_str!("../../templates/side_by_side.css"),
];

/// Its scripts. All of it can be read without them, too.
pub(crate) const SCRIPTS: [&str; 3] = [
    include_str!("../../templates/page.js"),
    include_str!("../../templates/recommendations.js"),
    include_str!("../../templates/side_by_side.js"),
];

#[derive(Template)]
#[template(path = "index.html")]
struct Page<'a> {
    comparison: &'a Comparison,
    /// Where the page lies, if it does.
    directory: Option<&'a Path>,
    machine: String,
    warnings: Vec<Warning>,
    models: Vec<&'a str>,
    panels: Vec<Panel>,
    summaries: Vec<Summary>,
    recommendations: Recommendations,
    claims: Vec<Claim>,
    workloads: Vec<Workload<'a>>,
    side_by_side: Option<SideBySide>,
    effort: Option<EffortTables>,
    styles: String,
    data: String,
}

/// Criterion's pages of the same samples.
#[derive(Debug, PartialEq)]
enum Pages {
    /// The way to them from the page.
    Here(String),
    /// They are not on this machine, or are another comparison's; this makes them.
    Missing(String),
}

impl Page<'_> {
    /// What to know first. Jobs that had fewer rounds are among the warnings.
    fn notes(&self) -> impl Iterator<Item = &String> {
        let notes = self.comparison.run.notes.iter();
        notes.filter(|note| !note.ends_with(FEWER_ROUNDS))
    }

    /// The parts of the page that are about no single workload, as far as this
    /// comparison has them: their anchors and titles, for the navigation.
    fn parts(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("glance", "At a glance"),
            ("choose", "Choose"),
            ("claims", "The article's claims"),
            ("side-by-side", "Side by side"),
            ("effort", "Effort"),
        ]
    }

    /// Whether a workload has a part of the page.
    fn has(&self, workload: &str) -> bool {
        let mut workloads = self.workloads.iter();
        workloads.any(|known| known.name == workload)
    }

    /// The presets to choose from, by what they are called in the data and on the
    /// page: that about cost first. Of one alone there is no choice.
    fn presets(&self) -> Vec<(&'static str, &'static str)> {
        let has = |preset: &str| {
            let mut cells = self.comparison.cells.iter();
            cells.any(|cell| cell.point.is_none() && cell.preset == preset)
        };
        if has("heavy") && has("article") {
            vec![("heavy", "heavy"), ("article", "article"), ("", "both")]
        } else {
            Vec::new()
        }
    }

    /// Criterion's page of `group`, `report` for all of them. Nothing of a page that
    /// lies nowhere.
    fn criterion(&self, group: &str) -> Option<Pages> {
        let run = &self.comparison.run;
        let home = run.criterion.as_deref().unwrap_or("target/criterion");
        let way = Path::new("../..").join(home);
        let there = self.directory?.join(&way);
        let page = match group {
            "report" => Path::new("report/index.html").to_owned(),
            group => criterion_links::page(group),
        };
        let is_here = criterion_links::made_from(&there, run) && there.join(&page).is_file();
        Some(if is_here {
            Pages::Here(link(&way.join(page)))
        } else {
            Pages::Missing(format!("cargo xtask report {} --criterion", run.name))
        })
    }
}

/// What browsers let a page do: run its own scripts, and nothing else.
pub(crate) fn policy() -> String {
    let hashes = SCRIPTS.map(|script| {
        let hash = BASE64_STANDARD.encode(Sha256::digest(script));
        format!("'sha256-{hash}'")
    });
    format!(
        "default-src 'none'; script-src {}; style-src 'unsafe-inline'; img-src data:; \
         base-uri 'none'; form-action 'none'",
        hashes.join(" ")
    )
}

/// The page's styles, with the colors of the models in them.
fn styles(comparison: &Comparison) -> String {
    let models = comparison.models();
    let [variables, classes] = [
        "  /* colors of the models */\n",
        "/* classes of the models */\n",
    ];
    let styles = STYLES.concat();
    styles
        .replace(variables, &anchors::color_variables(models))
        .replace(classes, &anchors::color_classes(models))
}

/// The page of a comparison.
///
/// # Errors
///
/// When the template cannot be rendered, which only a bug could bring about.
pub fn page(comparison: &Comparison) -> anyhow::Result<String> {
    page_at(comparison, None)
}

/// The page of a comparison whose files are in `directory`: what lies next to its
/// data is on it, too.
///
/// # Errors
///
/// As [`page`], and when what lies there cannot be understood.
pub fn page_at(comparison: &Comparison, directory: Option<&Path>) -> anyhow::Result<String> {
    let sidecars = match directory {
        Some(directory) => Sidecars::read(directory)?,
        None => Sidecars::default(),
    };
    let page = Page {
        comparison,
        directory,
        machine: machine(comparison),
        warnings: warnings::warnings(comparison),
        models: overview::models(comparison),
        panels: overview::panels(comparison),
        summaries: words::summaries(comparison),
        recommendations: recommendations::recommendations(comparison),
        claims: claims::claims(comparison),
        workloads: workload::workloads(comparison),
        side_by_side: sidecars
            .sources
            .as_ref()
            .map(|sources| side_by_side::side_by_side(comparison, sources)),
        effort: sidecars.effort.as_ref().map(EffortTables::of),
        styles: styles(comparison),
        data: data::embedded(comparison)?,
    };
    let html = page.render().context("the page's template")?;
    Ok(without_turns(&html))
}

/// A path as a link: Criterion's directories have the names of its groups, with spaces.
fn link(path: &Path) -> String {
    let path = path.display().to_string();
    let path = path.replace('%', "%25").replace(' ', "%20");
    path.replace('#', "%23")
}

/// A page without characters that turn text round: one in a name would turn around
/// whatever comes after it.
pub(crate) fn without_turns(html: &str) -> String {
    html.replace(data::turns_text, "\u{fffd}")
}
