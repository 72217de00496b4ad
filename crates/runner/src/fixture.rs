//! Everything around a job that is not the model's: the origin it asks, the
//! directory it writes to, the clock, and the look at what it left behind.
//!
//! ```no_run
//! # fn example(model: &dyn suite::Model) -> anyhow::Result<()> {
//! # use runner::stage::Stage;
//! # use suite::{Preset, Workload};
//! let mut stage = Stage::new(std::env::current_exe()?, None);
//! let mut prepared = stage.prepare(&Workload::Download.job(Preset::Article))?;
//! // The model is started here: `Setup::sized(prepared.job(), ..)`.
//! let (elapsed, mut outcome) = prepared.run(model)?;
//! prepared.verify(&mut outcome)?;
//! # Ok(())
//! # }
//! ```

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Context;
use origin::{Origin, Shape};
use sha2::{Digest, Sha256};
use suite::{Invalid, Job, Model, Outcome, Result, Setup, WrongAnswer};
use suite::{completion, download, files, thumbnails};
use transfer::list::Lines;

use crate::echo::{self, Server};
use crate::scratch::{self, Scratch};
use crate::{inputs, tree};

/// Where jobs are prepared. Its origin, if one of them needs one, is started
/// then and serves all of them.
#[derive(Debug)]
pub struct Stage {
    program: PathBuf,
    given_url: Option<String>,
    given_inputs: Option<PathBuf>,
    threads: usize,
    blocking_threads: usize,
    own: Option<Arc<Origin>>,
}

impl Stage {
    /// A stage with the origin at `origin_url`, or else one of its own, which
    /// it starts as `program origin`.
    pub fn new(program: impl Into<PathBuf>, origin_url: Option<String>) -> Self {
        Self {
            program: program.into(),
            given_url: origin_url,
            given_inputs: None,
            threads: crate::cores(),
            blocking_threads: Setup::BLOCKING_THREADS,
            own: None,
        }
    }

    /// The same, with files that [`inputs::make`] has made there, or else files
    /// that are made for each job.
    pub fn with_inputs(self, inputs: Option<PathBuf>) -> Self {
        Self {
            given_inputs: inputs,
            ..self
        }
    }

    /// The same, with pools of these sizes in a server that is started for a job.
    pub fn with_threads(self, threads: usize, blocking_threads: usize) -> Self {
        Self {
            threads,
            blocking_threads,
            ..self
        }
    }

    /// The process of its own origin, if it had to start one.
    pub fn origin_pid(&self) -> Option<u32> {
        self.own.as_ref().map(|origin| origin.pid())
    }

    /// Makes a job as asked into one that can be run: addresses and lists are
    /// filled in, and the directory stands.
    pub fn prepare(&mut self, job: &Job) -> Result<Prepared> {
        let mut prepared = Prepared {
            job: job.clone(),
            run: None,
            files: Vec::new(),
            fresh: None,
            server: None,
            answered: OnceLock::new(),
            elapsed: None,
            origin: None,
        };
        match &mut prepared.job {
            Job::Fetch(job) if job.urls.is_empty() => {
                let run = self.open(&Shape::default())?;
                job.targets = job.delays_ms.iter().map(|&ms| run.delay_url(ms)).collect();
                job.body_bytes = Some(origin::DELAY_BODY_BYTES);
                prepared.run = Some(run);
            }
            Job::Fetch(job) => job.targets.clone_from(&job.urls),
            Job::Download(job) => {
                match &job.urls {
                    Some(list) => check_list(list)?,
                    None => {
                        let run = self.open(&Shape {
                            images: job.images,
                            image_bytes: job.image_bytes,
                            delay_ms: job.delay_ms,
                            mbit_per_s: job.mbit_per_s,
                        })?;
                        prepared.files = run.files()?;
                        job.list = Some(list_of(&prepared.files));
                        prepared.run = Some(run);
                    }
                }
                match &job.into {
                    Some(into) => make_writable(into)?,
                    None => {
                        let fresh = fresh_directory(&prepared.files)?;
                        job.into = Some(fresh.path().to_owned());
                        prepared.fresh = Some(fresh);
                    }
                }
            }
            Job::Echo(job) => {
                echo::allow(job.connections)?;
                let (threads, blocking_threads) = (self.threads, self.blocking_threads);
                let server = Server::spawn(&self.program, job, threads, blocking_threads)?;
                job.address = Some(server.address());
                prepared.server = Some(server);
            }
            Job::Files(files::Job { paths, .. })
            | Job::Thumbnails(thumbnails::Job { paths, .. }) => {
                (*paths, prepared.fresh) = self.inputs(job)?;
            }
            _ => {}
        }
        prepared.origin = self.own.clone();
        Ok(prepared)
    }

