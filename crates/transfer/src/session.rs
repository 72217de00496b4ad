//! One run of a download: the list, the directory, and what has come of it.
//!
//! What is left to a model is its own: the queue's lock and who sleeps on it,
//! the units, the timers, the HTTP library, where blocking calls go.

use std::fmt;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use crate::fs::DiskError;
use crate::list::{Entry, Lines};
use crate::lock::OpenError;
use crate::partial::Finished;
use crate::parts::Parts;
use crate::rate::Rate;
use crate::source::{List, open_list};
use crate::store::{Known, Store};
use crate::tally::{Counts, Failure, FileProgress, Observer, Tally, add};
use crate::{AttemptError, Next, Options, Queue, Transfer, tls};

/// Why a run has to end before its list does.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The directory cannot be had.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The list cannot be read.
    #[error("{list}: {source}")]
    List {
        /// Which.
        list: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The certificates to trust are of no use.
    #[error("{0}")]
    Certificates(String),
}

/// One run of a download.
pub struct Session {
    /// How it behaves.
    pub options: Options,
    /// The rate that all files share.
    pub rate: Rate,
    store: Store,
    tls: OnceLock<Arc<rustls::ClientConfig>>,
    list: Mutex<Lines<BufReader<Box<dyn Read + Send>>>>,
    list_name: String,
    /// What earlier lines have named, and these want to have a digest.
    repeated: Mutex<Vec<Entry>>,
    observer: Arc<dyn Observer>,
    counts: Counts,
    in_flight: AtomicUsize,
    stopped: AtomicBool,
    too_many_open_files: AtomicBool,
    on_stop: Mutex<Vec<Box<dyn Fn() + Send>>>,
    on_tally: OnceLock<OnTally>,
    fatal: Mutex<Option<Fatal>>,
}

type OnTally = Box<dyn Fn(&Session) + Send + Sync>;

impl Session {
    /// Opens the directory, which is made if it is not there, and the list.
    pub fn open(
        directory: &Path,
        list: List,
        options: Options,
        observer: Arc<dyn Observer>,
    ) -> Result<Arc<Self>, Fatal> {
        let (list_name, list) = open_list(list)?;
        // A file that cannot be read is better said now than at the first URL.
        let tls = OnceLock::new();
        if options.cacert.is_some() {
            let _ = tls.set(tls::config(&options).map_err(Fatal::Certificates)?);
        }
        let store = Store::open(directory)?;
        if store.damaged() > 0 {
            observer.note(&format!(
                "the journal was damaged: {} of its lines are dropped, and their files are \
                 fetched again where nothing else tells that they are there",
                store.damaged()
            ));
        }
        Ok(Arc::new(Self {
            rate: Rate::default(),
            store,
            tls,
            list: Mutex::new(Lines::new(BufReader::with_capacity(64 * 1024, list))),
            list_name,
            repeated: Mutex::default(),
            observer,
            counts: Counts::default(),
            in_flight: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            too_many_open_files: AtomicBool::new(false),
            on_stop: Mutex::default(),
            on_tally: OnceLock::new(),
            fatal: Mutex::default(),
            options,
        }))
    }

    /// The directory, for those who write to it.
    pub fn parts(&self) -> &Arc<Parts> {
        self.store.parts()
    }

    /// Which certificates to trust.
    pub fn tls(&self) -> Arc<rustls::ClientConfig> {
        let config = || tls::config(&self.options).expect("without a file nothing can be wrong");
        self.tls.get_or_init(config).clone()
    }

