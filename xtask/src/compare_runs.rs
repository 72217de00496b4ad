//! `cargo xtask compare-runs`: stored runs against each other, without measuring.

use std::iter;
use std::path::{Path, PathBuf};

use analysis::Rules;
use clap::Args;
use lab::progress::print;
use lab::workspace;
use report::{runs, terminal};
use results::{Comparison, ResultsDir, read_comparison, safe_name};
use suite::Invalid;

use crate::Outcome;
use crate::compare::{Equivalence, limit};

/// Compares stored runs with each other, without measuring anything.
///
/// A run is a directory under results, `latest`, or the path of a directory of results
/// or of a comparison.json. The verdicts are those of `compare --baseline`. Runs of two
/// machines, modes or days can be compared: what differs is named.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The runs; the first is the reference, unless --against names another
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<String>,
    /// The reference
    #[arg(long, value_name = "RUN")]
    against: Option<String>,
    /// Exit code 1 if a job takes more than RATIO times as long as in the reference
    #[arg(long, value_name = "RATIO", value_parser = limit)]
    fail_above: Option<f64>,
    #[command(flatten)]
    equivalence: Equivalence,
    /// The directory under results that the page is written into
    #[arg(long, value_parser = safe_name, default_value = "compared-runs")]
    name: String,
    /// Writes this form as well, or these with commas
    #[arg(long, value_enum, value_delimiter = ',')]
    export: Vec<Export>,
    /// Where results are, for tests
    #[arg(long, hide = true)]
    output: Option<PathBuf>,
}

/// A form besides the page.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Export {
    /// runs.md
    Markdown,
    /// runs.json
    Json,
    /// runs.csv, a row a cell and run
    Csv,
}

/// Compares them.
pub(crate) fn compare_runs(options: &Options) -> anyhow::Result<Outcome> {
    let results = match &options.output {
        Some(output) => output.clone(),
        None => workspace::root()?,
    };
    let results = results.join("results");
    let mut stored: Vec<(String, Comparison)> = Vec::new();
    for run in options.against.iter().chain(&options.runs) {
        let (name, comparison) = read(&results, run)?;
        // One run may be named twice, and two directories may have one name.
        let numbered = (2..).map(|number| format!("{name}#{number}"));
        let is_free = |name: &String| stored.iter().all(|(known, _)| known != name);
        let name = iter::once(name.clone()).chain(numbered).find(is_free);
        stored.push((name.expect("there is always a number"), comparison));
    }
    if stored.len() < 2 {
        let allowed = "there has to be a second run that it is compared with";
        return Err(Invalid::new("run", &options.runs[0], allowed).into());
    }
    let rules = Rules {
        seed: stored[0].1.run.seed,
        equivalence: options.equivalence.part(),
    };
    let compared = analysis::runs::compare(&stored, rules, options.fail_above)?;
    let directory = ResultsDir::prepare(results.join(&options.name))?;
    print(&runs::terminal(
        &compared,
        terminal::columns(terminal::COLUMNS),
    ));
    let mut files = vec![("runs.html", runs::page(&compared)?)];
    for form in &options.export {
        files.push(match form {
            Export::Markdown => ("runs.md", runs::document(&compared)),
            Export::Json => ("runs.json", runs::json(&compared)?),
            Export::Csv => ("runs.csv", runs::csv(&compared)?),
        });
    }
    for (name, text) in files {
        directory.write_text(name, &text)?;
        print(&directory.path().join(name).display().to_string());
    }
    Ok(Outcome::of(compared.holds()))
}

/// The run of that name under `results`, or at that path, and what it is called.
fn read(results: &Path, run: &str) -> anyhow::Result<(String, Comparison)> {
    let path = Path::new(run);
    let named = results.join(run);
    let file = if safe_name(run).is_ok() && named.join(ResultsDir::JSON).is_file() {
        named.join(ResultsDir::JSON)
    } else if path.is_file() {
        path.to_owned()
    } else if run == "latest" {
        let latest = ResultsDir::latest(results)?;
        latest.path().join(ResultsDir::JSON)
    } else {
        path.join(ResultsDir::JSON)
    };
    if !file.is_file() {
        let tried = "there is no such file, no comparison.json in such a directory, and none in";
        return Err(Invalid::new("run", run, format!("{tried} {}", named.display())).into());
    }
    let name = match file.parent().and_then(Path::file_name) {
        Some(directory) if file.ends_with(ResultsDir::JSON) => Some(directory),
        _ => file.file_stem(),
    };
    let name = name.map_or_else(|| run.to_owned(), |name| name.display().to_string());
    Ok((name, read_comparison(&file)?))
}
