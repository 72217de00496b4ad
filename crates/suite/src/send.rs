//! `send`: files go to another process over TCP, and have to arrive whole.
//!
//! Shows what certainty costs: a digest at both ends, the receiver's word that it has synced the
//! file, and going on where a connection was cut.
//!
//! Sender and receiver are both the model's, in two processes. What both decide is shared
//! (`file_send`, which describes the protocol); connecting, accepting, reading and writing,
//! where calls may block, timers and the end are the model's. Where a job wants cuts or flipped
//! bits, a neutral relay between the two makes them, and counts.

use std::collections::VecDeque;
use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use file_send::{
    Acknowledged, Error, Inbox, Next, Outgoing, PIECE_BYTES, Receiver, Secret, Sender,
};
use serde::{Deserialize, Serialize};

use crate::echo::Open;
use crate::listening::Listening;
use crate::{Invalid, Preset, Result, WrongAnswer};

/// The most bytes that frames take for each file and each connection.
const FRAME_BYTES: u64 = 2 * 1024;

/// How many files of which size, and what happens to them on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Files.
    pub files: u64,
    /// Bytes of each.
    pub bytes: u64,
    /// The most connections at once. Each takes the next file when it has sent one.
    pub streams: usize,
    /// After how many bytes a connection is cut; 0 for never.
    pub cut: u64,
    /// How many connections are cut in all.
    pub cuts: u64,
    /// Which bit is flipped of all that go to the receiver, from 1; 0 for none.
    pub flip: u64,
    /// How bytes come from a file into a connection.
    pub path: file_send::Path,
    /// Whether the receiver has a file on the disk before it says that it has it.
    pub sync: bool,
    /// What to send for one run. Filled in when the job is run.
    #[serde(skip)]
    pub sending: Option<Arc<Sending>>,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Files that the receiver has, by its word.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Those of the files that outlast a power cut.
    pub synced: u64,
    /// Those of the files that the receiver had before.
    pub before: u64,
    /// The most connections that were open at once.
    pub connections: u64,
    /// Bytes of files that were sent, also those that were sent again.
    pub sent: u64,
    /// How often a file was tried again.
    pub retries: u64,
    /// What the relay has seen, if there was one. Filled in after the run.
    pub relay: Option<Relayed>,
}

/// What the relay has seen between sender and receiver.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relayed {
    /// Connections.
    pub connections: u64,
    /// The most that were open at once.
    pub most_at_once: u64,
    /// Those that it has cut.
    pub cuts: u64,
    /// Bits that it has flipped.
    pub flips: u64,
    /// Bytes that have gone to the receiver.
    pub bytes: u64,
    /// Its processor time, in nanoseconds.
    pub cpu_ns: u64,
}

/// What is sent to whom: for one run of a job, or for the program `send`.
///
/// Each unit takes a file ([`next`](Self::next)), tries to send it over its connection, which it
/// makes if it has none, and tells what has come of that ([`ended`](Self::ended)); this says
/// whether the same file is to be tried again. Before it closes its last connection it says
/// [`bye`](file_send::Sender::bye).
pub struct Sending {
    /// Where the receiver listens.
    pub address: SocketAddr,
    /// What both sides have.
    pub secret: Secret,
    /// The most connections at once.
    pub streams: usize,
    /// How bytes come from a file into a connection.
    pub path: file_send::Path,
    /// How long connecting may take, and every read and write.
    pub patience: Duration,
    /// Counts the connections that are open.
    pub open: Open,
    /// Bytes of files that were sent so far.
    pub meter: Arc<AtomicU64>,
    files: Mutex<VecDeque<Outgoing>>,
    observer: Arc<dyn Observer>,
    tally: Mutex<Outcome>,
    failures: Mutex<(u64, Option<String>)>,
    stopped: AtomicBool,
    stopped_for: Mutex<Option<Error>>,
    on_stop: Mutex<Vec<Box<dyn Fn() + Send>>>,
}

/// Is told what has come of files. All of it may be called by any thread at any time.
pub trait Observer: Send + Sync {
    /// The receiver has a file.
    fn acknowledged(&self, _file: &Outgoing, _acknowledged: &Acknowledged) {}
    /// A file is tried again, because of this.
    fn again(&self, _file: &Outgoing, _why: &str) {}
    /// A file has failed.
    fn failed(&self, _file: &Outgoing, _error: &Error) {}
}

