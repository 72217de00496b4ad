//! `cargo xtask faults`: every downloader, server and proxy against every fault.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use faults::case::Case;
use faults::cluster::{self, LOSSES, Loss};
use faults::matrix;
use faults::run::Environment;
use faults::servers::Servers;
use faults::{cases, conformance, crash, name_spaces, programs, proxy, scale, serve, table};
use lab::build::Profile;
use lab::error::Interrupted;
use lab::interrupt::Interrupt;
use lab::models::Kind;
use lab::progress::Progress;
use lab::{models, places, process, workspace};
use origin::Origin;
use report::format::memory;
use report::readme;
use runner::scratch;
use suite::Invalid;

use crate::Outcome;

/// Where `--readme` writes the table.
const README: &str = "crates/transfer/README.md";

/// What it stands between there.
const MARKS: [&str; 2] = [
    "<!-- faults: written by `cargo xtask faults --readme` -->",
    "<!-- /faults -->",
];

/// The same for what serves files.
const SERVE_README: &str = "crates/http-serve/README.md";
const SERVE_MARKS: [&str; 2] = [
    "<!-- faults: written by `cargo xtask faults --serve --readme` -->",
    "<!-- /faults -->",
];

/// The same for proxies.
const PROXY_README: &str = "crates/http-proxy/README.md";
const PROXY_MARKS: [&str; 2] = [
    "<!-- faults: written by `cargo xtask faults --proxy --readme` -->",
    "<!-- /faults -->",
];

/// The same for what jobs on several machines survive.
const CLUSTER_README: &str = "crates/model-cluster/README.md";
const CLUSTER_MARKS: [&str; 2] = [
    "<!-- faults: written by `cargo xtask faults --cluster --readme` -->",
    "<!-- /faults -->",
];

/// Room for the files of all cases, or of some downloads.
const ROOM: u64 = 2 << 30;

/// Room for a tiny file.
const ROOM_A_FILE: u64 = 8 * 1024;

/// The most that the memory of a list may be above that of one with a hundredth
/// of its URLs.
const FLAT: f64 = 1.1;

/// Runs every model's downloader against a server with every fault, its server against every
/// kind of client, or its proxy between both
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Which models, with commas, or `all`; if none is named, all, and `cluster` only against the
    /// faults of HTTP servers, where there is a nats-server
    #[arg(long, value_delimiter = ',')]
    models: Vec<String>,
    /// Instead, runs each model's server of files against every kind of request and client
    #[arg(long, conflicts_with_all = ["kills", "million"])]
    serve: bool,
    /// Instead, runs each model's proxy between every kind of client and of server
    #[arg(long, conflicts_with_all = ["serve", "kills", "million"])]
    proxy: bool,
    /// Instead, kills, stops and cuts off what a job of the model `cluster` is made of
    #[arg(long, conflicts_with_all = ["models", "serve", "proxy", "kills", "million"])]
    cluster: bool,
    /// Only this case, or all of the fault with this number; can be given again
    #[arg(long, value_name = "NAME|NUMBER")]
    only: Vec<String>,
    /// Puts the table into crates/transfer/README.md as well (with --serve, that of
    /// crates/http-serve; with --proxy, of crates/http-proxy; with --cluster, of
    /// crates/model-cluster)
    #[arg(long, conflicts_with_all = ["only", "models"])]
    readme: bool,
    /// Instead, kills each model N times while it downloads
    #[arg(long, value_name = "N", conflicts_with_all = ["only", "readme"])]
    kills: Option<u64>,
    /// What the times of the kills are drawn from; random, if not given
    #[arg(long, requires = "kills")]
    seed: Option<u64>,
    /// Instead, downloads a list of a million URLs, or of URLS
    #[arg(
        long,
        value_name = "URLS",
        num_args = 0..=1,
        default_missing_value = "1000000",
        conflicts_with_all = ["only", "readme", "kills"]
    )]
    million: Option<u64>,
    /// How many cases at once: most of them wait
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u8).range(1..))]
    at_once: u8,
    /// Builds sooner what runs slower
    #[arg(long)]
    debug: bool,
    /// Runs what stands in this directory instead of building
    #[arg(long, hide = true)]
    prebuilt: Option<PathBuf>,
}

