//! Unit: child process, as many as the limit, dealt one file at a time, and while
//! they are quick one ahead. Shares: the rate, how far each file is, and what was
//! dealt ahead, in shared memory. Ends: the queue has nothing left; or the run is
//! stopped, and who is at work is killed.

use std::collections::HashMap;
use std::mem;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use suite::Result;
use transfer::{Action, DiskError, Finish, Key, Next, Options, Queue, Session, Transfer};

use crate::download_progress::{Progress, QUICK, Units};
use crate::pool::protocol::{DownloadAnswer, DownloadSetup, DownloadTask, MAX_TEXT_BYTES};
use crate::pool::{Answer, Children, Event, MAX_DEATHS, Task, Waker};

/// How long finished files wait for others to be committed with.
const COMMIT_DELAY: Duration = Duration::from_secs(1);

/// While files have to wait for a child, and the limit is higher than the number of
/// active children, that doubles: as soon as a file is not quick, and else this
/// often. Each costs more than a millisecond of a core to start, in which a dozen
/// quick files would have come.
const GROWTH_INTERVAL: Duration = Duration::from_millis(100);

pub fn run(session: &Arc<Session>, children: &mut Children) -> Result<()> {
    let setup = Box::new(DownloadSetup::from_session(session)?);
    children.drain_events();
    let limit = children.reserve_at_most(session.options.limit)?;
    if limit < session.options.limit {
        session.note(&format!("too many files are open: {limit} at once"));
    }
    let started = (0..limit).take_while(|&unit| children.is_started(unit));
    let started = started.count();
    children.memory.rate.store(0, Relaxed);
    let progress = Arc::new(Progress::new(children.memory.clone(), limit));
    let reported = Arc::clone(&progress);
    session.on_tally(move |session| reported.report(session));
    let files = Arc::new(Files::new(&session.options, children.waker()));
    let stop = Arc::clone(&files);
    session.on_stop(move || stop.stop());

    thread::scope(|scope| {
        let (commits, requests) = mpsc::channel();
        let thread = |name: &str| thread::Builder::new().name(name.to_owned());
        thread("names").spawn_scoped(scope, || commit(session, requests))?;
        let reader = thread("list").spawn_scoped(scope, || files.read(session));
        let mut dispatcher = Dispatcher {
            session,
            files: &files,
            setup,
            units: Units::new(session, progress, limit),
            deaths: HashMap::new(),
            commits,
            commit_at: None,
            active: started.max(1),
            grown: Instant::now(),
            children,
        };
        let served = reader
            .map_err(Into::into)
            .and_then(|_| dispatcher.serve())
            .map_err(anyhow::Error::downcast::<DiskError>);
        // Their answers are no longer needed.
        dispatcher.children.kill_busy();
        (0..limit).for_each(|unit| drop(dispatcher.units.end(unit)));
        match served {
            Ok(()) => Ok(()),
            Err(Ok(error)) => {
                session.stop_for(error);
                Ok(())
            }
            Err(Err(error)) => {
                session.stop();
                Err(error)
            }
        }
    })
}

/// Gives finished files their names, and waits for the disk, at each request.
fn commit(session: &Session, requests: mpsc::Receiver<()>) {
    for () in requests {
        if let Err(error) = session.commit() {
            return session.stop_for(error);
        }
    }
}

/// The files that wait. The thread that dispatches them waits for the children, so
/// a change here is reported to it as one of their events: a wake.
struct Files {
    queue: Mutex<Queue>,
    /// So much room has to be for more of the list to be read.
    half: usize,
    /// There is so much.
    room: Condvar,
    waker: Waker,
}