/// What is received where: for one run of a job, or for the program `receive`.
#[derive(Debug)]
pub struct Receiving {
    /// Where senders connect to, and until when.
    pub listening: Arc<Listening>,
    /// The directory.
    pub inbox: Arc<Inbox>,
    /// Its path.
    pub directory: PathBuf,
    /// Whether files are on the disk before senders are told that they are there.
    pub syncs: bool,
    /// What both sides have.
    pub secret: Secret,
    /// The most connections at once. More wait until one of them ends, in the system's queue.
    pub connections: usize,
    /// How long a sender may take for the next bytes, or to take what is written to it.
    pub patience: Duration,
}

impl Receiving {
    /// Receives into this directory from those who connect to `listener`.
    ///
    /// # Errors
    ///
    /// When the directory cannot be had; it says which.
    pub fn new(
        listener: TcpListener,
        directory: &Path,
        syncs: bool,
        secret: Secret,
        connections: usize,
        patience: Duration,
    ) -> Result<Self> {
        let inbox = Inbox::open(directory, syncs);
        let named = || format!("receiving into {}", directory.display());
        Ok(Self {
            listening: Arc::new(Listening::new(listener)?),
            inbox: Arc::new(inbox.with_context(named)?),
            directory: directory.to_owned(),
            syncs,
            secret,
            connections,
            patience,
        })
    }

    /// The receiver's end of a new connection.
    pub fn receiver(&self) -> Receiver {
        Receiver::new(&self.secret, &self.inbox)
    }
}

impl fmt::Debug for Sending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sending").field(&self.address).finish()
    }
}

impl PartialEq for Sending {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Sending {}

impl Sending {
    /// Sends these files, each with the name that the receiver shall give it.
    pub fn new(
        address: SocketAddr,
        secret: Secret,
        files: impl IntoIterator<Item = (PathBuf, String)>,
        (streams, path): (usize, file_send::Path),
        patience: Duration,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let files = files.into_iter().enumerate();
        let files = files.map(|(number, (path, name))| Outgoing::new(number, path, name));
        Self {
            address,
            secret,
            streams,
            path,
            patience,
            open: Open::default(),
            meter: Arc::default(),
            files: Mutex::new(files.collect()),
            observer,
            tally: Mutex::default(),
            failures: Mutex::default(),
            stopped: AtomicBool::new(false),
            stopped_for: Mutex::default(),
            on_stop: Mutex::default(),
        }
    }

    /// How many units there is work for.
    pub fn units(&self) -> usize {
        self.streams.min(lock(&self.files).len())
    }

    /// The next file that was not tried yet; none if there is no other, or all is to end.
    pub fn next(&self) -> Option<Outgoing> {
        match self.is_stopped() {
            true => None,
            false => lock(&self.files).pop_front(),
        }
    }

    /// A try has ended. Gives the file back if it is to be tried again, over another connection,
    /// after this time.
    pub fn ended(
        &self,
        mut file: Outgoing,
        result: std::result::Result<Acknowledged, Error>,
    ) -> Option<(Outgoing, Duration)> {
        let why = result.as_ref().err().map(Error::to_string);
        match file.ended(result) {
            Next::Again(_) if self.is_stopped() => {}
            Next::Again(wait) => {
                self.observer.again(&file, &why.unwrap_or_default());
                return Some((file, wait));
            }
            Next::Acknowledged(acknowledged) => {
                self.count(&file, Some(&acknowledged));
                self.observer.acknowledged(&file, &acknowledged);
            }
            Next::Failed(error) => self.failed(&file, &error),
            Next::Stop(error) => {
                self.failed(&file, &error);
                lock(&self.stopped_for).get_or_insert(error);
                self.stop();
            }
        }
        None
    }

    fn failed(&self, file: &Outgoing, error: &Error) {
        self.count(file, None);
        let mut failures = lock(&self.failures);
        failures.0 += 1;
        failures
            .1
            .get_or_insert_with(|| format!("{}: {error}", file.name));
        drop(failures);
        self.observer.failed(file, error);
    }

    /// How many files have failed, and what went wrong with the first.
    pub fn failures(&self) -> (u64, Option<String>) {
        lock(&self.failures).clone()
    }

    /// The sender's end of a new connection.
    pub fn sender(&self) -> Sender {
        Sender::new(&self.secret, self.path, &self.meter)
    }

    fn count(&self, file: &Outgoing, acknowledged: Option<&Acknowledged>) {
        let mut tally = lock(&self.tally);
        tally.sent += file.sent;
        tally.retries += u64::from(file.retries);
        if let Some(acknowledged) = acknowledged {
            tally.files += 1;
            tally.bytes += acknowledged.bytes;
            tally.synced += u64::from(acknowledged.synced);
            tally.before += u64::from(acknowledged.before);
        }
    }

    /// What has come of it so far.
    pub fn outcome(&self) -> Outcome {
        Outcome {
            connections: self.open.outcome([]).connections,
            ..lock(&self.tally).clone()
        }
    }