    /// Reads on in the list: at most `most` files to download, and fewer when
    /// more would have to be waited for. None at its end. Blocks.
    pub fn read_list(&self, most: usize) -> Result<Option<Vec<Transfer>>, Fatal> {
        let mut list = lock(&self.list);
        let mut transfers = Vec::new();
        // A terminal would be asked again after its end.
        if self.counts.list_ended.load(Ordering::Relaxed) {
            return Ok(None);
        }
        while !self.is_stopped() && transfers.len() < most.max(1) {
            if !transfers.is_empty() && !list.has_line() {
                return Ok(Some(transfers));
            }
            let next = list.next().map_err(|source| Fatal::List {
                list: self.list_name.clone(),
                source,
            })?;
            let Some(entry) = next else {
                self.counts.list_ended.store(true, Ordering::Relaxed);
                return Ok((!transfers.is_empty()).then_some(transfers));
            };
            add(&self.counts.listed, 1);
            match entry {
                Ok(mut entry) => match self.store.look_up(&mut entry)? {
                    Known::There(file) => self.completed(&file, true),
                    Known::Finished(file) => {
                        if self.store.add(file) {
                            self.commit()?;
                        }
                    }
                    Known::Repeated => {
                        add(&self.counts.repeated, 1);
                        if entry.sha256.is_some() {
                            lock(&self.repeated).push(entry);
                        }
                    }
                    Known::Other(reason) => {
                        let part = crate::Part::default();
                        self.fail(&Transfer::new(entry, part), reason);
                    }
                    Known::Wanted(part) => {
                        let transfer = Transfer::new(entry, part);
                        transfers.push(transfer);
                    }
                },
                Err(bad) => {
                    add(&self.counts.failed, 1);
                    self.observer.bad_line(&bad);
                }
            }
        }
        Ok((!transfers.is_empty()).then_some(transfers))
    }

    /// A file has begun, or has been taken up again. To be ended by
    /// [`end`](Self::end).
    pub fn begin(&self, transfer: &Transfer) -> Arc<FileProgress> {
        let progress = Arc::new(FileProgress {
            key: transfer.key,
            taken_up: transfer.taken_up.unwrap_or_else(Instant::now),
            name: transfer.name.clone(),
            bytes: AtomicU64::new(transfer.part.bytes),
            total: AtomicU64::new(transfer.part.total.unwrap_or(0)),
        });
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.observer.begun(&progress);
        progress
    }