    /// The files of a job, and where they are if they were made for it alone.
    fn inputs(&self, job: &Job) -> Result<(Arc<[PathBuf]>, Option<Scratch>)> {
        if inputs::to_make(job) == 0 || self.given_inputs.is_some() {
            return Ok((inputs::list(self.given_inputs.as_deref(), job)?, None));
        }
        let (fresh, _) = scratch::directory(inputs::room(job))?;
        inputs::make(fresh.path(), job)?;
        // That took memory, and was not the model's.
        tree::forget_peak();
        Ok((inputs::list(Some(fresh.path()), job)?, Some(fresh)))
    }

    fn open(&mut self, shape: &Shape) -> Result<origin::Run> {
        match (&self.given_url, &self.own) {
            (Some(url), _) => origin::Run::open(url, shape),
            (None, Some(origin)) => origin::Run::open(origin.url(), shape),
            (None, None) => {
                let origin = Arc::new(Origin::spawn(&self.program, &["origin"])?);
                let run = origin::Run::open(origin.url(), shape);
                self.own = Some(origin);
                run
            }
        }
    }
}

/// A job that can be run, as often as one likes.
#[derive(Debug)]
pub struct Prepared {
    job: Job,
    /// The job's own counters at the origin. Dropped before the origin is.
    run: Option<origin::Run>,
    /// What the origin's images should be.
    files: Vec<origin::File>,
    /// The directory of a job that was given none.
    fresh: Option<Scratch>,
    /// Whom the clients of `echo` talk to.
    server: Option<Server>,
    /// The job with its right answer, from when it is first looked at: before,
    /// it would be work and memory that nobody may count as the model's.
    answered: OnceLock<Job>,
    /// What the last run took: no item of it can have taken longer.
    elapsed: Option<Duration>,
    /// Not read: the origin has to last as long as somebody may ask it.
    origin: Option<Arc<Origin>>,
}

impl Prepared {
    /// The job, complete: what to size a [`suite::Setup`] by.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// The job's own figures at the origin, if it has one.
    pub fn origin_stats(&self) -> Option<Result<origin::Stats>> {
        self.run.as_ref().map(origin::Run::stats)
    }

    /// Has `model` do the job, and times exactly that.
    ///
    /// Each run of a download that was given no directory gets an empty one;
    /// that of the run before is removed first.
    pub fn run(&mut self, model: &dyn Model) -> Result<(Duration, Outcome)> {
        if let (Some(fresh), Job::Download(job)) = (&mut self.fresh, &mut self.job) {
            *fresh = fresh_directory(&self.files)?;
            job.into = Some(fresh.path().to_owned());
        }
        if let Some(run) = &self.run {
            run.reset()?;
        }
        let started = Instant::now();
        let outcome = self.job.run(model);
        let elapsed = started.elapsed();
        self.elapsed = Some(elapsed);
        Ok((elapsed, outcome?))
    }

    /// Accepts only what is right: the answer, and for a download every file.
    ///
    /// Adds what only the origin knows to the outcome, and gives its figures, if
    /// the job has one.
    pub fn verify(&self, outcome: &mut Outcome) -> Result<Option<origin::Stats>> {
        let stats = self.look_at(outcome)?;
        let job = self.answered.get_or_init(|| inputs::answered(&self.job));
        job.check(outcome)?;
        if let Some(elapsed) = self.elapsed {
            completion::check_within(outcome.completion_ns(), elapsed)?;
        }
        Ok(stats)
    }

    /// The same, of a program that is none of the models: all of it that can be
    /// seen from outside. When each item was done cannot.
    pub fn verify_delivery(&self, outcome: &mut Outcome) -> Result<Option<origin::Stats>> {
        let stats = self.look_at(outcome)?;
        match (&self.job, &*outcome) {
            (Job::Download(job), Outcome::Download(outcome)) => job.check_files(outcome)?,
            (Job::Fetch(job), Outcome::Fetch(outcome)) => job.check_bodies(outcome)?,
            (job, outcome) => job.check(outcome)?,
        }
        Ok(stats)
    }

