//! `files`: local files are read, hashed, and their lines and bytes counted.
//!
//! Shows what a model makes of a batch of files: whether they are read by a pool
//! of threads, or through a runtime's own files.
//!
//! Which files there are is known before the job begins, so that every model has
//! the same list: the biggest first, or the unit that got it last would keep all
//! others waiting.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::batch::{self, Spoiled};
use crate::{Invalid, Preset, Unsupported, WrongAnswer};

/// Files are read in pieces of this size.
pub const PIECE_BYTES: usize = 64 * 1024;

/// Who reads the files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// Units that may block, with std's files: the same code in every model, so the job is a
    /// control.
    #[default]
    Pool,
    /// Tasks, through the runtime's own files, which hand every read over to the
    /// runtime's pool. Only models of tasks have such files.
    Runtime,
}

/// Which files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The directory whose files are read; one that is made for it if there is
    /// none.
    pub dir: Option<PathBuf>,
    /// How many files are made for it.
    pub count: u64,
    /// Who reads them.
    #[serde(default)]
    pub place: Place,
    /// The files, the biggest first. Filled in when the job is prepared.
    #[serde(skip)]
    pub paths: Arc<[PathBuf]>,
    /// The right answer. Filled in before an answer is checked.
    #[serde(skip)]
    pub expected: Option<Arc<Outcome>>,
}

/// What is in the files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Files that were read to their end.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Line ends in them.
    pub lines: u64,
    /// BLAKE3, in hexadecimal, over the name and the summary of each, in the
    /// order of the list.
    pub digest: String,
    /// Files that could not be read.
    pub unreadable: Vec<Spoiled>,
}

/// What is in one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Its size.
    pub bytes: u64,
    /// Its line ends.
    pub lines: u64,
    /// Its BLAKE3.
    pub blake3: [u8; 32],
}

/// What came of each file: see [`batch::Tally`].
pub type Tally = batch::Tally<Summary>;

/// A file under examination, a piece at a time: the work that there is for it.
#[derive(Debug, Default)]
pub struct Examination {
    hasher: blake3::Hasher,
    bytes: u64,
    lines: u64,
}

impl Examination {
    /// The next piece of the file.
    pub fn add(&mut self, piece: &[u8]) {
        self.hasher.update(piece);
        self.bytes += piece.len() as u64;
        let ends = piece.iter().filter(|byte| **byte == b'\n');
        self.lines += ends.count() as u64;
    }

    /// The file has come to its end.
    pub fn finish(self) -> Summary {
        Summary {
            bytes: self.bytes,
            lines: self.lines,
            blake3: self.hasher.finalize().into(),
        }
    }
}

