//! `download`: files from an HTTP server into a directory, a limited number at
//! once.
//!
//! The article's headline program: network, disk and a limit on both. What it
//! decides is decided in the crate `transfer`, the same for every model, and it
//! is the same code that `model-X download` runs.
//!
//! **Completion time** of a file: from when the model takes it up, which is when
//! the queue gives it out, until its last byte is written and checked. That is a
//! closed loop: at most `limit` are taken up at once (by the process model one
//! more a child, of quick files), and a file's wait in the list is no part of its
//! time. Nor is its wait for a name: names are given to some hundred files at a
//! time, so that would tell of the group, and not of the file.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::bail;
use serde::{Deserialize, Serialize};
use transfer::{Failure, FileProgress, Finished, Key, List, Observer, Options, Session};

use crate::{Invalid, Preset, Result, WrongAnswer, completion};

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
    /// Filled in when the job is prepared.
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
    /// Those of the files that were there before, and were not downloaded.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub before: u64,
    /// The most requests that the origin ever had in flight, by its own count.
    /// Filled in after the run: no other server tells.
    pub peak_in_flight: Option<u64>,
    /// The completion time of each file that was downloaded, in nanoseconds, in
    /// any order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub completion_ns: Vec<u64>,
}

fn is_zero(files: &u64) -> bool {
    *files == 0
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
    /// If the directory is not filled in: preparing a job does that.
    pub fn directory(&self) -> &std::path::Path {
        self.into
            .as_deref()
            .expect("a prepared download has a directory")
    }

    /// Opens the directory and the list, as every model downloads them.
    ///
    /// A failure is not tried again: a comparison that hid one would measure
    /// something else.
    fn open(&self, log: Arc<Log>) -> Result<Arc<Session>> {
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
        Ok(Session::open(self.directory(), list, options, log)?)
    }

    /// Has `run` download everything.
    pub(crate) fn run(&self, run: impl FnOnce(&Arc<Session>) -> Result<()>) -> Result<Outcome> {
        let log = Arc::new(Log::default());
        let session = self.open(log.clone())?;
        run(&session)?;
        let tally = session.close()?;
        let log = std::mem::take(&mut *log.entries());
        if let Some(first) = log.first_failure {
            bail!("{} of {} files: {first}", tally.failed, tally.listed);
        }
        Ok(Outcome {
            files: tally.complete,
            bytes: tally.bytes,
            before: log.before,
            peak_in_flight: None,
            completion_ns: log.completion_ns,
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

    /// All files, none before it can have been, and never more requests in flight
    /// than the limit. That each file has the right bytes has to be checked
    /// before, on the disk.
    pub fn check(&self, outcome: &Outcome) -> std::result::Result<(), WrongAnswer> {
        self.check_files(outcome)?;
        let downloaded = outcome.files.saturating_sub(outcome.before);
        // How long other servers take is not known.
        let delay = self.delay_ms * u64::from(self.urls.is_none());
        let least = std::iter::repeat_n(delay, outcome.completion_ns.len());
        completion::check(&outcome.completion_ns, downloaded as usize, least)
    }

    /// The part of [`Job::check`] that can be seen from outside: all files, and
    /// never more requests in flight than the limit.
    pub fn check_files(&self, outcome: &Outcome) -> std::result::Result<(), WrongAnswer> {
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

    pub(crate) fn summary(&self, outcome: &Outcome, elapsed: Duration) -> String {
        let rate = outcome.bytes as f64 * 8e-6 / elapsed.as_secs_f64();
        let peak = match outcome.peak_in_flight {
            Some(peak) => format!("{peak} in flight at most, of {} allowed", self.limit),
            None => format!("{} in flight allowed", self.limit),
        };
        format!(
            "{} files, {} bytes, {rate:.1} Mbit/s; {peak}",
            outcome.files, outcome.bytes
        )
    }
}

/// What happens to the files of one job.
#[derive(Debug, Default)]
struct Log(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    /// What went wrong first.
    first_failure: Option<String>,
    /// The files that have no name yet, and when those were taken up that are not
    /// whole.
    unnamed: HashMap<Key, Option<Instant>>,
    /// How long those took that are.
    completion_ns: Vec<u64>,
    /// Files that no unit has taken up, as they were there.
    before: u64,
}

impl Log {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failure(&self, text: impl FnOnce() -> String) {
        self.entries().first_failure.get_or_insert_with(text);
    }
}

impl Observer for Log {
    fn bad_line(&self, bad: &transfer::list::BadLine) {
        self.failure(|| bad.to_string());
    }

    fn begun(&self, progress: &Arc<FileProgress>) {
        // The first time counts, also if a child has died of it since.
        let taken_up = Some(progress.taken_up);
        self.entries()
            .unnamed
            .entry(progress.key)
            .or_insert(taken_up);
    }

    fn whole(&self, file: &Finished) {
        let mut entries = self.entries();
        let unnamed = entries.unnamed.get_mut(&file.key);
        if let Some(taken_up) = unnamed.and_then(Option::take) {
            let time = completion::nanoseconds(taken_up.elapsed());
            entries.completion_ns.push(time);
        }
    }

    fn complete(&self, file: &Finished, _before: bool) {
        let mut entries = self.entries();
        let taken_up = entries.unnamed.remove(&file.key).is_some();
        entries.before += u64::from(!taken_up);
    }

    fn failed(&self, failure: &Failure) {
        self.failure(|| format!("{} ({}): {}", failure.name, failure.url, failure.reason));
    }
}
