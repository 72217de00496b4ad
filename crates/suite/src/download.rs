//! `download`: files from an HTTP server into a directory, a limited number at
//! once.
//!
//! The article's headline program: network, disk and a limit on both. What it
//! decides is decided in the crate `transfer`, the same for every model, and it
//! is the same code that `model-X download` runs.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::bail;
use serde::{Deserialize, Serialize};
use transfer::{Failure, List, Observer, Options, Session};

use crate::{Invalid, Preset, Result, WrongAnswer};

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
    /// The list of URLs: the origin's images, unless it is the file `urls`.
    /// Filled in by whoever runs the job.
    #[serde(skip)]
    pub list: Option<Arc<str>>,
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
            list: None,
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

    /// Opens the directory and the list, as every model downloads them.
    ///
    /// A failure is not tried again: a comparison that hid one would measure
    /// something else.
    fn open(&self, failures: Arc<FirstFailure>) -> Result<Arc<Session>> {
        let options = Options {
            limit: self.limit,
            retries: 0,
            idle_timeout: Duration::from_millis(self.delay_ms) + Duration::from_secs(30),
            // Many requests at once on a slow link are slow, and no fault.
            min_rate: 0,
            ..Options::default()
        };
        let list = match (&self.urls, &self.list) {
            (Some(urls), _) => List::File(urls.clone()),
            (None, list) => List::Text(list.clone().unwrap_or_default()),
        };
        Ok(Session::open(self.directory(), list, options, failures)?)
    }

    /// Has `run` download everything.
    pub(crate) fn run(&self, run: impl FnOnce(&Arc<Session>) -> Result<()>) -> Result<Outcome> {
        let failures = Arc::new(FirstFailure::default());
        let session = self.open(failures.clone())?;
        run(&session)?;
        let tally = session.close()?;
        if let Some(first) = failures.take() {
            bail!("{} of {} files: {first}", tally.failed, tally.listed);
        }
        Ok(Outcome {
            files: tally.complete,
            bytes: tally.bytes,
            peak_in_flight: None,
        })
    }

    pub(crate) fn units(&self) -> usize {
        // More workers than files would only stand about.
        let files = match self.urls {
            None => usize::try_from(self.images).unwrap_or(usize::MAX),
            Some(_) => usize::MAX,
        };
        self.limit.min(files.max(1))
    }

    pub(crate) fn validate(&self) -> std::result::Result<(), Invalid> {
        Invalid::unless_within("images", self.images, 1, 1_000_000)?;
        Invalid::unless_within("limit", self.limit as u64, 1, 10_000)?;
        Invalid::unless_within("delay_ms", self.delay_ms, 0, 3_600_000)?;
        Invalid::unless_within("mbit_per_s", self.mbit_per_s, 0, 100_000)?;
        if self.image_bytes > 0 {
            Invalid::unless_within("image_bytes", self.image_bytes, 2_048, 64 * 1024 * 1024)?;
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
    pub fn check(&self, outcome: &Outcome) -> std::result::Result<(), WrongAnswer> {
        if self.urls.is_none() {
            let files = self.images;
            WrongAnswer::unless(outcome.files == files, "files", outcome.files, files)?;
        }
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

/// Keeps what went wrong first.
#[derive(Debug, Default)]
struct FirstFailure(Mutex<Option<String>>);

impl FirstFailure {
    fn keep(&self, text: impl FnOnce() -> String) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(text);
    }

    fn take(&self) -> Option<String> {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.take()
    }
}

impl Observer for FirstFailure {
    fn bad_line(&self, bad: &transfer::list::BadLine) {
        self.keep(|| bad.to_string());
    }

    fn failed(&self, failure: &Failure) {
        self.keep(|| format!("{} ({}): {}", failure.name, failure.url, failure.reason));
    }
}