/// Examines all that a reader gives, in pieces of [`PIECE_BYTES`].
pub fn examine(mut reader: impl Read) -> io::Result<Summary> {
    let mut examination = Examination::default();
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(examination.finish()),
            Ok(read) => examination.add(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl Job {
    pub(crate) fn preset(preset: Preset) -> Self {
        let count = match preset {
            Preset::Article => 200,
            Preset::Heavy => 2_000,
        };
        Self {
            dir: None,
            count,
            place: Place::Pool,
            paths: Arc::default(),
            expected: None,
        }
    }

    /// Refuses files that only a runtime has.
    pub fn needs_no_runtime(&self) -> Result<(), Unsupported> {
        match self.place {
            Place::Pool => Ok(()),
            Place::Runtime => Err(Unsupported(
                "only models of tasks have a runtime's own files".to_owned(),
            )),
        }
    }

    /// Nothing is known yet of any of the job's files.
    pub fn tally(&self) -> Tally {
        Tally::new(&self.paths)
    }

    /// The outcome, when something is known of each.
    pub fn outcome(&self, tally: Tally) -> Outcome {
        let (mut bytes, mut lines) = (0, 0);
        let (files, digest, unreadable) = tally.close(&self.paths, |hasher, summary| {
            hasher.update(&summary.bytes.to_le_bytes());
            hasher.update(&summary.lines.to_le_bytes());
            hasher.update(&summary.blake3);
            bytes += summary.bytes;
            lines += summary.lines;
        });
        Outcome {
            files,
            bytes,
            lines,
            digest,
            unreadable,
        }
    }

    pub(crate) fn units(&self) -> usize {
        match self.paths.len() {
            0 => usize::try_from(self.count).unwrap_or(usize::MAX),
            files => files,
        }
    }

    pub(crate) fn validate(&self) -> Result<(), Invalid> {
        Invalid::unless_within("count", self.count, 1, 100_000)
    }

    pub(crate) fn scaled(&self, divisor: u64) -> Self {
        Self {
            count: (self.count / divisor).max(1),
            ..self.clone()
        }
    }

    /// Something is known of each file; and if a right answer is there, it is
    /// that.
    pub fn check(&self, outcome: &Outcome) -> Result<(), WrongAnswer> {
        let all = self.paths.len() as u64;
        let known = outcome.files + outcome.unreadable.len() as u64;
        WrongAnswer::unless(known == all, "files and unreadable", known, all)?;
        let Some(right) = &self.expected else {
            return Ok(());
        };
        batch::check_spoiled("unreadable", &outcome.unreadable, &right.unreadable)?;
        for (what, got, right) in [
            ("files", outcome.files, right.files),
            ("bytes", outcome.bytes, right.bytes),
            ("lines", outcome.lines, right.lines),
        ] {
            WrongAnswer::unless(got == right, what, got, right)?;
        }
        WrongAnswer::unless(
            outcome.digest == right.digest,
            "digest",
            &outcome.digest,
            &right.digest,
        )
    }

    pub(crate) fn summary(&self, outcome: &Outcome, elapsed: Duration) -> String {
        let read = format!(
            "{} files, {} bytes, {} lines, {:.1} MB/s",
            outcome.files,
            outcome.bytes,
            outcome.lines,
            outcome.bytes as f64 * 1e-6 / elapsed.as_secs_f64()
        );
        read + &batch::spoiled_lines("unreadable", &outcome.unreadable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_examined_whatever_its_pieces() {
        let empty = examine(io::empty()).expect("nothing");
        assert_eq!((empty.bytes, empty.lines), (0, 0));
        assert_eq!(
            blake3::Hash::from(empty.blake3).to_hex().as_str(),
            // The first of the published test vectors.
            "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
        );
        let text = "one\ntwo\n\nno end".repeat(20_000);
        let whole = examine(text.as_bytes()).expect("a text");
        assert_eq!((whole.bytes, whole.lines), (300_000, 60_000));
        let mut examination = Examination::default();
        for piece in text.as_bytes().chunks(999) {
            examination.add(piece);
        }
        assert_eq!(examination.finish(), whole);
    }

    fn job(names: &[&str]) -> Job {
        Job {
            paths: names.iter().map(PathBuf::from).collect(),
            ..Job::preset(Preset::Article)
        }
    }

    fn summary(text: &str) -> Result<Summary, String> {
        examine(text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn only_the_right_answer_passes() {
        let mut job = job(&["d/a", "d/b", "d/gone"]);
        let outcome = |results: &[(usize, Result<Summary, String>)]| {
            let mut tally = job.tally();
            for (file, result) in results {
                tally.add(*file, result.clone());
            }
            job.outcome(tally)
        };
        let (a, b) = ((0, summary("a\n")), (1, summary("bb\n")));
        let gone = (2, Err("it is gone".to_owned()));
        let right = outcome(&[a.clone(), b.clone(), gone.clone()]);
        assert_eq!((right.files, right.bytes, right.lines), (2, 5, 2));
        let wrong = [
            ("files and unreadable", vec![a.clone(), gone.clone()]),
            ("bytes", vec![a.clone(), a.clone(), gone.clone()]),
            (
                "digest",
                vec![(0, b.1.clone()), (1, a.1.clone()), gone.clone()],
            ),
            ("files", vec![a.clone(), b.clone(), b.clone(), gone.clone()]),
            ("unreadable", vec![a.clone(), b.clone(), (2, summary(""))]),
            (
                "unreadable",
                vec![a.clone(), b.clone(), (2, Err(String::new()))],
            ),
        ]
        .map(|(what, results)| (what, outcome(&results)));
        let any_order = outcome(&[gone, b, a]);

        job.expected = Some(Arc::new(right));
        job.check(&any_order).expect("it is right");
        for (what, outcome) in wrong {
            let error = job.check(&outcome).expect_err(what);
            assert!(
                what.starts_with(error.what) || error.what.starts_with(what),
                "{error}"
            );
        }
    }
}
