//! Everything around a job that is not the model's: the origin it asks, the
//! directory it writes to, the clock, and the look at what it left behind.
//!
//! ```no_run
//! # fn example(model: &dyn suite::Model) -> anyhow::Result<()> {
//! # use runner::fixture::Fixture;
//! # use suite::{Preset, Workload};
//! let mut fixture = Fixture::new(std::env::current_exe()?, None);
//! let mut prepared = fixture.prepare(&Workload::Download.job(Preset::Article))?;
//! // The model is started here: `Setup::sized(prepared.job(), ..)`.
//! let (elapsed, mut outcome) = prepared.run(model)?;
//! prepared.verify(&mut outcome)?;
//! # Ok(())
//! # }
//! ```

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Context;
use origin::{DatagramRelay, Origin, Responder, Shape};
use suite::deadlines::Seen;
use suite::{Invalid, Job, Model, Outcome, Result, Setup, WrongAnswer};
use suite::{completion, fetch, files, thumbnails};
use transfer::list::Lines;

use crate::delivery::Delivery;
use crate::echo::{self, Server};
use crate::scratch::{self, Scratch};
use crate::{chat, datagram, inputs, tree, verify};
use crate::{proxy, scan, serve};

/// Where jobs are prepared. Its origin, if one of them needs one, is started
/// then and serves all of them.
#[derive(Debug)]
pub struct Fixture {
    program: PathBuf,
    given_url: Option<String>,
    given_inputs: Option<PathBuf>,
    threads: usize,
    blocking_threads: usize,
    own: Option<Arc<Origin>>,
}

impl Fixture {
    /// A fixture with the origin at `origin_url`, or else one of its own, which
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
    pub(crate) fn origin_pid(&self) -> Option<u32> {
        self.own.as_ref().map(|origin| origin.pid())
    }

