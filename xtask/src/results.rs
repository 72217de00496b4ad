//! What a comparison leaves behind: `results/NAME/`, and the shape of its data.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::baseline::Baseline;
use crate::bottleneck::Bound;
use crate::completion::Completion;
use crate::curves::Sweep;
use crate::neighbours::Neighbours;
use crate::self_check::SelfCheck;
use crate::verdicts;

/// The shape that is written, and the only one that is read.
pub const SCHEMA: u32 = 1;

/// `comparison.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Comparison {
    /// [`SCHEMA`].
    pub schema: u32,
    /// How it came about.
    pub run: Run,
    /// On which machine.
    pub host: Host,
    /// The compiler, and each library that a model uses.
    pub versions: BTreeMap<String, String>,
    /// The figures: one for each workload, preset, variant and model.
    pub cells: Vec<Cell>,
    /// Who is faster than whom: one for each workload, preset and variant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<verdicts::Section>,
    /// What has changed since an earlier run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// What came of comparing each model with itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_check: Option<SelfCheck>,
    /// The curves through the cells of each sweep.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sweeps: Vec<Sweep>,
}

/// How a comparison came about.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    /// The name of its directory.
    pub name: String,
    /// When it started, in the machine's time zone.
    pub started: String,
    /// `quick`, `default` or `thorough`.
    pub mode: String,
    /// The commit it was built from, `-dirty` if there was more.
    pub revision: String,
    /// What the order within the rounds was drawn from, and the verdicts' resamples.
    pub seed: u64,
    /// The least difference that the verdicts take for one, as a part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least_difference: Option<f64>,
    /// Worker threads of each model.
    pub threads: usize,
    /// Blocking calls at once of each model.
    pub blocking_threads: usize,
    /// Where downloads were written.
    #[serde(default)]
    pub scratch: String,
    /// The models, in the order asked for.
    pub models: Vec<String>,
    /// The time there was, from the end of the build.
    pub budget_s: f64,
    /// The time it took, from the end of the build.
    pub took_s: f64,
    /// Whether it was ended before its end.
    pub interrupted: bool,
    /// Where Criterion's pages were made from these data, relative to the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub criterion: Option<String>,
    /// What is known of others' use of the machine meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbours: Option<Neighbours>,
    /// What did not go as planned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Host {
    /// Its processor.
    pub cpu: String,
    /// How many cores this could use.
    pub cores: usize,
    /// Its memory, in bytes.
    pub memory: u64,
    /// The kernel's version.
    pub kernel: String,
    /// The distribution.
    pub os: String,
}

/// How a cell came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Right answers only.
    Ok,
    /// The job ran to its end and its answer was wrong.
    WrongAnswer,
    /// A run crashed, hung or could not be started.
    Failed,
    /// The model does not do this job at this size, and says so.
    Unsupported,
}

/// One model at one job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cell {
    /// What kind of job.
    pub workload: String,
    /// Whose numbers.
    pub preset: String,
    /// The second way to do it, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// What of a sweep it is, if it is of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<Point>,
    /// How many cores the model was kept to; all, if none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<usize>,
    /// Preset, variant, point and cores, as Criterion's ids have them.
    pub label: String,
    /// Who did it.
    pub model: String,
    /// The command that did it, of a contestant that is none of the models. Its
    /// times are those of whole processes, with their start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The job that was measured.
    pub job: Value,
    /// How it came out.
    pub status: Status,
    /// Why it is not `ok`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether the job was made smaller to fit the time.
    pub scaled: bool,
    /// By how much.
    pub divisor: u64,
    /// How long the job takes on a started model. Or a whole process with that job,
    /// of a contestant that is none of the models.
    pub time: Option<Time>,
    /// Whether those samples are not a bench's, but of fresh processes, one each:
    /// the job is a long one, or a contestant's that is none of the models.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub from_runs: bool,
    /// How long the same takes cold: from a process's start to the end of its first
    /// job. Of the models alone: whoever is from outside has no other time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cold: Option<Time>,
    /// How much of that is the process's start and the model's: the median.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_ns: Option<u64>,
    /// When the job's items were done, where they have such a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion: Option<Completion>,
    /// The rest, from fresh processes; medians over the runs.
    #[serde(flatten)]
    pub resources: Resources,
    /// What the job came to, in the last of those runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Value>,
    /// How many of its rounds others disturbed, and were kept all the same.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub disturbed: u32,
    /// How long the origin alone takes for the job's requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_ceiling_ns: Option<u64>,
    /// Processor time of the origin for one job: the median.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_cpu_ns: Option<u64>,
    /// Whether the origin, more than the model, set the time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub origin_bound: bool,
    /// By what of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_bound_by: Option<Bound>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// One value of a sweep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// Which of the job's parameters is swept.
    pub key: String,
    /// What it is here: a number, or a word.
    pub value: Value,
}

/// How long a job takes, in nanoseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Time {
    /// The median of all samples.
    pub median_ns: f64,
    /// From here ...
    pub low_ns: f64,
    /// ... to here is the median's 95 % confidence interval.
    pub high_ns: f64,
    /// Time an iteration, in the order measured.
    pub samples_ns: Vec<f64>,
    /// How many of the samples each round gave.
    pub rounds: Vec<usize>,
}

/// What a whole process with all its children takes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Resources {
    /// From before its start to its end.
    pub wall_ns: Option<u64>,
    /// Time on processors in the program.
    pub user_ns: Option<u64>,
    /// Time on processors in the kernel.
    pub system_ns: Option<u64>,
    /// The most memory seen at once.
    pub peak_memory_bytes: Option<u64>,
    /// How that was told, or why it was not.
    pub memory_method: Option<String>,
    /// The same as the process itself saw it, as a cross-check.
    pub own_peak_memory_bytes: Option<u64>,
    /// Context switches to wait for something.
    pub voluntary_switches: Option<u64>,
    /// Context switches because another's turn had come.
    pub involuntary_switches: Option<u64>,
    /// The most threads seen at once.
    pub threads: Option<u64>,
    /// The most processes seen at once.
    pub processes: Option<u64>,
    /// How many runs gave these.
    pub runs: u32,
}