    /// Looks at what a download has left, and at what the origin has seen.
    fn look_at(&self, outcome: &mut Outcome) -> Result<Option<origin::Stats>> {
        if let (Job::Download(job), Outcome::Download(outcome)) = (&self.job, &mut *outcome) {
            self.verify_files(job, outcome)?;
        }
        self.account(outcome)
    }

    /// Ends what was started for the job.
    ///
    /// # Errors
    ///
    /// When that does not end as it should.
    pub fn close(self) -> Result<()> {
        self.server.map_or(Ok(()), Server::end)
    }

    /// Adds what only the origin knows to the outcome, and accepts no answer
    /// that it was not asked for. A part of [`Prepared::verify`].
    pub fn account(&self, outcome: &mut Outcome) -> Result<Option<origin::Stats>> {
        let stats = self.origin_stats().transpose()?;
        if let Some(stats) = &stats {
            // More would be retries; fewer, and some answer is made up.
            let least = match &self.job {
                Job::Download(job) => job.images,
                job => job.units() as u64,
            };
            if stats.requests < least {
                return Err(WrongAnswer {
                    what: "the origin's count of requests",
                    got: stats.requests.to_string(),
                    expected: format!("at least {least}"),
                }
                .into());
            }
            if let Outcome::Download(outcome) = outcome {
                outcome.peak_in_flight = Some(stats.peak_in_flight);
            }
        }
        Ok(stats)
    }

    /// Every file is there, whole, under its name, and nothing else is.
    fn verify_files(&self, job: &download::Job, outcome: &download::Outcome) -> Result<()> {
        let directory = job.directory();
        let mut sum = 0;
        // The manifest says what is right; of a list of URLs nobody knows it.
        for right in &self.files {
            sum += verify_file(&directory.join(&right.name), right)?;
        }
        if self.files.is_empty() {
            sum = outcome.bytes;
        }
        if self.fresh.is_some() {
            let (files, bytes) = holds(directory)?;
            if files != outcome.files {
                let (got, right) = (format!("with {files} files"), outcome.files.to_string());
                return Err(wrong_file(directory, &got, &right).into());
            }
            // Nothing was in it before.
            if outcome.before > 0 {
                return Err(WrongAnswer {
                    what: "before",
                    got: outcome.before.to_string(),
                    expected: "0".to_owned(),
                }
                .into());
            }
            sum = bytes;
        }
        if sum != outcome.bytes {
            return Err(WrongAnswer {
                what: "bytes",
                got: outcome.bytes.to_string(),
                expected: format!("{sum}, the size of all files,"),
            }
            .into());
        }
        Ok(())
    }
}

/// How many files there are in a directory, and their bytes. What a download
/// keeps beside them must hold no part of a file any more.
///
/// # Errors
///
/// [`WrongAnswer`] if it does; or when something cannot be looked at.
pub fn holds(directory: &Path) -> Result<(u64, u64)> {
    let named = |path: &Path| path.display().to_string();
    let state = directory.join(transfer::STATE);
    if let Ok(entries) = fs::read_dir(&state) {
        for entry in entries {
            let path = entry.with_context(|| named(&state))?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "part")
            {
                return Err(wrong_file(&path, "left behind", "a complete file alone").into());
            }
        }
    }
    let (mut files, mut bytes) = (0, 0);
    for entry in fs::read_dir(directory).with_context(|| named(directory))? {
        let entry = entry.with_context(|| named(directory))?;
        if entry.file_name() != transfer::STATE {
            let metadata = entry.metadata().with_context(|| named(&entry.path()))?;
            files += 1;
            bytes += metadata.len();
        }
    }
    Ok((files, bytes))
}

