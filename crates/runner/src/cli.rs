use clap::builder::RangedU64ValueParser;
use suite::fetch::check_url;
use suite::{Invalid, Preset, Setup, Workload};

/// One concurrency model of Paces: runs one workload and checks its answer.
///
/// Exit codes: 0 all right; 1 the run failed or its answer was wrong; 2 the
/// command line was wrong; 4 this model does not do that job at that size.
#[derive(clap::Parser, Debug)]
#[command(version)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Say which workloads there are, with their presets and keys
    List(ListArgs),
    /// Do one workload once, check the answer, and say what it took
    Run(RunArgs),
    /// Be the HTTP server that `fetch` and `download` are measured against
    Origin(origin::ServeArgs),
}

#[derive(clap::Args, Debug)]
pub struct ListArgs {
    /// As one line of JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(clap::Args, Debug)]
pub struct RunArgs {
    /// Which one: see `list`
    pub workload: Workload,

    /// The numbers to start from: article or heavy
    #[arg(long, default_value_t = Preset::Article)]
    pub preset: Preset,

    /// Change one of them; can be given again
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<Change>,

    /// Worker threads for tasks [default: one a core]
    #[arg(long, value_parser = RangedU64ValueParser::<usize>::new().range(1..=1024))]
    pub threads: Option<usize>,

    /// The most blocking calls under way at once
    #[arg(
        long,
        default_value_t = Setup::BLOCKING_THREADS,
        value_parser = RangedU64ValueParser::<usize>::new()
            .range(1..=Setup::MOST_BLOCKING_THREADS as u64)
    )]
    pub blocking_threads: usize,

    /// A running origin to use [default: one is started for the run]
    #[arg(long, value_name = "URL")]
    pub origin: Option<String>,

    /// Print one line of JSON
    #[arg(long)]
    pub json: bool,

    /// Before the model is stopped, wait until standard input ends.
    ///
    /// For whoever measures from outside: when the answer has been printed,
    /// every thread and child of the model is still there.
    #[arg(long, hide = true)]
    pub hold: bool,

    /// Do not check the answer.
    ///
    /// For whoever measures from outside what the job costs, and has seen
    /// before that the answer is right: a check can cost more.
    #[arg(long, hide = true)]
    pub unchecked: bool,
}

/// One `--set key=value`, or `--set workload.key=value`.
#[derive(Debug, Clone)]
pub struct Change {
    workload: Option<Workload>,
    key: String,
    value: String,
}

impl std::str::FromStr for Change {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| Invalid::new("--set", text, "has to be key=value"))?;
        let (workload, key) = match key.split_once('.') {
            Some((workload, key)) => (Some(workload.parse()?), key),
            None => (None, key),
        };
        Ok(Self {
            workload,
            key: key.to_owned(),
            value: value.to_owned(),
        })
    }
}

impl RunArgs {
    /// The job as asked.
    pub fn job(&self) -> Result<suite::Job, Invalid> {
        if let Some(origin) = &self.origin {
            check_url("--origin", origin)?;
        }
        let mut job = self.workload.job(self.preset);
        for change in &self.set {
            // Elsewhere one `--set` can go to several workloads; here a key
            // for another one would silently change nothing.
            if let Some(other) = change.workload.filter(|&w| w != self.workload) {
                return Err(Invalid::new(
                    format!("{other}.{}", change.key),
                    &change.value,
                    format!("the workload that runs is {}", self.workload),
                ));
            }
            job.set(&change.key, &change.value)?;
        }
        job.validate()?;
        Ok(job)
    }
}