/// A directory for results: one safe path component.
///
/// # Errors
///
/// When it could lead anywhere else, or be hidden.
pub fn safe_name(name: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts_well && name.len() <= 100 && name.chars().all(fits) {
        return Ok(name.to_owned());
    }
    Err(
        "has to be 1 to 100 letters, digits, dots, dashes or underscores, \
         the first a letter or digit"
            .to_owned(),
    )
}

/// `results/NAME/` on disk.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// The data.
    pub const JSON: &str = "comparison.json";
    /// The tables.
    pub const MARKDOWN: &str = "comparison.md";
    /// The page.
    pub const PAGE: &str = "index.html";

    /// Makes the directory, and makes sure that results will fit into it:
    /// better now than after a quarter of an hour.
    ///
    /// # Errors
    ///
    /// When it cannot be written, or the disk is full.
    pub fn prepare(path: PathBuf) -> anyhow::Result<Self> {
        const ROOM: usize = 8 << 20;
        let probe = || -> std::io::Result<()> {
            fs::create_dir_all(&path)?;
            let mut probe = tempfile::NamedTempFile::new_in(&path)?;
            probe.write_all(&vec![0x5a; ROOM])?;
            probe.as_file().sync_all()
        };
        probe().with_context(|| format!("cannot write results into {}", path.display()))?;
        Ok(Self { path })
    }

    /// A directory that has results already.
    ///
    /// # Errors
    ///
    /// When there are none.
    pub fn open(path: PathBuf) -> anyhow::Result<Self> {
        let data = path.join(Self::JSON);
        ensure!(data.is_file(), "there is no {}", data.display());
        Ok(Self { path })
    }

    /// The directory under `results` that was written last.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn latest(results: &Path) -> anyhow::Result<Self> {
        let entries = fs::read_dir(results).into_iter().flatten().flatten();
        let written = |entry: fs::DirEntry| {
            let data = entry.path().join(Self::JSON);
            let modified = data.metadata().ok()?.modified().ok()?;
            Some((modified, entry.path()))
        };
        match entries.filter_map(written).max() {
            Some((_, path)) => Ok(Self { path }),
            None => bail!(
                "there are no results in {} yet: `cargo xtask compare --quick` makes some",
                results.display()
            ),
        }
    }

    /// The directory of that name under `results`; the one written last, if none is
    /// named.
    ///
    /// # Errors
    ///
    /// When it has no results, or nothing has.
    pub fn named(results: &Path, name: Option<&str>) -> anyhow::Result<Self> {
        match name {
            Some(name) => Self::open(results.join(name)),
            None => Self::latest(results),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the data back.
    ///
    /// # Errors
    ///
    /// When they are not there, or not of this schema.
    pub fn read(&self) -> anyhow::Result<Comparison> {
        let path = self.path.join(Self::JSON);
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let data: Value = serde_json::from_slice(&text)
            .with_context(|| format!("{} is not JSON", path.display()))?;
        let schema = data.get("schema").and_then(Value::as_u64);
        ensure!(
            schema == Some(SCHEMA.into()),
            "{} has schema {}, and this reads only {SCHEMA}",
            path.display(),
            schema.map_or("none".to_owned(), |schema| schema.to_string())
        );
        serde_json::from_value(data).with_context(|| format!("{} is malformed", path.display()))
    }

    /// Writes the data.
    ///
    /// # Errors
    ///
    /// As [`Directory::write_text`].
    pub fn write(&self, comparison: &Comparison) -> anyhow::Result<()> {
        let mut json = serde_json::to_string(comparison).context("results as JSON")?;
        json.push('\n');
        self.write_text(Self::JSON, &json)
    }

    /// Writes a file whole or not at all: whoever reads meanwhile sees the old
    /// one.
    ///
    /// # Errors
    ///
    /// When the disk is full, or the directory has gone.
    pub fn write_text(&self, name: &str, text: &str) -> anyhow::Result<()> {
        write_whole(&self.path.join(name), text)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Removes it only if nothing was ever written: then it says nothing.
        let _ = fs::remove_dir(&self.path);
    }
}

/// Writes a file whole or not at all.
///
/// # Errors
///
/// When the disk is full, or the directory cannot be written.
pub fn write_whole(path: &Path, text: &str) -> anyhow::Result<()> {
    let write = || -> std::io::Result<()> {
        let directory = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(directory)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_directory() {
        for good in ["reference", "2026-11-22T16-40-00", "a.b_c"] {
            assert!(safe_name(good).is_ok(), "{good}");
        }
        let long = "x".repeat(101);
        for bad in ["", ".", "..", "a/b", "-x", ".hidden", "a b", "ä", &long] {
            assert!(safe_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_named() {
        let error = Directory::prepare("/proc/results".into()).expect_err("it is /proc");
        let error = format!("{error:#}");
        assert!(error.contains("/proc/results"), "{error}");
    }

    #[test]
    fn another_schema_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let results = Directory::prepare(directory.path().join("x")).expect("it is writable");
        for (text, says) in [
            ("{", "not JSON"),
            (r#"{"schema":99}"#, "schema 99"),
            (r#"{"schema":1}"#, "malformed"),
        ] {
            results.write_text(Directory::JSON, text).expect("a file");
            let error = format!("{:#}", results.read().expect_err(text));
            assert!(error.contains(says), "{error}");
        }
    }
}