    /// Bytes of files that were sent so far, also those that were sent again.
    pub fn sent(&self) -> u64 {
        self.meter.load(Relaxed)
    }

    /// Why all was stopped, if a file's failure has done it.
    pub fn stopped_for(&self) -> Option<Error> {
        lock(&self.stopped_for).clone()
    }

    /// Ends all: no other file is begun, and what is under way is left as it is. The receiver
    /// keeps what it has.
    pub fn stop(&self) {
        self.stopped.store(true, SeqCst);
        for act in lock(&self.on_stop).iter() {
            act();
        }
    }

    /// Whether all is to end.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(SeqCst)
    }

    /// Has something done when all is stopped, or at once if it is. It may be done more than
    /// once.
    pub fn on_stop(&self, act: impl Fn() + Send + 'static) {
        let mut acts = lock(&self.on_stop);
        if self.is_stopped() {
            act();
        }
        acts.push(Box::new(act));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A job is told only of what went wrong first.
impl Observer for () {}

impl Job {
    pub(crate) fn preset(preset: Preset) -> Self {
        let common = Self {
            files: 3,
            bytes: 1 << 20,
            streams: 1,
            cut: 1_500_000,
            cuts: 1,
            flip: 0,
            path: file_send::Path::Copy,
            sync: true,
            sending: None,
        };
        match preset {
            Preset::Article => common,
            Preset::Heavy => Self {
                files: 64,
                bytes: 4 << 20,
                streams: 8,
                cut: 0,
                cuts: 0,
                ..common
            },
        }
    }

    /// What to send.
    ///
    /// # Panics
    ///
    /// If it is not filled in: running a prepared job does that.
    pub fn sending(&self) -> &Arc<Sending> {
        self.sending.as_ref().expect("a prepared job has files")
    }

    /// Whether a relay is between the sender and the receiver.
    pub fn has_relay(&self) -> bool {
        self.cut > 0 || self.flip > 0
    }

    /// Has `run` send everything.
    pub(crate) fn run(&self, run: impl FnOnce(&Arc<Sending>) -> Result<()>) -> Result<Outcome> {
        let sending = self.sending();
        run(sending)?;
        if let (failures, Some(first)) = sending.failures() {
            bail!("{failures} of {} files: {first}", self.files);
        }
        Ok(sending.outcome())
    }

    pub(crate) fn units(&self) -> usize {
        let files = usize::try_from(self.files).unwrap_or(usize::MAX);
        self.streams.min(files)
    }

    /// All bytes of all files.
    pub fn all_bytes(&self) -> u64 {
        self.files * self.bytes
    }

    pub(crate) fn validate(&self) -> std::result::Result<(), Invalid> {
        Invalid::unless_within("files", self.files, 1, 100_000)?;
        Invalid::unless_within("bytes", self.bytes, 0, 1 << 30)?;
        Invalid::unless_within("streams", self.streams as u64, 1, 1_000)?;
        Invalid::unless_within("cuts", self.cuts, 0, 1_000)?;
        if self.cuts > 0 {
            // Then, and only then, it is certain that some connection comes so far.
            let most = self.all_bytes() / (self.cuts - 1 + self.streams as u64);
            Invalid::unless_within("cut", self.cut, 1, most.max(1))?;
        } else {
            Invalid::unless_within("cut", self.cut, 0, 0)?;
        }
        Invalid::unless_within("flip", self.flip, 0, 8 * self.bytes)
    }

    pub(crate) fn scaled(&self, divisor: u64) -> Self {
        let mut job = self.clone();
        // No fewer than streams, or some of these would have nothing to do.
        let least = self.files.min(self.streams as u64);
        job.files = (self.files / divisor).max(least);
        if job.cuts > 0 {
            let most = job.all_bytes() / (job.cuts - 1 + job.streams as u64);
            job.cut = job.cut.min(most.max(1));
        }
        job
    }

    /// All files are at the receiver, over as few bytes as cuts and flips allow, and each cut
    /// and flip was met. That each file has the right bytes has to be checked before, on the
    /// disk.
    pub fn check(&self, outcome: &Outcome) -> std::result::Result<(), WrongAnswer> {
        let synced = if self.sync { self.files } else { 0 };
        for (what, got, right) in [
            ("files", outcome.files, self.files),
            ("bytes", outcome.bytes, self.all_bytes()),
            ("synced", outcome.synced, synced),
        ] {
            WrongAnswer::unless(got == right, what, got, right)?;
        }
        // A cut after its last byte leaves a whole file, whose sender was not told.
        let (before, most) = (outcome.before, self.cuts + u64::from(self.flip > 0));
        let right = format!("at most {most}");
        WrongAnswer::unless(before <= most, "before", before, right)?;
        let (open, streams) = (outcome.connections, self.streams as u64);
        let right = format!("from 1 to {streams}");
        WrongAnswer::unless((1..=streams).contains(&open), "connections", open, right)?;
        let least = self.all_bytes();
        let right = format!("at least {least}");
        WrongAnswer::unless(outcome.sent >= least, "sent", outcome.sent, right)?;
        match &outcome.relay {
            Some(relay) => self.check_relay(relay, outcome),
            None if self.has_relay() => Err(WrongAnswer {
                what: "relay",
                got: "none".to_owned(),
                expected: "one".to_owned(),
            }),
            None => {
                // Nothing has gone wrong on the way.
                let (sent, retries) = (outcome.sent, outcome.retries);
                WrongAnswer::unless(retries == 0, "retries", retries, 0)?;
                WrongAnswer::unless(sent == least, "sent", sent, least)
            }
        }
    }

    fn check_relay(
        &self,
        relay: &Relayed,
        outcome: &Outcome,
    ) -> std::result::Result<(), WrongAnswer> {
        let flips = u64::from(self.flip > 0);
        let streams = self.streams as u64;
        WrongAnswer::unless(relay.cuts == self.cuts, "cuts", relay.cuts, self.cuts)?;
        WrongAnswer::unless(relay.flips == flips, "flips", relay.flips, flips)?;
        WrongAnswer::unless(
            relay.most_at_once <= streams + relay.cuts + flips,
            "most_at_once",
            relay.most_at_once,
            streams,
        )?;
        // What was damaged is sent again; what was cut goes on.
        let retries = outcome.retries;
        let right = format!("at least {flips}");
        WrongAnswer::unless(retries >= flips, "retries", retries, right)?;
        let piece = PIECE_BYTES as u64;
        let again = self.cuts * piece + flips * (self.bytes + piece);
        let frames = (self.files + relay.connections + retries) * FRAME_BYTES;
        let (least, most) = (self.all_bytes(), self.all_bytes() + again + frames);
        let right = format!("from {least} to {most}");
        let fits = (least..=most).contains(&relay.bytes);
        WrongAnswer::unless(fits, "relayed", relay.bytes, right)
    }

    pub(crate) fn summary(&self, outcome: &Outcome, elapsed: Duration) -> String {
        let rate = outcome.bytes as f64 / (1 << 20) as f64 / elapsed.as_secs_f64();
        let mut text = format!(
            "{} files have arrived, {} bytes, {rate:.0} MiB/s, over {} connections at once",
            outcome.files, outcome.bytes, outcome.connections
        );
        if let Some(relay) = &outcome.relay {
            text += &format!(
                "; {} cut and {} bits flipped on the way: {} bytes went over it, {} tries more",
                relay.cuts, relay.flips, relay.bytes, outcome.retries
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_sent_too_often_is_found() {
        let job = Job {
            flip: 80,
            ..Job::preset(Preset::Article)
        };
        let right = Outcome {
            files: 3,
            bytes: 3 << 20,
            synced: 3,
            connections: 1,
            sent: 4 << 20,
            retries: 2,
            relay: Some(Relayed {
                connections: 3,
                most_at_once: 1,
                cuts: 1,
                flips: 1,
                bytes: (4 << 20) + 100_000,
                cpu_ns: 1,
            }),
            ..Outcome::default()
        };
        job.check(&right).expect("right");
        type Change = fn(&mut Outcome);
        let wrong: [(&str, Change); 13] = [
            ("files", |of| of.files -= 1),
            ("bytes", |of| of.bytes -= 1),
            ("synced", |of| of.synced = 0),
            ("before", |of| of.before = 3),
            ("connections", |of| of.connections = 2),
            ("sent", |of| of.sent = 1),
            ("relay", |of| of.relay = None),
            ("cuts", |of| relay(of).cuts = 0),
            ("flips", |of| relay(of).flips = 0),
            ("most_at_once", |of| relay(of).most_at_once = 9),
            ("retries", |of| of.retries = 0),
            ("relayed", |of| relay(of).bytes = 1),
            ("relayed", |of| relay(of).bytes = 6 << 20),
        ];
        fn relay(of: &mut Outcome) -> &mut Relayed {
            of.relay.as_mut().expect("a relay")
        }
        for (what, change) in wrong {
            let mut outcome = right.clone();
            change(&mut outcome);
            assert_eq!(job.check(&outcome).expect_err(what).what, what);
        }
        let job = Job {
            flip: 0,
            cuts: 0,
            cut: 0,
            ..job
        };
        let again = Outcome {
            relay: None,
            ..right
        };
        assert_eq!(job.check(&again).expect_err("again").what, "retries");
    }
}