    /// A file rests: it is done, or waits for its next attempt.
    pub fn end(&self, progress: &Arc<FileProgress>) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.observer.ended(progress);
    }

    /// Files that have begun and not ended.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Bytes of a body have come, up to a place in its file.
    pub fn received(&self, progress: &FileProgress, bytes: u64, position: u64, total: Option<u64>) {
        add(&self.counts.received, bytes);
        progress.bytes.store(position, Ordering::Relaxed);
        progress.total.store(total.unwrap_or(0), Ordering::Relaxed);
    }

    /// A file has every byte. True says that it is time for a
    /// [`commit`](Self::commit), which blocks.
    pub fn finished(&self, file: Finished) -> bool {
        self.observer.whole(&file);
        self.store.add(file)
    }

    /// Whether files have waited for a [`commit`](Self::commit) long enough: to
    /// be asked where something blocks anyway, as when a long file is flushed.
    pub fn is_due(&self) -> bool {
        self.store.is_due()
    }

    /// Syncs and names the files that have every byte. Blocks.
    ///
    /// # Errors
    ///
    /// What the disk has refused. That too much is open is no error: the files
    /// get their names next time, and [`close`](Self::close) is the last.
    pub fn commit(&self) -> Result<(), DiskError> {
        match self.commit_now() {
            Err(error) if error.is_too_many_open_files() => Ok(()),
            result => result,
        }
    }

    fn commit_now(&self) -> Result<(), DiskError> {
        for named in self.store.commit()? {
            match named {
                Ok(file) => self.completed(&file, false),
                Err((file, reason)) => {
                    add(&self.counts.failed, 1);
                    self.observer.failed(&Failure {
                        url: file.url,
                        name: file.name,
                        reason,
                        retries: file.retries,
                    });
                }
            }
        }
        Ok(())
    }

    /// A file has failed for good.
    pub fn fail(&self, transfer: &Transfer, reason: String) {
        // What nothing is to be joined to would be in the way of the next run.
        if transfer.part.bytes == 0 || transfer.part.validator.strong().is_none() {
            self.parts().discard(transfer.key);
        }
        add(&self.counts.failed, 1);
        self.observer.failed(&Failure {
            url: crate::list::shown(&transfer.url),
            name: transfer.name.clone(),
            reason,
            retries: transfer.retries(),
        });
    }

    /// A running file has found too many files open. How it goes on: when others
    /// have closed theirs, and with fewer at once from then on; if it was alone,
    /// as after any other failure.
    pub fn too_many_open_files(&self, transfer: &mut Transfer, queue: &Queue) -> Next {
        if queue.running() <= 1 {
            let alone = AttemptError::Connect("too many files are open".to_owned());
            return transfer.failed(alone, &self.options);
        }
        if !self.too_many_open_files.swap(true, Ordering::Relaxed) {
            self.note("too many files are open: fewer at once from now on");
        }
        Next::TooManyOpenFiles
    }

    /// Something that the user should know.
    pub fn note(&self, text: &str) {
        self.observer.note(text);
    }

    /// What there is of a file, to go on with what a process that died had begun.
    pub fn part_of(&self, transfer: &Transfer) -> Result<crate::Part, DiskError> {
        self.store.part(transfer.key)
    }

    /// Ends the run: everything that is complete gets its name and is on the
    /// disk. To be called when all units have ended.
    ///
    /// # Errors
    ///
    /// What has stopped the run, if something has; or the disk's refusal.
    pub fn close(&self) -> Result<Tally, Fatal> {
        if let Some(fatal) = self.fatal() {
            return Err(fatal);
        }
        self.commit_now()?;
        self.check_repeated()?;
        let tally = self.tally();
        self.store
            .close(tally.list_ended && tally.failed == 0 && !self.is_stopped())?;
        Ok(tally)
    }

    /// Checks the digests that later lines have given to files of earlier ones.
    fn check_repeated(&self) -> Result<(), DiskError> {
        if self.is_stopped() {
            return Ok(());
        }
        for entry in std::mem::take(&mut *lock(&self.repeated)) {
            if let Known::Other(reason) = self.store.look_again(&entry)? {
                self.fail(&Transfer::new(entry, crate::Part::default()), reason);
            }
        }
        Ok(())
    }

    /// What has come of it so far.
    pub fn tally(&self) -> Tally {
        if let Some(act) = self.on_tally.get() {
            act(self);
        }
        self.counts.tally()
    }

    /// Stops the run: nothing more begins, and what runs is left as it is.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        for act in lock(&self.on_stop).iter() {
            act();
        }
    }

    /// Stops the run, because it cannot go on.
    pub fn stop_for(&self, fatal: impl Into<Fatal>) {
        lock(&self.fatal).get_or_insert(fatal.into());
        self.stop();
    }

    /// What has stopped the run, if something has; it is given out once.
    pub fn fatal(&self) -> Option<Fatal> {
        lock(&self.fatal).take()
    }

    /// Whether the run has been stopped.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Has something done when the run is stopped, or at once if it is. It may
    /// be done more than once.
    pub fn on_stop(&self, act: impl Fn() + Send + 'static) {
        let mut acts = lock(&self.on_stop);
        if self.is_stopped() {
            act();
        }
        acts.push(Box::new(act));
    }

    /// Has something done whenever the tally is asked for: for units that
    /// cannot call [`received`](Self::received) themselves. The first one counts.
    pub fn on_tally(&self, act: impl Fn(&Self) + Send + Sync + 'static) {
        let _ = self.on_tally.set(Box::new(act));
    }

    fn completed(&self, file: &Finished, before: bool) {
        add(&self.counts.complete, 1);
        add(&self.counts.before, u64::from(before));
        add(&self.counts.bytes, file.bytes);
        self.observer.complete(file, before);
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Session").field(&self.store).finish()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