/// Runs the cases, the crash test or the scale test. That some fail is no error.
pub(crate) fn faults(options: &Options) -> anyhow::Result<Outcome> {
    process::adopt_orphans()?;
    let interrupt = Interrupt::install().context("cannot take signals")?;
    let progress = Progress::new();
    let root = workspace::root()?;
    let (path, marks) = options.table();
    if options.readme {
        readme::check(&root.join(path), marks)?;
    }
    if options.cluster {
        return losses(options, &root, &interrupt, &progress);
    }
    let cases = match (options.serve, options.proxy) {
        (true, _) => Cases::Conformance(options.only(serve::cases::all())?),
        (_, true) => Cases::Conformance(options.only(proxy::cases::all())?),
        _ => Cases::Download(options.cases()?),
    };
    let models = options.models(&root, &progress)?;
    let temporary = std::env::temp_dir();
    places::check_temporary(&temporary)?;
    places::check_sockets(&models, &temporary, "")?;
    let built = match &options.prebuilt {
        Some(directory) => Ok(programs::in_directory(directory, &models)),
        None => programs::build(&root, &models, options.profile(), &interrupt, &progress),
    };
    let (models, origin) = built?;
    let room = ROOM + options.million.unwrap_or_default() * ROOM_A_FILE;
    let (scratch, _) = scratch::directory(room)?;
    let parent = scratch.path();
    let passed = if let Some(kills) = options.kills {
        let seed = options.seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
        progress.stage(&format!("{kills} kills of each model, seed {seed}"));
        let origin = Origin::spawn(&origin, &[])?;
        let reports = crash::run(&models, kills, seed, origin.url(), parent, &interrupt);
        for report in &reports {
            progress.print(&report.to_string());
        }
        reports.iter().all(|report| report.wrong.is_empty())
    } else if let Some(urls) = options.million {
        let mut flat = true;
        for model in &models {
            let figures = scale::run(model, urls, &origin, parent, &interrupt, &progress);
            let [short, long] = figures.with_context(|| model.name.clone())?;
            for figures in [&short, &long] {
                progress.print(&list_summary(&model.name, figures));
            }
            let above = long.peak as f64 / short.peak as f64;
            progress.print(&format!(
                "  memory of the long list: {above:.2} times that of the short one"
            ));
            // A shorter one has not had the time to show what it takes.
            flat &= above <= FLAT || long.urls < 100 * short.urls;
        }
        flat
    } else {
        let at_once = options.at_once.into();
        let count = cases.count();
        progress.stage(&format!("{count} cases, {} models", models.len()));
        let ([_, failed, _], terminal, markdown) = match cases {
            Cases::Download(cases) => {
                let environment = Environment {
                    servers: &Servers::start(&origin, parent)?,
                    parent,
                    name_spaces: name_spaces(parent),
                    interrupt: &interrupt,
                };
                let matrix = matrix::run(cases, &models, at_once, &environment, &progress);
                let (terminal, markdown) = (table::terminal(&matrix), table::markdown(&matrix));
                (matrix.counts(), terminal, markdown)
            }
            Cases::Conformance(cases) => {
                let matrix =
                    conformance::run::run(cases, &models, at_once, parent, &interrupt, &progress);
                let terminal = conformance::table::terminal(&matrix);
                let markdown = conformance::table::markdown(&matrix);
                (matrix.counts(), terminal, markdown)
            }
        };
        progress.print(&terminal);
        if options.readme && !interrupt.came() {
            readme::replace(&root.join(path), marks, &markdown)?;
        }
        failed == 0 && models.iter().all(|model| model.program.is_some())
    };
    if interrupt.came() {
        return Err(Interrupted.into());
    }
    Ok(Outcome::of(passed))
}

/// Runs the tests of what is lost on the way of a job. What was not run has not passed.
fn losses(
    options: &Options,
    root: &Path,
    interrupt: &Interrupt,
    progress: &Progress,
) -> anyhow::Result<Outcome> {
    let losses = options.losses()?;
    progress.stage(&format!("building and running {} losses", losses.len()));
    let survived = cluster::run(&losses, root, options.profile(), interrupt)?;
    progress.print(&survived.terminal());
    let [_, failed, not_run] = survived.counts();
    if options.readme {
        let (path, marks) = options.table();
        ensure!(not_run == 0, "{path} stays as it is: not all was run");
        readme::replace(&root.join(path), marks, &survived.markdown())?;
    }
    Ok(Outcome::of(failed + not_run == 0))
}