/// The bytes of a file that is there, with the content it should have.
fn verify_file(path: &Path, right: &origin::File) -> Result<u64> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(wrong_file(path, "missing", "a complete file").into());
        }
        opened => opened.with_context(|| format!("{}", path.display()))?,
    };
    let (bytes, sha256) = digest(file).with_context(|| format!("{}", path.display()))?;
    if (bytes, &sha256) != (right.bytes, &right.sha256) {
        let content = |bytes, sha256| format!("with {bytes} bytes of SHA-256 {sha256}");
        let got = content(bytes, &sha256);
        return Err(wrong_file(path, &got, &content(right.bytes, &right.sha256)).into());
    }
    Ok(bytes)
}

fn wrong_file(path: &Path, got: &str, right: &str) -> WrongAnswer {
    WrongAnswer {
        what: "files",
        got: format!("{} {got}", path.display()),
        expected: right.to_owned(),
    }
}

/// Size and SHA-256, a piece at a time: files can be large.
fn digest(mut file: File) -> io::Result<(u64, String)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => {
                hasher.update(&buffer[..read]);
                bytes += read as u64;
            }
        }
    }
    let hex = |byte: &u8| format!("{byte:02x}");
    Ok((bytes, hasher.finalize().iter().map(hex).collect()))
}

/// The origin's images, as a list that names them as the origin does.
fn list_of(files: &[origin::File]) -> Arc<str> {
    let line = |file: &origin::File| format!("{}\t{}\n", file.url, file.name);
    files.iter().map(line).collect::<String>().into()
}

/// Refuses a file that is no list of URLs: its lines are read, and said, later,
/// but that not one of them is good is the fault of who named it.
fn check_list(list: &Path) -> std::result::Result<(), Invalid> {
    let refuse = |why: String| Invalid::new("download.urls", list.display(), why);
    let unreadable = |error| refuse(format!("cannot be read: {error}"));
    let file = File::open(list).map_err(unreadable)?;
    let mut lines = Lines::new(BufReader::new(file));
    let mut entries = 0;
    while let Some(entry) = lines.next().map_err(unreadable)? {
        entry.map_err(|bad| refuse(bad.to_string()))?;
        entries += 1;
    }
    match entries {
        0 => Err(refuse("has to have a URL in it".to_owned())),
        _ => Ok(()),
    }
}

/// Creates a directory if need be, and tries whether files can be made in it:
/// better said now than by the first file.
fn make_writable(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot create the directory {}", directory.display()))?;
    tempfile::tempfile_in(directory)
        .with_context(|| format!("cannot write to the directory {}", directory.display()))?;
    Ok(())
}