impl Files {
    fn new(options: &Options, waker: Waker) -> Self {
        let queue = Queue::new(options);
        Self {
            half: queue.room() / 2,
            queue: Mutex::new(queue),
            room: Condvar::new(),
            waker,
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what others may be waiting for.
    fn change(&self, change: impl FnOnce(&mut Queue)) {
        change(&mut self.queue());
        self.room.notify_all();
        self.waker.wake();
    }

    fn stop(&self) {
        self.change(Queue::stop);
    }

    /// Waits until more of the list can be read, and says how much.
    fn room(&self) -> usize {
        let full = |queue: &mut Queue| queue.room() < self.half;
        let queue = self.room.wait_while(self.queue(), full);
        queue.unwrap_or_else(PoisonError::into_inner).room()
    }

    /// Reads the list, as far ahead as the queue takes it.
    fn read(&self, session: &Session) {
        loop {
            match session.read_list(self.room()) {
                Ok(Some(transfers)) => self.change(|queue| queue.add(transfers)),
                Ok(None) => return self.change(Queue::close),
                Err(fatal) => return session.stop_for(fatal),
            }
        }
    }

    /// Whether more files than this can begin.
    fn has_more_than(&self, units: usize) -> bool {
        self.queue().ready() > units
    }

    /// What to do with a child that is free.
    fn turn(&self) -> Action {
        let mut queue = self.queue();
        let turn = queue.poll(Instant::now());
        if queue.room() >= self.half {
            self.room.notify_one();
        }
        turn
    }
}

/// Dispatches files to the children.
struct Dispatcher<'a> {
    session: &'a Session,
    files: &'a Files,
    setup: Box<DownloadSetup>,
    units: Units<'a>,
    /// Children that died while they had a file.
    deaths: HashMap<Key, u32>,
    commits: mpsc::Sender<()>,
    /// When to commit, if there are finished files.
    commit_at: Option<Instant>,
    /// How many places, from the first, get files.
    active: usize,
    /// When that number was last raised.
    grown: Instant,
    children: &'a mut Children,
}

impl Dispatcher<'_> {
    /// Dispatches files, and handles what comes of them, until nothing is left.
    fn serve(&mut self) -> Result<()> {
        while !self.session.is_stopped() {
            if self.commit_at.is_some_and(|at| at <= Instant::now()) {
                self.request_commit();
            }
            let until = loop {
                let unit = match (self.units.idle(self.active), self.growth()) {
                    (Some(unit), _) => unit,
                    (None, Some(when)) if when <= Instant::now() => {
                        self.grow()?;
                        continue;
                    }
                    (None, growth) => match self.quick() {
                        Some(unit) => unit,
                        None => break growth,
                    },
                };
                match self.files.turn() {
                    Action::Begin(transfer) => self.dispatch(unit, transfer)?,
                    Action::Wait(_) if self.withdraw() => {}
                    Action::Wait(when) => break when,
                    Action::End => return Ok(()),
                }
            };
            let until = [until, self.commit_at].into_iter().flatten().min();
            match self.children.next_event(until)? {
                Some(Event::Answer(unit, answer)) => self.answered(unit, answer?)?,
                Some(Event::Death(unit, _)) => self.died(unit)?,
                Some(Event::Wake) | None => {}
            }
        }
        Ok(())
    }

    /// A child that can be sent a file ahead, if there are plenty.
    fn quick(&self) -> Option<usize> {
        self.units.quick(self.active).filter(|_| {
            self.session.options.per_host.is_none() && self.files.has_more_than(self.active)
        })
    }

    /// When there are to be more active children, if that would help.
    fn growth(&self) -> Option<Instant> {
        let oldest = self.units.oldest();
        let slow = oldest.map_or(self.grown, |since| since.max(self.grown)) + QUICK;
        let helps = self.active < self.units.all.len() && self.files.has_more_than(0);
        helps.then(|| slow.min(self.grown + GROWTH_INTERVAL))
    }

    /// Doubles the number of active children, as far as possible. If too few can
    /// be started, the download goes on with those that run.
    fn grow(&mut self) -> Result<()> {
        self.grown = Instant::now();
        self.active = (2 * self.active).min(self.units.all.len());
        let missing: Vec<_> = (0..self.active)
            .filter(|&unit| !self.units.all[unit].retired && !self.children.is_started(unit))
            .collect();
        let Err(error) = self.children.start_missing(missing.iter().copied()) else {
            return Ok(());
        };
        // What is lacking now will not be there later.
        for unit in 0..self.units.all.len() {
            self.units.all[unit].retired |= !self.children.is_started(unit);
        }
        let left = self.units.in_use();
        if left == 0 {
            return Err(error);
        }
        self.session
            .note(&format!("{error:#}: {left} at once from now on"));
        Ok(())
    }

