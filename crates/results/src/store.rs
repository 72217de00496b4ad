//! `results/NAME/` on disk.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::{Comparison, SCHEMA};

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

/// How a comparison tells when it [started](crate::RunInfo::started).
pub const STARTED: &str = "%Y-%m-%d %H:%M:%S %:z";

/// What of a comparison says when it started.
#[derive(Deserialize)]
struct Head {
    run: HeadOfRun,
}

#[derive(Deserialize)]
struct HeadOfRun {
    started: String,
}

/// `results/NAME/` on disk.
#[derive(Debug)]
pub struct ResultsDir {
    path: PathBuf,
}

impl ResultsDir {
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
        let cannot = || format!("cannot write results into {}", path.display());
        fs::create_dir_all(&path).with_context(cannot)?;
        check_writable(&path)?;
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

    /// The directory under `results` of the run that started last, by what it says itself:
    /// a checkout makes every file new.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn latest(results: &Path) -> anyhow::Result<Self> {
        let entries = fs::read_dir(results).into_iter().flatten().flatten();
        let started = |entry: fs::DirEntry| {
            let text = fs::read(entry.path().join(Self::JSON)).ok()?;
            let head: Head = serde_json::from_slice(&text).ok()?;
            let started = Timestamp::strptime(STARTED, head.run.started).ok()?;
            Some((started, entry.path()))
        };
        match entries.filter_map(started).max() {
            Some((_, path)) => Ok(Self { path }),
            None => bail!(
                "there are no results in {} yet: `cargo xtask compare --quick` makes some",
                results.display()
            ),
        }
    }

    /// The directory of that name under `results`; that of the run that started last, if
    /// none is named.
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
        read_comparison(&self.path.join(Self::JSON))
    }

    /// Writes the data.
    ///
    /// # Errors
    ///
    /// As [`ResultsDir::write_text`].
    pub fn write(&self, comparison: &Comparison) -> anyhow::Result<()> {
        let mut json = serde_json::to_string(comparison).context("results as JSON")?;
        json.push('\n');
        self.write_text(Self::JSON, &json)
    }

    /// Writes a file whole or not at all: a program that reads meanwhile sees
    /// the old one.
    ///
    /// # Errors
    ///
    /// When the disk is full, or the directory has gone.
    pub fn write_text(&self, name: &str, text: &str) -> anyhow::Result<()> {
        write_whole(&self.path.join(name), text)
    }
}

impl Drop for ResultsDir {
    fn drop(&mut self) {
        // Removes it only if nothing was ever written: then it says nothing.
        let _ = fs::remove_dir(&self.path);
    }
}

/// Makes sure that results fit into a directory.
///
/// # Errors
///
/// When it cannot be written, or the disk is full.
pub fn check_writable(directory: &Path) -> anyhow::Result<()> {
    const ROOM: usize = 8 << 20;
    let probe = || -> std::io::Result<()> {
        let mut probe = tempfile::NamedTempFile::new_in(directory)?;
        probe.write_all(&vec![0x5a; ROOM])?;
        probe.as_file().sync_all()
    };
    probe().with_context(|| format!("cannot write results into {}", directory.display()))
}

/// Reads a comparison from its file, whatever that is called.
///
/// # Errors
///
/// When it is not there, or not of this schema.
pub fn read_comparison(path: &Path) -> anyhow::Result<Comparison> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let data: Value =
        serde_json::from_slice(&text).with_context(|| format!("{} is not JSON", path.display()))?;
    let schema = data.get("schema").and_then(Value::as_u64);
    ensure!(
        schema.is_some_and(|schema| (1..=u64::from(SCHEMA)).contains(&schema)),
        "{} has schema {}, and this reads 1 to {SCHEMA}",
        path.display(),
        schema.map_or("none".to_owned(), |schema| schema.to_string())
    );
    let malformed = || format!("{} is malformed", path.display());
    let mut comparison: Comparison = serde_json::from_value(data).with_context(malformed)?;
    ensure!(
        comparison.models().baseline().is_some(),
        "{}: none of its models is the baseline",
        malformed()
    );
    if comparison.schema < 3 {
        comparison.judge_again();
    }
    Ok(comparison)
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
        let error = ResultsDir::prepare("/proc/results".into()).expect_err("it is /proc");
        let error = format!("{error:#}");
        assert!(error.contains("/proc/results"), "{error}");
    }

    #[test]
    fn the_latest_is_the_run_that_started_last() {
        let directory = tempfile::tempdir().expect("a directory");
        // The file that is written last is of an older run.
        for (name, started) in [
            ("of-summer", "2026-07-01 12:00:00 +02:00"),
            ("latest", "2026-07-01 10:30:00 +00:00"),
            ("older", "2026-06-30 23:59:59 +00:00"),
        ] {
            let results = ResultsDir::prepare(directory.path().join(name)).expect("it is writable");
            let text = format!(r#"{{"schema":3,"run":{{"started":"{started}"}}}}"#);
            results.write_text(ResultsDir::JSON, &text).expect("a file");
        }
        let latest = ResultsDir::latest(directory.path()).expect("there are some");
        assert!(latest.path().ends_with("latest"), "{latest:?}");
    }

    #[test]
    fn another_schema_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let results = ResultsDir::prepare(directory.path().join("x")).expect("it is writable");
        for (text, says) in [
            ("{", "not JSON"),
            (r#"{"schema":99}"#, "schema 99"),
            (r#"{"schema":1}"#, "malformed"),
            (r#"{"schema":2}"#, "malformed"),
        ] {
            results.write_text(ResultsDir::JSON, text).expect("a file");
            let error = format!("{:#}", results.read().expect_err(text));
            assert!(error.contains(says), "{error}");
        }
    }
}
