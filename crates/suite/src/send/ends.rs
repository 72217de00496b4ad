//! What both ends of `send` have: for one run of a job, or for the programs.

use std::collections::VecDeque;
use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use file_send::{Acknowledged, Error, Inbox, Next, Outgoing, Receiver, Secret, Sender};

use super::Outcome;
use crate::Result;
use crate::echo::Open;
use crate::listening::Listening;

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
