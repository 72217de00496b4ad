//! `download`: files from an HTTP server into a directory, a limited number at
//! once.
//!
//! The article's headline program: network, disk and a limit on both.

use std::collections::HashSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::fetch::check_url;
use crate::{Invalid, Preset, WrongAnswer};

/// What is downloaded, from where, to where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// How many of the origin's images.
    pub images: u64,
    /// The most requests in flight at once.
    pub limit: usize,
    /// How long the origin waits before each answer, in milliseconds.
    pub delay_ms: u64,
    /// The rate of the origin's link, shared by all connections, in Mbit/s; 0
    /// for as fast as it goes.
    pub mbit_per_s: u64,
    /// The size of each image, in bytes; 0 for the mixed set of 20 to 300 KiB.
    pub image_bytes: u64,
    /// A file with one URL a line, to download from any other server.
    pub urls: Option<PathBuf>,
    /// The directory to download into; a temporary one if there is none.
    pub into: Option<PathBuf>,
    /// What to download: the origin's images, or the lines of `urls`. Filled in
    /// by whoever runs the job.
    #[serde(skip)]
    pub sources: Vec<Source>,
}

/// One file to download.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Where it is.
    pub url: String,
    /// What it will be called in the directory.
    pub name: String,
}

/// What was downloaded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Files that are complete under their names.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// The most requests that the origin ever had in flight, by its own count.
    /// The models leave it to whoever ran them: no other server tells.
    pub peak_in_flight: Option<u64>,
}

impl Outcome {
    /// One more file is complete.
    pub fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }

    /// What another worker has completed.
    pub fn merge(&mut self, other: Outcome) {
        self.files += other.files;
        self.bytes += other.bytes;
    }
}

impl Job {
    pub(crate) fn preset(preset: Preset) -> Self {
        let common = Self {
            images: 100,
            limit: 20,
            delay_ms: 20,
            mbit_per_s: 100,
            image_bytes: 0,
            urls: None,
            into: None,
            sources: Vec::new(),
        };
        match preset {
            Preset::Article => common,
            // What a file costs, with neither the link nor a delay in the way.
            Preset::Heavy => Self {
                images: 1_000,
                delay_ms: 0,
                mbit_per_s: 0,
                image_bytes: 16 * 1024,
                ..common
            },
        }
    }

    /// Where a file is written.
    ///
    /// # Panics
    ///
    /// If nobody has filled in the directory, which whoever runs a job does.
    pub fn directory(&self) -> &std::path::Path {
        self.into
            .as_deref()
            .expect("whoever runs a download gives it a directory")
    }

    /// The path of a complete file, and that of the same file until then.
    pub fn paths(&self, source: &Source) -> (PathBuf, PathBuf) {
        let directory = self.directory();
        (
            directory.join(&source.name),
            directory.join(format!(".{}.part", source.name)),
        )
    }

    pub(crate) fn units(&self) -> usize {
        // More workers than files would only stand about.
        let files = match self.sources.len() {
            0 => usize::try_from(self.images).unwrap_or(usize::MAX),
            listed => listed,
        };
        self.limit.min(files.max(1))
    }

    pub(crate) fn validate(&self) -> Result<(), Invalid> {
        Invalid::unless_within("images", self.images, 1, 1_000_000)?;
        Invalid::unless_within("limit", self.limit as u64, 1, 10_000)?;
        Invalid::unless_within("delay_ms", self.delay_ms, 0, 3_600_000)?;
        Invalid::unless_within("mbit_per_s", self.mbit_per_s, 0, 100_000)?;
        if self.image_bytes > 0 {
            Invalid::unless_within("image_bytes", self.image_bytes, 2_048, 64 * 1024 * 1024)?;
        }
        for source in &self.sources {
            check_url("urls", &source.url)?;
        }
        Ok(())
    }

    pub(crate) fn scaled(&self, divisor: u64) -> Self {
        Self {
            images: (self.images / divisor).max(1),
            ..self.clone()
        }
    }

    /// All files, and never more requests in flight than the limit. That each
    /// file has the right bytes is for whoever can read them to check first.
    pub fn check(&self, outcome: &Outcome) -> Result<(), WrongAnswer> {
        let files = match self.sources.len() {
            0 => self.images,
            listed => listed as u64,
        };
        WrongAnswer::unless(outcome.files == files, "files", outcome.files, files)?;
        let Some(peak) = outcome.peak_in_flight else {
            return Ok(());
        };
        WrongAnswer::unless(
            peak <= self.limit as u64,
            "peak_in_flight",
            peak,
            format!("at most {}", self.limit),
        )
    }
}

/// A list of URLs, one a line; blank lines and `#` comments are passed over.
///
/// Each file is named after the last segment of its URL's path, reduced to
/// characters that are safe in a file name everywhere; the second file of a
/// name gets a number, so the same list always gives the same names.
pub fn sources(list: &str) -> Result<Vec<Source>, Invalid> {
    let mut taken = HashSet::new();
    let mut sources = Vec::new();
    for (number, line) in list.lines().enumerate() {
        let url = line.trim();
        if url.is_empty() || url.starts_with('#') {
            continue;
        }
        check_url(&format!("urls (line {})", number + 1), url)?;
        let name = safe_name(url);
        let unique = (1u32..)
            .map(|copy| match copy {
                1 => name.clone(),
                _ => format!("{copy}-{name}"),
            })
            // Some disks fold case: there, B.JPG would overwrite b.jpg.
            .find(|name| taken.insert(name.to_lowercase()))
            .expect("there are more numbers than lines");
        sources.push(Source {
            url: url.to_owned(),
            name: unique,
        });
    }
    Ok(sources)
}

fn safe_name(url: &str) -> String {
    const LONGEST: usize = 200;
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let path = path.strip_prefix("http://").unwrap_or(path);
    let segment = match path.rsplit_once('/') {
        Some((_, segment)) => segment,
        None => "", // a host alone
    };
    let name: String = segment
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') {
                c
            } else {
                '_'
            }
        })
        .take(LONGEST)
        .collect();
    // A leading dot would hide the file, and `..` would leave the directory.
    match name.trim_start_matches('.') {
        "" => "index".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Vec<String> {
        let sources = sources(list).expect("a good list");
        sources.into_iter().map(|source| source.name).collect()
    }

    #[test]
    fn names_stay_in_the_directory_and_apart() {
        let list = "# images\n\nhttp://h/a/b.jpg\r\nhttp://h/c/b.jpg?x=/../y\nhttp://h/B.JPG\n\
                    http://h/..\nhttp://h\nhttp://h/%2e%2e%2fetc\n";
        assert_eq!(
            names(list),
            [
                "b.jpg",
                "2-b.jpg",
                "3-B.JPG",
                "index",
                "2-index",
                "_2e_2e_2fetc"
            ]
        );
    }

    #[test]
    fn a_bad_line_is_named() {
        for bad in ["ftp://h/x", "http://", "no url", "http://h/a b"] {
            let refused = sources(&format!("http://h/a\n{bad}\n")).expect_err(bad);
            assert!(refused.to_string().contains("line 2"), "{refused}");
        }
    }
}
