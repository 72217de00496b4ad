//! `cargo xtask report`: the files that are made from the data alone.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use clap::Args;
use lab::interrupt::Interrupt;
use lab::lock::Lock;
use lab::progress::print;
use lab::workspace;
use report::files::write_texts;
use report::{export, readme};
use results::{ResultsDir, safe_name};
use suite::Invalid;

use crate::criterion_pages;
use crate::serve::Server;

/// Makes comparison.md and index.html again, from comparison.json and the files next to it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The directory under results; the newest, if not given
    #[arg(value_parser = safe_name)]
    name: Option<String>,
    /// Shows the page in a browser
    #[arg(long)]
    open: bool,
    /// Serves results and Criterion's pages on the loopback interface, until Ctrl-C
    #[arg(long)]
    serve: bool,
    /// The port to serve on; a free one, if not given
    #[arg(
        long,
        requires = "serve",
        default_value_t = 0,
        hide_default_value = true
    )]
    port: u16,
    /// Makes Criterion's pages from these data first, instead of those there are
    #[arg(long)]
    criterion: bool,
    /// Puts the table into README.md as well
    #[arg(long)]
    readme: bool,
    /// The model whose times the ratios are given to [default: as in the run]
    #[arg(long, value_name = "MODEL")]
    reference: Option<String>,
    /// Writes the data in another form as well: cells.csv and samples.csv
    #[arg(long, value_enum)]
    export: Option<Export>,
    /// Where results are, for tests
    #[arg(long, hide = true)]
    output: Option<std::path::PathBuf>,
}

/// Another form of the data.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Export {
    /// Rows of cells, and rows of samples.
    Csv,
}

/// Reports.
pub(crate) fn report(options: &Options) -> anyhow::Result<()> {
    let root = workspace::root()?;
    let output = options.output.as_deref().unwrap_or(&root);
    let directory = ResultsDir::named(&output.join("results"), options.name.as_deref())?;
    let mut comparison = directory.read()?;
    if let Some(reference) = &options.reference {
        let known = &comparison.run.models;
        if !known.contains(reference) {
            let allowed = format!("has to be one of {}", known.join(", "));
            return Err(Invalid::new("--reference", reference, allowed).into());
        }
        comparison.run.reference = Some(reference.clone());
    }
    if options.criterion {
        make_criterion_pages(&directory, output)?;
    }
    write_texts(&directory, &comparison)?;
    if options.readme {
        readme::update(&root.join("README.md"), &comparison)?;
    }
    if let Some(Export::Csv) = options.export {
        for (name, text) in [
            (export::CELLS, export::cells(&comparison)?),
            (export::SAMPLES, export::samples(&comparison)?),
        ] {
            directory.write_text(name, &text)?;
            print(&directory.path().join(name).display().to_string());
        }
    }
    let page = directory.path().join(ResultsDir::PAGE);
    if options.serve {
        return serve(&directory, output, options);
    }
    print(&page.display().to_string());
    if options.open {
        open(page.as_os_str())?;
    }
    Ok(())
}

fn serve(directory: &ResultsDir, output: &Path, options: &Options) -> anyhow::Result<()> {
    let interrupt = Interrupt::install().context("cannot notice Ctrl-C")?;
    let server = Server::bind(output, options.port)?;
    let name = directory.path().file_name().unwrap_or_default();
    let url = server.url(&format!("results/{}/{}", name.display(), ResultsDir::PAGE));
    print(&url);
    if options.open {
        open(url.as_ref())?;
    }
    server.run(&interrupt)
}

fn make_criterion_pages(directory: &ResultsDir, output: &Path) -> anyhow::Result<()> {
    let target = output.join("target");
    std::fs::create_dir_all(&target)
        .with_context(|| format!("cannot make {}", target.display()))?;
    // A comparison makes its own there when it is done.
    let _lock = Lock::acquire(&target.join("paces.lock"))?;
    let interrupt = Interrupt::install().context("cannot notice Ctrl-C")?;
    criterion_pages::make(directory, &target.join("criterion"), &interrupt)
        .context("Criterion's pages could not be made")
}

fn open(page: &OsStr) -> anyhow::Result<()> {
    let opener = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    let status = Command::new(opener)
        .arg(page)
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start {opener}"))?;
    ensure!(status.success(), "{opener}: {status}");
    Ok(())
}
