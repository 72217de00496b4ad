//! Criterion's files, read. Their format may change with its version, so they
//! are read here alone.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Deserialize)]
struct Sample {
    iters: Vec<f64>,
    times: Vec<f64>,
}

#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
}

/// Where the data of a benchmark lie under Criterion's home.
pub fn directory(home: &Path, group: &str, function: &str, parameter: &str) -> PathBuf {
    let parameter = file_name(parameter);
    home.join(group).join(function).join(parameter).join("new")
}

/// What Criterion calls the directory of an id: a point of a sweep may have a
/// path in it, or be long.
fn file_name(id: &str) -> String {
    const LONGEST: usize = 64;
    let kept = |c: char| if "?\"/\\*<>:|^".contains(c) { '_' } else { c };
    let mut name: String = id.chars().map(kept).collect();
    name.truncate(name.floor_char_boundary(LONGEST));
    name
}

/// Nanoseconds an iteration, a value for each sample.
///
/// # Errors
///
/// When the file is not there, or not as this version of Criterion writes it.
pub fn read(directory: &Path) -> anyhow::Result<Vec<f64>> {
    let path = directory.join("sample.json");
    let sample: Sample = parse(&path)?;
    let paired = sample.iters.len() == sample.times.len() && !sample.iters.is_empty();
    ensure!(paired, "{}: times do not match iterations", path.display());
    let sane = |(time, iters): (&f64, &f64)| *iters >= 1.0 && *time > 0.0;
    let mut pairs = sample.times.iter().zip(&sample.iters);
    ensure!(pairs.all(sane), "{}: a time of zero", path.display());
    let each = sample.times.iter().zip(&sample.iters);
    Ok(each
        .map(|(time, iters)| picoseconds(time / iters))
        .collect())
}

/// Criterion's own median, in nanoseconds.
///
/// # Errors
///
/// As [`read`].
pub fn median(directory: &Path) -> anyhow::Result<f64> {
    let estimates: Estimates = parse(&directory.join("estimates.json"))?;
    Ok(estimates.median.point_estimate)
}

/// More digits are noise, and would fill the results.
fn picoseconds(ns: f64) -> f64 {
    (ns * 1e3).round() / 1e3
}

fn parse<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text)
        .with_context(|| format!("{} is not as Criterion 0.8 writes it", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by Criterion 0.8.2.
    const SAMPLE: &str = r#"{"sampling_mode":"Flat","iters":[3.0,3.0,3.0,3.0],
        "times":[3000.0,3300.0,2999.9,3001.0]}"#;
    const ESTIMATES: &str = r#"{"mean":{"confidence_interval":{"confidence_level":0.95,
        "lower_bound":1.0,"upper_bound":2.0},"point_estimate":1025.0,"standard_error":0.1},
        "median":{"confidence_interval":{"confidence_level":0.95,"lower_bound":1000.0,
        "upper_bound":1100.0},"point_estimate":1000.167,"standard_error":0.1},
        "median_abs_dev":{"confidence_interval":{"confidence_level":0.95,"lower_bound":0.0,
        "upper_bound":0.1},"point_estimate":0.1,"standard_error":0.1},"slope":null,
        "std_dev":{"confidence_interval":{"confidence_level":0.95,"lower_bound":0.0,
        "upper_bound":0.1},"point_estimate":0.1,"standard_error":0.1}}"#;

    #[test]
    fn its_files_are_read() {
        let home = tempfile::tempdir().expect("a directory");
        let new = directory(home.path(), "counter", "tokio", "heavy-racy");
        assert!(new.ends_with("counter/tokio/heavy-racy/new"));
        fs::create_dir_all(&new).expect("a directory");
        fs::write(new.join("sample.json"), SAMPLE).expect("a file");
        fs::write(new.join("estimates.json"), ESTIMATES).expect("a file");
        let samples = read(&new).expect("it is one of Criterion's");
        assert_eq!(samples, [1000.0, 1100.0, 999.967, 1000.333]);
        assert_eq!(median(&new).expect("it has one"), 1000.167);
    }

    #[test]
    fn other_files_are_named() {
        let home = tempfile::tempdir().expect("a directory");
        for bad in [
            "",
            "{}",
            r#"{"iters":[1.0],"times":[]}"#,
            r#"{"iters":[],"times":[]}"#,
            r#"{"iters":[1.0],"times":[0.0]}"#,
        ] {
            fs::write(home.path().join("sample.json"), bad).expect("a file");
            let error = format!("{:#}", read(home.path()).expect_err(bad));
            assert!(error.contains("sample.json"), "{error}");
        }
    }
}