    /// Makes a job as asked into one that can be run: addresses and lists are
    /// filled in, and the directory stands.
    pub fn prepare(&mut self, job: &Job) -> Result<Prepared> {
        let mut prepared = Prepared {
            job: job.clone(),
            blocking_threads: self.blocking_threads,
            run: None,
            files: Vec::new(),
            fresh: None,
            server: None,
            network: None,
            responder: None,
            seen: None,
            answered: OnceLock::new(),
            elapsed: None,
            origin: None,
            served: None,
            proxied: None,
            scanned: None,
            chatting: None,
            delivery: None,
        };
        match &mut prepared.job {
            Job::Fetch(job) if job.urls.is_empty() => {
                let run = self.open(&Shape::default())?;
                job.targets = job.delays_ms.iter().map(|&ms| run.delay_url(ms)).collect();
                let mut expected = fetch::Body::default();
                for &ms in &job.delays_ms {
                    expected.add(fetch::Body::from(&*origin::delay_body(ms)));
                }
                job.expected = Some(expected);
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
            Job::Datagram(job) => {
                echo::allow(job.clients)?;
                let (threads, blocking_threads) = (self.threads, self.blocking_threads);
                let program = &self.program;
                let server = datagram::Server::spawn(program, job, threads, blocking_threads)?;
                let shape = (job.lose > 0).then(|| datagram::Network::relay_shape(job, &server));
                let relay = match shape {
                    Some(shape) => Some(DatagramRelay::open(&self.origin_url()?, &shape)?),
                    None => None,
                };
                let network = datagram::Network::new(server, relay);
                job.address = Some(network.address());
                prepared.network = Some(network);
            }
            Job::Send(job) => {
                let (program, threads) = (self.program.clone(), self.threads);
                let blocking_threads = self.blocking_threads;
                let origin_url = || self.origin_url();
                let delivery = Delivery::new(job, &program, threads, blocking_threads, origin_url)?;
                prepared.delivery = Some(delivery);
            }
            Job::Serve(job) => {
                echo::allow(job.sockets())?;
                prepared.served = Some(serve::Load::new(job, self.origin_url()?)?);
            }
            Job::Proxy(job) => {
                echo::allow(job.sockets())?;
                prepared.proxied = Some(proxy::Load::new(job, self.origin_url()?)?);
            }
            Job::Scan(job) => {
                // With fewer, fewer are under way at once.
                let _ = echo::allow(job.limit);
                prepared.scanned = Some(scan::Host::new(job, &self.origin_url()?)?);
            }
            Job::Chat(job) => {
                echo::allow(job.sockets())?;
                prepared.chatting = Some((self.origin_url()?, self.origin_pid()));
            }
            Job::Deadlines(job) => {
                let slots = job.slots();
                echo::allow(slots as usize)?;
                let responder = Responder::open(&self.origin_url()?, slots)?;
                job.address = Some(responder.address());
                prepared.responder = Some(responder);
            }
            Job::Files(files::Job { paths, .. })
            | Job::Thumbnails(thumbnails::Job { paths, .. }) => {
                (*paths, prepared.fresh) = self.inputs(job)?;
            }
            // No arm for all others: a new workload has to be looked at here.
            Job::Counter(_)
            | Job::Pipeline(_)
            | Job::Primes(_)
            | Job::Exchange(_)
            | Job::Offload(_)
            | Job::PingPong(_)
            | Job::Sleepers(_)
            | Job::Spawn(_) => {}
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
        origin::Run::open(&self.origin_url()?, shape)
    }

    /// The URL of the origin, which is started if there is none.
    fn origin_url(&mut self) -> Result<String> {
        if let Some(url) = &self.given_url {
            return Ok(url.clone());
        }
        let own = match self.own.take() {
            Some(own) => own,
            None => Arc::new(Origin::spawn(&self.program, &["origin"])?),
        };
        Ok(self.own.insert(own).url().to_owned())
    }
}

/// A job that can be run, as often as one likes.
#[derive(Debug)]
pub struct Prepared {
    job: Job,
    /// How many calls the model's pool may make at once.
    blocking_threads: usize,
    /// The job's own counters at the origin. Dropped before the origin is.
    run: Option<origin::Run>,
    /// What the origin's images should be.
    files: Vec<origin::File>,
    /// The directory of a job that was given none.
    fresh: Option<Scratch>,
    /// The server that the clients of `echo` talk to.
    server: Option<Server>,
    /// The server that the clients of `datagram` send to, and what is between.
    network: Option<datagram::Network>,
    /// What the operations of `deadlines` wait for.
    responder: Option<Responder>,
    /// What it has seen of the last run.
    seen: Option<Seen>,
    /// The job with its right answer, from when it is first looked at: before,
    /// it would be work and memory that would count as the model's.
    answered: OnceLock<Job>,
    /// What the last run took: no item of it can have taken longer.
    elapsed: Option<Duration>,
    /// What asks the model for files.
    served: Option<serve::Load>,
    /// What asks the model to pass requests on, and where they go.
    proxied: Option<proxy::Load>,
    /// What the model scans.
    scanned: Option<scan::Host>,
    /// Where the members of rooms are, and its process if it is its own.
    chatting: Option<(String, Option<u32>)>,
    /// Files to send, and what receives them.
    delivery: Option<Delivery>,
    /// Not read: the origin has to last as long as the job may ask it.
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

    /// From now on, without what only the [check](Self::verify) of an answer needs.
    pub fn time_only(&mut self) {
        self.job = self.job.clone().timed();
    }

    /// Has `model` do the job, and times exactly that, less what it [waits for on
    /// purpose](Job::wait).
    ///
    /// Each run of a download that was given no directory gets an empty one;
    /// that of the run before is removed first.
    pub fn run(&mut self, model: &dyn Model) -> Result<(Duration, Outcome)> {
        self.get_ready()?;
        let (elapsed, outcome) = match &mut self.job {
            Job::Serve(job) if let Some(load) = &self.served => {
                let (elapsed, outcome) = load.run(job, model)?;
                (elapsed, Ok(Outcome::Serve(outcome)))
            }
            Job::Proxy(job) if let Some(load) = &self.proxied => {
                let (elapsed, outcome) = load.run(job, model)?;
                (elapsed, Ok(Outcome::Proxy(outcome)))
            }
            Job::Scan(job) if let Some(host) = &mut self.scanned => {
                let (elapsed, outcome) = host.run(job, model)?;
                (elapsed, Ok(Outcome::Scan(outcome)))
            }
            Job::Datagram(job) if let Some(network) = &self.network => {
                let (elapsed, outcome) = network.run(job, model)?;
                (elapsed, Ok(Outcome::Datagram(outcome)))
            }
            Job::Chat(job) if let Some((origin, pid)) = &self.chatting => {
                let (elapsed, outcome) = chat::run(origin, *pid, job, model)?;
                (elapsed, Ok(Outcome::Chat(outcome)))
            }
            Job::Send(job) => {
                let delivery = self.delivery.as_mut().context("nothing receives")?;
                let (elapsed, outcome) = delivery.run(job, model)?;
                (elapsed, outcome.map(Outcome::Send))
            }
            _ => {
                let started = Instant::now();
                let outcome = self.job.run(model);
                (started.elapsed(), outcome)
            }
        };
        self.has_run(elapsed, outcome)
    }

    /// Has the job done by a program that is none of the models. `ask` has it do the job, and
    /// tells how long that took.
    ///
    /// # Errors
    ///
    /// Those of `ask`, and when the origin or the responder is gone.
    pub fn run_by(
        &mut self,
        ask: impl FnOnce(&Job) -> Result<(Duration, Outcome)>,
    ) -> Result<(Duration, Outcome)> {
        self.get_ready()?;
        let (elapsed, outcome) = match ask(&self.job) {
            Ok((elapsed, outcome)) => (elapsed, Ok(outcome)),
            Err(error) => (Duration::ZERO, Err(error)),
        };
        self.has_run(elapsed, outcome)
    }

    /// Forgets the run before.
    fn get_ready(&mut self) -> Result<()> {
        if let (Some(fresh), Job::Download(job)) = (&mut self.fresh, &mut self.job) {
            *fresh = fresh_directory(&self.files)?;
            job.into = Some(fresh.path().to_owned());
        }
        if let Some(run) = &self.run {
            run.reset()?;
        }
        Ok(())
    }

    fn has_run(
        &mut self,
        elapsed: Duration,
        outcome: Result<Outcome>,
    ) -> Result<(Duration, Outcome)> {
        let elapsed = elapsed.saturating_sub(self.job.wait());
        self.elapsed = Some(elapsed);
        let looked = self.look();
        // Why a job failed says more than that its responder has gone.
        let outcome = outcome?;
        looked?;
        Ok((elapsed, outcome))
    }

    /// Has the responder tell what it has seen of the last run, if the job has one. A part of
    /// [`Prepared::run`].
    pub fn look(&mut self) -> Result<()> {
        let counts = self.responder.as_ref().map(Responder::counts).transpose()?;
        self.seen = counts.map(|counts| Seen {
            connections: counts.connections,
            requests: counts.requests,
            most_at_once: counts.most_at_once,
            open: counts.open,
            cpu_ns: counts.cpu_ns,
        });
        Ok(())
    }

    /// Accepts only what is right: the answer, and for a download every file.
    ///
    /// Adds what only the origin knows to the outcome, and gives its figures, if
    /// the job has one.
    pub fn verify(&self, outcome: &mut Outcome) -> Result<Option<origin::Stats>> {
        let stats = self.look_at(outcome)?;
        let job = self.answered.get_or_init(|| inputs::answered(&self.job));
        job.check(outcome)?;
        if let (Job::Offload(job), Outcome::Offload(outcome)) = (job, &*outcome) {
            job.check_turns(outcome, self.blocking_threads)?;
        }
        if let Some(elapsed) = self.elapsed {
            if let Job::Scan(job) = job {
                job.check_wait(elapsed)?;
            }
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
        if let (Job::Download(job), Outcome::Download(outcome)) = (&self.job, &*outcome) {
            verify::downloaded(job.directory(), &self.files, self.fresh.is_some(), outcome)?;
        }
        if let (Some(delivery), Outcome::Send(_)) = (&self.delivery, &*outcome) {
            delivery.verify()?;
        }
        self.account(outcome)
    }

    /// Ends what was started for the job.
    pub fn close(self) -> Result<()> {
        self.network.map_or(Ok(()), datagram::Network::end)?;
        self.delivery.map_or(Ok(()), Delivery::end)?;
        self.server.map_or(Ok(()), Server::end)
    }

    /// Adds what only the origin or the responder knows to the outcome, and accepts no answer
    /// that the origin was not asked for. A part of [`Prepared::verify`].
    pub fn account(&self, outcome: &mut Outcome) -> Result<Option<origin::Stats>> {
        if let (Some(seen), Outcome::Deadlines(outcome)) = (self.seen, &mut *outcome) {
            outcome.seen = seen;
        }
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
    // The size of files from a list of URLs is not known.
    let bytes = if files.is_empty() { u64::MAX } else { bytes };
    Ok(scratch::directory(bytes.saturating_mul(2))?.0)
}
