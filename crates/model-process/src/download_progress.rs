//! A download at the parent's side: which file each child has, and how far it is.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use transfer::{FileProgress, Session, Transfer};

use crate::shm::Memory;
use crate::shm::progress::ProgressCounters;

/// A file that takes no longer is a quick one. A child whose last file was quick
/// gets one ahead, and does not wait for the parent between the two.
pub(crate) const QUICK: Duration = Duration::from_millis(10);

/// Passes the children's progress counters on to the session. Any thread may ask
/// for that.
pub(crate) struct Progress {
    memory: Arc<Memory>,
    running: Mutex<Vec<Running>>,
}

#[derive(Default)]
struct Running {
    progress: Option<Arc<FileProgress>>,
    /// What the session has been told already.
    received: u64,
}

impl Progress {
    pub(crate) fn new(memory: Arc<Memory>, units: usize) -> Self {
        let before = |unit: usize| Running {
            progress: None,
            received: memory.progress[unit].read().0,
        };
        Self {
            running: Mutex::new((0..units).map(before).collect()),
            memory,
        }
    }

    /// Tells the session how far all files are.
    pub(crate) fn report(&self, session: &Session) {
        let units = self.running().len();
        (0..units).for_each(|unit| self.report_one(unit, session));
    }

    fn report_one(&self, unit: usize, session: &Session) {
        let running = &mut self.running()[unit];
        if let Some(progress) = &running.progress {
            let (received, position, total) = self.counters(unit).read();
            let new = received.saturating_sub(running.received);
            running.received = received;
            session.received(progress, new, position, total);
        }
    }

    fn counters(&self, unit: usize) -> &ProgressCounters {
        &self.memory.progress[unit]
    }

    fn running(&self) -> MutexGuard<'_, Vec<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The children, by their places, as far as the download knows them.
pub(crate) struct Units<'a> {
    pub(crate) all: Vec<Unit>,
    session: &'a Session,
    progress: Arc<Progress>,
    /// Tasks that have ever been queued.
    queued: u64,
}

#[derive(Default)]
pub(crate) struct Unit {
    /// It has the download's setup.
    pub(crate) has_setup: bool,
    /// The file that it downloads.
    transfer: Option<Box<Transfer>>,
    /// When that began.
    since: Option<Instant>,
    /// Its last file was quick.
    quick: bool,
    /// The number of the task that waits behind the current one, and its file.
    queued: Option<(u64, Box<Transfer>)>,
    /// It gets no more files.
    pub(crate) retired: bool,
}

impl<'a> Units<'a> {
    pub(crate) fn new(session: &'a Session, progress: Arc<Progress>, units: usize) -> Self {
        Self {
            all: (0..units).map(|_| Unit::default()).collect(),
            session,
            progress,
            queued: 0,
        }
    }

    /// One of the first `active` children that has no file.
    pub(crate) fn idle(&self, active: usize) -> Option<usize> {
        let idle = |unit: &Unit| unit.transfer.is_none() && !unit.retired;
        self.all[..active].iter().position(idle)
    }

    /// One of the first `active` children that gets through its files quickly, and
    /// has none ahead.
    pub(crate) fn quick(&self, active: usize) -> Option<usize> {
        (0..active).find(|&place| {
            let unit = &self.all[place];
            unit.quick
                && unit.transfer.is_some()
                && unit.queued.is_none()
                && !self.progress.counters(place).has_queued()
        })
    }

    /// When the oldest file began that is still being downloaded.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.all.iter().filter_map(|unit| unit.since).min()
    }

    /// Assigns a file to a child. Returns the task's number if it has to wait for
    /// the current one.
    pub(crate) fn assign(&mut self, unit: usize, transfer: Box<Transfer>) -> Option<u64> {
        if self.all[unit].transfer.is_none() {
            self.begin(unit, transfer);
            return None;
        }
        self.queued += 1;
        self.progress.counters(unit).queue(self.queued);
        self.all[unit].queued = Some((self.queued, transfer));
        Some(self.queued)
    }

    pub(crate) fn begin(&mut self, unit: usize, transfer: Box<Transfer>) {
        self.progress.running()[unit].progress = Some(self.session.begin(&transfer));
        self.tell_in_flight();
        self.all[unit].since = Some(Instant::now());
        self.all[unit].transfer = Some(transfer);
    }

    /// Each child judges its own file by that.
    fn tell_in_flight(&self) {
        let files = self.session.in_flight() as u64;
        self.progress.memory.in_flight.store(files, Relaxed);
    }

    /// The child has answered, or died. Returns the file that it had.
    pub(crate) fn end(&mut self, unit: usize) -> Option<Box<Transfer>> {
        // The kernel passed that on, and with it what the child had written before.
        self.progress.report_one(unit, self.session);
        if let Some(progress) = self.progress.running()[unit].progress.take() {
            self.session.end(&progress);
            self.tell_in_flight();
        }
        let unit = &mut self.all[unit];
        let since = unit.since.take();
        unit.quick = since.is_some_and(|since| since.elapsed() <= QUICK);
        unit.transfer.take()
    }

    /// Takes the file that waits behind the current one.
    pub(crate) fn take_queued(&mut self, unit: usize) -> Option<Box<Transfer>> {
        self.all[unit].queued.take().map(|(_, transfer)| transfer)
    }

    /// Takes back a file that its child has not begun with, if there is one: the
    /// current one may take long.
    pub(crate) fn withdraw(&mut self) -> Option<Box<Transfer>> {
        let mut units = self.all.iter_mut().enumerate();
        units.find_map(|(place, unit)| {
            let counters = self.progress.counters(place);
            let (_, transfer) = unit.queued.take_if(|(task, _)| counters.claim(*task))?;
            Some(transfer)
        })
    }

    /// How many children still get files.
    pub(crate) fn in_use(&self) -> usize {
        self.all.iter().filter(|unit| !unit.retired).count()
    }
}
