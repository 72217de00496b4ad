//! Unit: child process, as many as the limit, dealt one file at a time, and while
//! they are quick one ahead. Shares: the rate, how far each file is, and what was
//! dealt ahead, in shared memory. Ends: the queue has nothing left; or the run is
//! stopped, and who is at work is killed.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use suite::Result;
use transfer::Turn;
use transfer::{DiskError, Finish, Key, Next, Options, Queue, Session, Transfer};

use crate::attempts::{Answer, Task, Terms};
use crate::children::{Children, Event, Knocker, MOST_DEATHS};
use crate::meters::Meters;
use crate::worker::{self, LONGEST_TEXT};

/// How long files that have every byte wait for others to get their names with.
const PATIENCE: Duration = Duration::from_secs(1);

/// A file that takes no longer is one of the quick ones. A child whose last one
/// was quick is dealt one ahead, and need not wait for the parent between two.
const QUICK: Duration = Duration::from_millis(10);
/// While files have to wait for a child, the children at work double in number: as
/// soon as a file is not quick, and else this often. More than keep the cores busy
/// only take turns, and each costs more than a millisecond of a core to start, in
/// which a dozen quick files would have come.
const GROWTH: Duration = Duration::from_millis(100);

/// Begins with `few` children at work.
pub fn run(session: &Arc<Session>, children: &mut Children, few: usize) -> Result<()> {
    let terms = Box::new(Terms::of(session)?);
    children.look();
    let limit = children.replace_at_most(session.options.limit)?;
    if limit < session.options.limit {
        session.note(&format!("too many files are open: {limit} at once"));
    }
    children.shared().rate.store(0, Relaxed);
    let meters = Arc::new(Meters::new(children.memory(), limit));
    let looked_at = Arc::clone(&meters);
    session.on_tally(move |session| looked_at.look(session));
    let files = Arc::new(Files::new(&session.options, children.knocker()));
    let stop = Arc::clone(&files);
    session.on_stop(move || stop.stop());

    thread::scope(|scope| {
        let (due, commits) = mpsc::channel();
        let thread = |name: &str| thread::Builder::new().name(name.to_owned());
        thread("names").spawn_scoped(scope, || commit(session, commits))?;
        let reader = thread("list").spawn_scoped(scope, || files.read(session));
        let mut units = Units {
            session,
            files: &files,
            meters: &meters,
            terms,
            units: (0..limit).map(|_| Unit::default()).collect(),
            at_work: limit,
            deaths: HashMap::new(),
            due,
            patience: None,
            active: few.clamp(1, limit),
            grown: Instant::now(),
            tasks: 0,
            children,
        };
        let served = reader.map_err(Into::into).and_then(|_| units.serve());
        // Nobody waits any more for those who are still at work.
        units.children.end_busy();
        (0..limit).for_each(|unit| drop(units.put_down(unit)));
        match served.map_err(anyhow::Error::downcast::<DiskError>) {
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

/// Gives files their names, and waits for the disk to have them, whenever it is
/// time to.
fn commit(session: &Session, due: mpsc::Receiver<()>) {
    for () in due {
        if let Err(error) = session.commit() {
            return session.stop_for(error);
        }
    }
}

/// The files that wait. Whoever deals them out waits for the children, so what
/// happens here is one of the things that happen there: a knock.
struct Files {
    queue: Mutex<Queue>,
    /// So much room has to be for more of the list to be read.
    half: usize,
    /// There is so much.
    room: Condvar,
    knocker: Knocker,
}

impl Files {
    fn new(options: &Options, knocker: Knocker) -> Self {
        let queue = Queue::new(options);
        Self {
            half: queue.room() / 2,
            queue: Mutex::new(queue),
            room: Condvar::new(),
            knocker,
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what others may be waiting for.
    fn change(&self, change: impl FnOnce(&mut Queue)) {
        change(&mut self.queue());
        self.room.notify_all();
        self.knocker.knock();
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

    /// Whether so many can begin, and more are left.
    fn has_more_than(&self, units: usize) -> bool {
        self.queue().ready() > units
    }

    /// What to do with a child that is free.
    fn turn(&self) -> Turn {
        let mut queue = self.queue();
        let turn = queue.turn(Instant::now());
        if queue.room() >= self.half {
            self.room.notify_one();
        }
        turn
    }
}

/// The children, as far as this download knows them.
struct Units<'a> {
    session: &'a Session,
    files: &'a Files,
    meters: &'a Meters,
    terms: Box<Terms>,
    units: Vec<Unit>,
    /// Those that are not given up.
    at_work: usize,
    /// Children that died while they had a file.
    deaths: HashMap<Key, u32>,
    /// To be told when files are to get their names.
    due: mpsc::Sender<()>,
    /// Until when those wait that have every byte, if there are any.
    patience: Option<Instant>,
    /// The places whose children get files.
    active: usize,
    /// When there were last more of these than before.
    grown: Instant,
    /// Tasks that were dealt ahead.
    tasks: u64,
    children: &'a mut Children,
}

/// The child in one place.
#[derive(Default)]
struct Unit {
    /// It knows the terms.
    knows: bool,
    /// What it downloads.
    file: Option<Box<Transfer>>,
    /// Since when.
    since: Option<Instant>,
    /// The last one took not long.
    quick: bool,
    /// What was dealt ahead, and the number of that task.
    ahead: Option<(u64, Box<Transfer>)>,
    /// It gets nothing any more.
    given_up: bool,
}

impl Units<'_> {
    /// Deals files out, and hears what comes of them, until nothing is left.
    fn serve(&mut self) -> Result<()> {
        while !self.session.is_stopped() {
            if self.patience.is_some_and(|until| until <= Instant::now()) {
                self.name();
            }
            let until = loop {
                let unit = match (self.free(), self.growth()) {
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
                    Turn::Begin(transfer) => self.deal(unit, transfer)?,
                    Turn::Wait(_) if self.take_back() => {}
                    Turn::Wait(when) => break when,
                    Turn::End => return Ok(()),
                }
            };
            let until = [until, self.patience].into_iter().flatten().min();
            match self.children.next(until)? {
                Some(Event::Answer(unit, answer)) => self.answered(unit, answer?)?,
                Some(Event::Death(unit, _)) => self.died(unit)?,
                Some(Event::Knock) | None => {}
            }
        }
        Ok(())
    }

    /// A child with nothing to do.
    fn free(&self) -> Option<usize> {
        let free = |unit: &Unit| unit.file.is_none() && !unit.given_up;
        (0..self.active).find(|&unit| free(&self.units[unit]))
    }

    /// A child that gets through its files quickly, where there is plenty of them.
    fn quick(&self) -> Option<usize> {
        let quick = |unit: &Unit| unit.quick && unit.file.is_some() && unit.ahead.is_none();
        let dealt = |unit: usize| self.children.shared().meters[unit].is_dealt();
        let plenty = || {
            let per_host = self.session.options.per_host;
            per_host.is_none() && self.files.has_more_than(self.active)
        };
        (0..self.active)
            .find(|&unit| quick(&self.units[unit]) && !dealt(unit))
            .filter(|_| plenty())
    }

    /// When there are to be more children at work, if that would help.
    fn growth(&self) -> Option<Instant> {
        let oldest = self.units.iter().filter_map(|unit| unit.since).min();
        let slow = oldest.map_or(self.grown, |since| since.max(self.grown)) + QUICK;
        let helps = self.active < self.units.len() && self.files.has_more_than(0);
        helps.then(|| slow.min(self.grown + GROWTH))
    }

    /// Has twice as many children at work, or as many as there can be. Where too
    /// few can be started, it goes on with those that there are.
    fn grow(&mut self) -> Result<()> {
        self.grown = Instant::now();
        self.active = (2 * self.active).min(self.units.len());
        let missing = |unit: &usize| !self.units[*unit].given_up && !self.children.stands(*unit);
        let missing: Vec<_> = (0..self.active).filter(missing).collect();
        let Err(error) = self.children.fill(missing.iter().copied()) else {
            return Ok(());
        };
        // Whatever there is too little of, there will be no more of it.
        for unit in 0..self.units.len() {
            self.units[unit].given_up |= !self.children.stands(unit);
        }
        self.at_work = self.units.iter().filter(|unit| !unit.given_up).count();
        if self.at_work == 0 {
            return Err(error);
        }
        let note = format!("{error:#}: {} at once from now on", self.at_work);
        self.session.note(&note);
        Ok(())
    }

    fn deal(&mut self, unit: usize, transfer: Box<Transfer>) -> Result<()> {
        // In a message, it may not be too long.
        if transfer.text_bytes() > 2 * LONGEST_TEXT {
            let why = "its URL, or what its server says of it, is too long to be sent to a child";
            self.rest(*transfer, &Next::Failed(why.to_owned()));
            return Ok(());
        }
        // It may never have been started, or have died with nothing to do.
        if !self.children.stands(unit) {
            self.children.fill(unit..unit + 1)?;
        }
        let mut ahead = None;
        if self.units[unit].file.is_some() {
            self.tasks += 1;
            ahead = Some(self.tasks);
            self.children.shared().meters[unit].deal(self.tasks);
            self.units[unit].ahead = Some((self.tasks, transfer.clone()));
        } else {
            self.begin(unit, transfer.clone());
        }
        let terms = (!self.units[unit].knows).then(|| self.terms.clone());
        self.units[unit].knows = true;
        let task = Task {
            terms,
            transfer,
            ahead,
        };
        self.children.send(unit, worker::Task::Download(task))
    }

    /// A child begins with a file.
    fn begin(&mut self, unit: usize, transfer: Box<Transfer>) {
        self.meters.begin(unit, &transfer, self.session);
        self.units[unit].since = Some(Instant::now());
        self.units[unit].file = Some(transfer);
    }

    /// Takes back a file that was dealt ahead, if there is one that its child has
    /// not begun with: it could be long until that comes to it.
    fn take_back(&mut self) -> bool {
        for unit in 0..self.units.len() {
            let meter = &self.children.shared().meters[unit];
            let claim = |ahead: &mut (u64, _)| meter.claim(ahead.0);
            if let Some((_, transfer)) = self.units[unit].ahead.take_if(claim) {
                self.rest(*transfer, &Next::Now);
                return true;
            }
        }
        false
    }

    fn answered(&mut self, unit: usize, answer: worker::Answer) -> Result<()> {
        let answer = match answer {
            worker::Answer::Download(answer) => *answer,
            other => return Err(other.unexpected()),
        };
        if let Answer::TakenBack = answer {
            return Ok(());
        }
        let dealt = self.put_down(unit).context("a child answered unasked")?;
        if let Some((_, transfer)) = self.units[unit].ahead.take() {
            self.begin(unit, transfer);
        }
        let session = self.session;
        let host = dealt.host().to_owned(); // until a redirect
        let (mut transfer, mut next) = match answer {
            Answer::Finished(Finish::Whole(file)) => {
                self.patience.get_or_insert(Instant::now() + PATIENCE);
                if session.finished(file) {
                    self.name();
                }
                (dealt, Next::Complete)
            }
            Answer::Finished(Finish::Mismatch(why)) => (dealt, Next::Failed(why)),
            Answer::Left(transfer, next) => (transfer, next),
            Answer::Refused(refusal) => return Err(DiskError::from(refusal).into()),
            Answer::TakenBack => return Ok(()),
        };
        match next {
            Next::Crowded => {
                // It may not have come as far as to know them.
                self.units[unit].knows = false;
                next = session.crowded(&mut transfer, &self.files.queue());
            }
            // What was dealt ahead would not leave it alone.
            Next::HostAfter(_) => while self.take_back() {},
            _ => {}
        }
        self.rest_at(&host, *transfer, &next);
        Ok(())
    }

    /// A file that was dealt has ended, or goes on as `next` says. Whoever tells
    /// it looks for what is next anyway.
    fn rest(&self, transfer: Transfer, next: &Next) {
        let host = transfer.host().to_owned();
        self.rest_at(&host, transfer, next);
    }

    /// The same, of a file that may have been sent elsewhere since.
    fn rest_at(&self, host: &str, transfer: Transfer, next: &Next) {
        if let Next::Failed(why) = next {
            self.session.fail(&transfer, why.clone());
        }
        let now = Instant::now();
        let _ = self.files.queue().rest(host, transfer, Some(next), now);
    }

    /// Has those files named that have every byte.
    fn name(&mut self) {
        self.patience = None;
        // Nobody listens any more if the disk has refused.
        let _ = self.due.send(());
    }

    /// The child in this place has died. Another one goes on with its file.
    fn died(&mut self, unit: usize) -> Result<()> {
        self.units[unit].knows = false;
        if let Some((_, transfer)) = self.units[unit].ahead.take() {
            self.rest(*transfer, &Next::Now);
        }
        let Some(mut transfer) = self.put_down(unit) else {
            return Ok(());
        };
        let how = self.children.last_end().to_owned();
        let deaths = self.deaths.entry(transfer.key).or_default();
        *deaths += 1;
        let next = if *deaths > MOST_DEATHS {
            let times = *deaths;
            Next::Failed(format!(
                "given up after {times} children died of it, the last by {how}"
            ))
        } else {
            transfer.part = self.session.part_of(&transfer)?;
            Next::Now
        };
        self.rest(*transfer, &next);
        // The server may not notice at once: what the child had asked for is in
        // flight still, so there is one request less at once from now on.
        if self.at_work > 1 {
            self.at_work -= 1;
            self.units[unit].given_up = true;
            let note = format!(
                "a child died by {how}: {} at once from now on",
                self.at_work
            );
            self.session.note(&note);
        }
        Ok(())
    }

    /// What the child in this place has had.
    fn put_down(&mut self, unit: usize) -> Option<Box<Transfer>> {
        self.meters.end(unit, self.session);
        let unit = &mut self.units[unit];
        let since = unit.since.take();
        unit.quick = since.is_some_and(|since| since.elapsed() <= QUICK);
        unit.file.take()
    }
}