    fn dispatch(&mut self, unit: usize, transfer: Box<Transfer>) -> Result<()> {
        // In a message, it may not be too long.
        if transfer.text_bytes() > 2 * MAX_TEXT_BYTES {
            let why = "its URL, or what its server says of it, is too long to be sent to a child";
            self.put_back(*transfer, &Next::Failed(why.to_owned()));
            return Ok(());
        }
        // It may never have been started, or have died while it was idle.
        if !self.children.is_started(unit) {
            self.children.start_missing(unit..unit + 1)?;
        }
        let queued = self.units.assign(unit, transfer.clone());
        let has_setup = mem::replace(&mut self.units.all[unit].has_setup, true);
        let setup = (!has_setup).then(|| self.setup.clone());
        let task = DownloadTask {
            setup,
            transfer,
            queued,
        };
        self.children.send(unit, Task::Download(task))
    }

    /// Takes back a file that was sent ahead, if there is one.
    fn withdraw(&mut self) -> bool {
        let withdrawn = self.units.withdraw();
        withdrawn
            .map(|transfer| self.put_back(*transfer, &Next::Now))
            .is_some()
    }

    fn answered(&mut self, unit: usize, answer: Answer) -> Result<()> {
        let answer = match answer {
            Answer::Download(answer) => *answer,
            other => return Err(other.unexpected()),
        };
        if let DownloadAnswer::Withdrawn = answer {
            return Ok(());
        }
        let sent = self.units.end(unit).context("a child answered unasked")?;
        if let Some(transfer) = self.units.take_queued(unit) {
            self.units.begin(unit, transfer);
        }
        let session = self.session;
        let host = sent.host().to_owned(); // until a redirect
        let (mut transfer, mut next) = match answer {
            DownloadAnswer::Finished(Finish::Whole(file)) => {
                self.commit_at.get_or_insert(Instant::now() + COMMIT_DELAY);
                if session.finished(file) {
                    self.request_commit();
                }
                (sent, Next::Complete)
            }
            DownloadAnswer::Finished(Finish::Mismatch(why)) => (sent, Next::Failed(why)),
            DownloadAnswer::Unfinished(transfer, next) => (transfer, next),
            DownloadAnswer::Refused(refusal) => return Err(DiskError::from(refusal).into()),
            DownloadAnswer::Withdrawn => return Ok(()),
        };
        match next {
            Next::TooManyOpenFiles => {
                // The child may have failed before it applied the setup.
                self.units.all[unit].has_setup = false;
                next = session.too_many_open_files(&mut transfer, &self.files.queue());
            }
            // The host is to be left alone, by files that were sent ahead as well.
            Next::HostAfter(_) => while self.withdraw() {},
            _ => {}
        }
        self.put_back_at(&host, *transfer, &next);
        Ok(())
    }

    /// A file has ended, or goes on as `next` says. No wake is needed: the caller
    /// dispatches what is next anyway.
    fn put_back(&self, transfer: Transfer, next: &Next) {
        let host = transfer.host().to_owned();
        self.put_back_at(&host, transfer, next);
    }

    /// The same, of a file that may have been redirected to another host since.
    fn put_back_at(&self, host: &str, transfer: Transfer, next: &Next) {
        if let Next::Failed(why) = next {
            self.session.fail(&transfer, why.clone());
        }
        let now = Instant::now();
        let _ = self.files.queue().release(host, transfer, Some(next), now);
    }

    fn request_commit(&mut self) {
        self.commit_at = None;
        // The other thread has ended if the disk has refused.
        let _ = self.commits.send(());
    }

    /// The child in this place has died. Another one goes on with its file.
    fn died(&mut self, unit: usize) -> Result<()> {
        self.units.all[unit].has_setup = false;
        if let Some(transfer) = self.units.take_queued(unit) {
            self.put_back(*transfer, &Next::Now);
        }
        let Some(mut transfer) = self.units.end(unit) else {
            return Ok(());
        };
        let how = self.children.last_exit.clone();
        let deaths = self.deaths.entry(transfer.key).or_default();
        *deaths += 1;
        let next = if *deaths > MAX_DEATHS {
            Next::Failed(format!(
                "given up after {deaths} children died of it, the last by {how}"
            ))
        } else {
            transfer.part = self.session.part_of(&transfer)?;
            Next::Now
        };
        self.put_back(*transfer, &next);
        // The server may not notice at once, and go on with what the child had
        // requested: so there is one request less at once from now on.
        let left = self.units.in_use() - 1;
        if left > 0 {
            self.units.all[unit].retired = true;
            self.session.note(&format!(
                "a child died by {how}: {left} at once from now on"
            ));
        }
        Ok(())
    }
}