impl Options {
    /// In the order of the tables, and each once, however they were named. Without a server for
    /// it, the cluster model is left out.
    fn models(&self, root: &Path, progress: &Progress) -> anyhow::Result<Vec<models::Model>> {
        let one = |name: &str| vec![name.to_owned()];
        let names = match self.million {
            _ if !self.models.is_empty() => self.models.clone(),
            Some(_) => one("tokio"),
            None if self.serve || self.proxy || self.kills.is_some() => Vec::new(),
            None => one("all"),
        };
        let mut chosen = models::select(&models::models(root)?, "--models", &names)?;
        let has_server = programs::nats_server().is_some();
        let is_possible = |model: &models::Model| model.info.kind != Kind::Cluster || has_server;
        if !chosen.iter().all(is_possible) {
            progress.print("cluster is left out: no nats-server (apt-get install nats-server)");
            chosen.retain(is_possible);
        }
        ensure!(!chosen.is_empty(), "no model is left");
        Ok(chosen)
    }

    fn profile(&self) -> Profile {
        match self.debug {
            true => Profile::Debug,
            false => Profile::Release,
        }
    }

    /// The cases that were asked for.
    fn cases(&self) -> anyhow::Result<Vec<Case>> {
        let is = |case: &Case, only: &str| case.name == only || case.fault.to_string() == only;
        let mut cases = cases::all();
        for only in &self.only {
            if !cases.iter().any(|case| is(case, only)) {
                let allowed = "a case's name, or a fault's number from 1 to 28";
                return Err(Invalid::new("--only", only, allowed).into());
            }
        }
        let wanted = |case: &Case| self.only.iter().any(|only| is(case, only));
        cases.retain(|case| self.only.is_empty() || wanted(case));
        Ok(cases)
    }

    /// Those of these cases that were asked for.
    fn only(
        &self,
        mut cases: Vec<conformance::case::Case>,
    ) -> anyhow::Result<Vec<conformance::case::Case>> {
        for only in &self.only {
            if !cases.iter().any(|case| case.name == only) {
                let names: Vec<_> = cases.iter().map(|case| case.name).collect();
                let allowed = names.join(", ");
                return Err(Invalid::new("--only", only, allowed).into());
            }
        }
        cases.retain(|case| self.only.is_empty() || self.only.iter().any(|only| only == case.name));
        Ok(cases)
    }

    /// The losses that were asked for.
    fn losses(&self) -> Result<Vec<&'static Loss>, Invalid> {
        for only in &self.only {
            if !LOSSES.iter().any(|loss| loss.name == only) {
                let names: Vec<_> = LOSSES.iter().map(|loss| loss.name).collect();
                return Err(Invalid::new("--only", only, names.join(", ")));
            }
        }
        let is_wanted = |loss: &&Loss| self.only.iter().any(|only| only == loss.name);
        let losses = LOSSES.iter();
        Ok(losses
            .filter(|loss| self.only.is_empty() || is_wanted(loss))
            .collect())
    }

    /// Where the table is written, and what it stands between there.
    fn table(&self) -> (&'static str, [&'static str; 2]) {
        match (self.serve, self.proxy, self.cluster) {
            (true, ..) => (SERVE_README, SERVE_MARKS),
            (_, true, _) => (PROXY_README, PROXY_MARKS),
            (.., true) => (CLUSTER_README, CLUSTER_MARKS),
            _ => (README, MARKS),
        }
    }
}

/// What is run.
enum Cases {
    Download(Vec<Case>),
    Conformance(Vec<conformance::case::Case>),
}

impl Cases {
    fn count(&self) -> usize {
        match self {
            Self::Download(cases) => cases.len(),
            Self::Conformance(cases) => cases.len(),
        }
    }
}

/// A scale test in a line.
fn list_summary(model: &str, figures: &scale::Figures) -> String {
    format!(
        "{model}: {} URLs: {:.1} s, {} at most; again with all of them there: {:.1} s, {} at most",
        figures.urls,
        figures.took.as_secs_f64(),
        memory(figures.peak),
        figures.resumed.as_secs_f64(),
        memory(figures.resumed_peak)
    )
}