/// An empty directory for these files, and as many again: they are written anew
/// before those of the run before are gone.
fn fresh_directory(files: &[origin::File]) -> Result<Scratch> {
    let bytes: u64 = files.iter().map(|file| file.bytes).sum();
    // Of files from a list of URLs nobody knows the size.
    let bytes = if files.is_empty() { u64::MAX } else { bytes };
    Ok(scratch::directory(bytes.saturating_mul(2))?.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use suite::{Preset, Setup, Workload, counter, echo, exchange, fetch, files, offload};
    use suite::{ping_pong, pipeline, primes, sleepers, thumbnails};

    /// A model that "downloads" whatever the test has it write.
    struct Writes(fn(&download::Job) -> io::Result<()>);

    impl Model for Writes {
        fn start(_: &Setup) -> Result<Self> {
            Ok(Self(|_| Ok(())))
        }

        fn name(&self) -> &'static str {
            "writes"
        }

        fn counter(&self, _: &counter::Job) -> Result<counter::Outcome> {
            anyhow::bail!("it only downloads")
        }

        fn pipeline(&self, _: &pipeline::Job) -> Result<pipeline::Outcome> {
            anyhow::bail!("it only downloads")
        }

        fn primes(&self, _: &primes::Job) -> Result<primes::Outcome> {
            anyhow::bail!("it only downloads")
        }

        fn exchange(&self, _: &exchange::Job) -> Result<exchange::Outcome> {
            anyhow::bail!("it only downloads")
        }

        fn fetch(&self, _: &fetch::Job) -> Result<fetch::Outcome> {
            anyhow::bail!("it only downloads")
        }

        fn offload(&self, _: &offload::Job) -> Result<offload::Outcome> {
            anyhow::bail!("it only downloads")
        }

        fn download_session(&self, _: &Arc<transfer::Session>) -> Result<()> {
            anyhow::bail!("it does not ask")
        }

        fn ping_pong(&self, _: &ping_pong::Job) -> Result<ping_pong::Outcome> {
            anyhow::bail!("it only downloads")
        }

        fn sleepers(&self, _: &sleepers::Job) -> Result<sleepers::Outcome> {
            anyhow::bail!("it only downloads")
        }

        fn echo(&self, _: &echo::Job) -> Result<echo::Outcome> {
            anyhow::bail!("it only downloads")
        }

        fn echo_server(&self, _: TcpListener, _: &echo::Job, _: &echo::Closing) -> Result<()> {
            anyhow::bail!("it only downloads")
        }

        fn files(&self, _: &files::Job) -> Result<files::Outcome> {
            anyhow::bail!("it only downloads")
        }

        fn thumbnails(&self, _: &thumbnails::Job) -> Result<thumbnails::Outcome> {
            anyhow::bail!("it only downloads")
        }

        fn download(&self, job: &download::Job) -> Result<download::Outcome> {
            (self.0)(job)?;
            Ok(download::Outcome {
                files: 2,
                bytes: 8,
                completion_ns: vec![0, 1],
                ..download::Outcome::default()
            })
        }
    }

    /// Two files of four bytes.
    fn write_both(job: &download::Job) -> io::Result<()> {
        ["a", "b"]
            .iter()
            .try_for_each(|name| fs::write(job.directory().join(name), "four"))
    }

    fn verified(write: fn(&download::Job) -> io::Result<()>) -> Result<()> {
        let list = tempfile::NamedTempFile::new()?;
        fs::write(&list, "http://localhost/a\nhttp://localhost/b\n")?;
        let mut job = Workload::Download.job(Preset::Article);
        job.set("urls", &list.path().display().to_string())?;
        let mut prepared = Stage::new("no program", None).prepare(&job)?;
        // Twice: each run has to find the directory empty.
        for _ in 0..2 {
            let (_, mut outcome) = prepared.run(&Writes(write))?;
            prepared.verify(&mut outcome)?;
        }
        Ok(())
    }

    #[test]
    fn only_complete_files_are_right() {
        verified(write_both).expect("both files");
        let missing = |job: &download::Job| {
            write_both(job)?;
            fs::remove_file(job.directory().join("b"))
        };
        let left_behind = |job: &download::Job| {
            write_both(job)?;
            let state = job.directory().join(transfer::STATE);
            fs::create_dir(&state)?;
            fs::write(state.join("a.part"), "")
        };
        let strange = |job: &download::Job| {
            write_both(job)?;
            fs::write(job.directory().join("c"), "")
        };
        let shorter = |job: &download::Job| {
            write_both(job)?;
            fs::write(job.directory().join("b"), "3")
        };
        for (write, says) in [
            (
                missing as fn(&download::Job) -> io::Result<()>,
                "with 1 files",
            ),
            (left_behind, "/a.part left behind"),
            (strange, "with 3 files"),
            (shorter, "bytes is 8, and 5"),
        ] {
            let error = verified(write).expect_err(says);
            assert!(error.is::<WrongAnswer>(), "{error:#}");
            assert!(error.to_string().contains(says), "{error:#}");
        }
    }

    #[test]
    fn the_right_content_is_known_by_its_digest() {
        let directory = fresh_directory(&[]).expect("a directory");
        let path = directory.path().join("0000.jpg");
        fs::write(&path, "abc").expect("a file");
        let mut right = origin::File {
            url: "http://localhost/0000.jpg".to_owned(),
            name: "0000.jpg".to_owned(),
            bytes: 3,
            // FIPS 180-2, appendix B.1
            sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned(),
        };
        assert_eq!(verify_file(&path, &right).expect("the content"), 3);
        right.sha256 = right.sha256.replace('b', "c");
        let error = verify_file(&path, &right).expect_err("another content");
        assert!(
            error.to_string().contains("0000.jpg with 3 bytes"),
            "{error:#}"
        );
    }

    #[test]
    fn a_list_without_urls_is_refused() {
        let list = tempfile::NamedTempFile::new().expect("a file");
        let missing = Path::new("/no/such/list");
        for (list, says) in [
            (list.path(), "has to have a URL"),
            (missing, "cannot be read"),
        ] {
            let refused = check_list(list).expect_err(says).to_string();
            assert!(refused.contains(says), "{refused}");
        }
    }
}
