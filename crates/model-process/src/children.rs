//! All children, as the parent sees them: asked, waited for, replaced, ended.
//!
//! Everything that happens arrives in one mailbox, in the order in which it
//! happened: the answers of all children, and after its last answer the end of
//! each one that has died. So there is one place to wait, and no wait is for
//! somebody who can no longer answer.

use std::collections::VecDeque;
use std::env;
use std::error::Error;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};
use ipc_channel::ipc::{self, IpcReceiver, IpcSender};
use ipc_channel::{IpcError, TryRecvError};
use rustix::process::{Resource, getrlimit};
use suite::{Result, Unsupported};

use crate::child::{Child, Failure, Starting};
use crate::shared::{Memory, Shared};
use crate::shelf::Shelf;
use crate::worker::{Answer, Mail, Name, News, Task};

/// The most children. Each takes half a megabyte, and a millisecond to start:
/// beyond this, a figure would be about memory and the scheduler.
pub const MOST_CHILDREN: usize = 256;

/// Descriptors that the parent needs for each child, at worst (while they all
/// start, or while a pipeline is laid), and for everything else.
const DESCRIPTORS_A_CHILD: u64 = 3;
const DESCRIPTORS_BESIDE: u64 = 64;
/// The same for a download, which can do with fewer children than there are
/// requests wanted, and so counts closely.
const DESCRIPTORS_BESIDE_DOWNLOAD: u64 = 24;

/// How often the same work may cost a child before it is given up.
pub const MOST_DEATHS: u32 = 5;

/// The children, by the place that each has.
pub struct Children {
    program: PathBuf,
    memory: Arc<Memory>,
    shelf: Shelf,
    places: Vec<Option<Child>>,
    mailbox: IpcReceiver<Mail>,
    /// Each child gets a copy. As this one stays, the mailbox never closes.
    address: IpcSender<Mail>,
    /// Mail that came while another child's was looked for.
    unread: VecDeque<Mail>,
    started: u64,
    last_end: String,
}

/// What a wait can end with.
pub enum Event {
    /// The child in this place has answered.
    Answer(usize, Result<Answer>),
    /// The child in this place has died; whether it still owed an answer.
    Death(usize, bool),
    /// Somebody in this process has knocked.
    Knock,
}

/// Wakes whoever waits for the next thing to happen.
pub struct Knocker(IpcSender<Mail>);

impl Knocker {
    /// Makes the wait, or the next one, end with [`Event::Knock`].
    pub fn knock(&self) {
        // It fails when there are no children any more, and nobody waits.
        let _ = self.0.send(Mail::Knock);
    }
}

/// A child has died, and with it what others were doing together with it.
#[derive(Debug)]
struct Died;

impl fmt::Display for Died {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a child died")
    }
}

impl Error for Died {}

impl Children {
    /// None yet, of this program.
    pub fn new(program: &Path) -> Result<Self> {
        let (address, mailbox) = ipc::channel().context("a mailbox")?;
        Ok(Self {
            program: program.to_owned(),
            memory: Arc::new(Memory::create()?),
            shelf: Shelf::new().context("sockets for what children are lent")?,
            places: Vec::new(),
            mailbox,
            address,
            unread: VecDeque::new(),
            started: 0,
            last_end: "an unknown cause".to_owned(),
        })
    }

    /// The memory that all children see.
    pub fn shared(&self) -> &Shared {
        &self.memory
    }

    /// The same, for those who look at it when they like.
    pub fn memory(&self) -> Arc<Memory> {
        Arc::clone(&self.memory)
    }

    /// Where a file can be laid that all children see.
    pub fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// For other threads of this process.
    pub fn knocker(&self) -> Knocker {
        Knocker(self.address.clone())
    }

    /// Whether there is a child in this place, as far as anybody knows.
    pub fn stands(&self, unit: usize) -> bool {
        self.places.get(unit).is_some_and(Option::is_some)
    }

    /// How the last child that ended did so.
    pub fn last_end(&self) -> &str {
        &self.last_end
    }

    /// Makes sure that the first `units` places are filled.
    pub fn stand(&mut self, units: usize) -> Result<()> {
        supported(units)?;
        self.make_places(units);
        self.fill(0..units)
    }

    /// Makes sure that the first places are filled: so many, or as many as can
    /// be had with the files that this process may open.
    pub fn stand_at_most(&mut self, units: usize) -> Result<()> {
        let units = at_most(units)?;
        self.make_places(units);
        self.fill(0..units)
    }

    /// Makes sure that there are places for so many, or as many as there can be,
    /// and that none of them is empty that was filled once: more children are
    /// started when there is work. Returns how many there are.
    pub fn replace_at_most(&mut self, units: usize) -> Result<usize> {
        let units = at_most(units)?;
        let before = self.places.len().min(units);
        self.make_places(units);
        self.fill(0..before)?;
        Ok(units)
    }

    fn make_places(&mut self, units: usize) {
        if self.places.len() < units {
            self.places.resize_with(units, || None);
        }
    }

    /// Makes sure that these places are filled.
    pub fn fill(&mut self, units: impl Iterator<Item = usize> + Clone) -> Result<()> {
        for _ in 0..=MOST_DEATHS {
            let missing: Vec<_> = (units.clone())
                .filter(|&unit| self.places[unit].is_none())
                .collect();
            if missing.is_empty() {
                return Ok(());
            }
            self.start(&missing)
                .with_context(|| format!("starting {}", self.program.display()))?;
        }
        bail!(
            "{} worker: children keep dying before they can be given work, the last by {}",
            self.program.display(),
            self.last_end
        )
    }

    /// Starts children for these places, all before the first is waited for.
    /// Where one dies on its way up, the place stays empty.
    fn start(&mut self, units: &[usize]) -> Result<()> {
        check_temporary_directory()?;
        let mut starting = Vec::new();
        let mut failure = Ok(());
        for &unit in units {
            let number = self.started;
            self.started += 1;
            let name = Name { unit, number };
            match Starting::launch(
                name,
                &self.program,
                &self.memory,
                &self.shelf,
                &self.address,
            ) {
                Ok(child) => starting.push(child),
                Err(error) => {
                    failure = Err(error);
                    break;
                }
            }
        }
        for child in starting {
            match child.welcome(&self.address) {
                Ok(child) => {
                    let unit = child.name.unit;
                    self.places[unit] = Some(child);
                }
                Err(Failure::NotStarted(error)) => failure = Err(error),
                Err(Failure::NoHello(name, process)) => {
                    // Whatever it is that came up instead of a child, it goes.
                    process.kill();
                    // What else comes until its end does is read later.
                    while !self.unread.iter().any(|mail| mail.is_of(name)) {
                        let mail = self.receive(None)?;
                        self.unread.extend(mail);
                    }
                    self.unread.retain(|mail| !mail.is_of(name));
                    self.last_end = process.reaped();
                }
            }
        }
        failure
    }

    /// Gives the child in this place a task. Of a death that nobody has noticed
    /// yet, the news is on its way.
    pub fn send(&mut self, unit: usize, task: Task) -> Result<()> {
        let place = self.places.get_mut(unit);
        let child = place.and_then(Option::as_mut).ok_or(Died)?;
        child.owes += 1;
        match child.tasks.send(task) {
            // How the kernel says that it is dead depends on whether it has left
            // a task unread.
            Err(IpcError::Io(error))
                if matches!(
                    error.kind(),
                    ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
                ) =>
            {
                Ok(())
            }
            sent => sent.with_context(|| format!("giving child {unit} its task")),
        }
    }

    /// Waits for the next thing to happen, until `deadline` at most.
    pub fn next(&mut self, deadline: Option<Instant>) -> Result<Option<Event>> {
        loop {
            let mail = match self.unread.pop_front() {
                Some(mail) => mail,
                None => match self.receive(deadline)? {
                    Some(mail) => mail,
                    None => return Ok(None),
                },
            };
            let Mail::Of(name, news) = mail else {
                return Ok(Some(Event::Knock));
            };
            let unit = name.unit;
            let Some(place) = self.places.get_mut(unit) else {
                continue;
            };
            let Some(child) = place.as_mut().filter(|child| child.name == name) else {
                continue;
            };
            match news {
                News::Answer(answer) => {
                    child.owes = child.owes.saturating_sub(1);
                    return Ok(Some(Event::Answer(unit, Ok(answer))));
                }
                News::Failure(text) => {
                    child.owes = child.owes.saturating_sub(1);
                    return Ok(Some(Event::Answer(unit, Err(anyhow!(text)))));
                }
                News::End => {
                    let owed = child.owes > 0;
                    let killed_here = child.ending;
                    let end = place.take().map(Child::reaped);
                    if let Some(end) = end.filter(|_| !killed_here) {
                        self.last_end = end;
                    }
                    return Ok(Some(Event::Death(unit, owed)));
                }
            }
        }
    }

    /// Waits for the next answer; [`Died`] when a child that owed one, or that
    /// another child needed, has died.
    pub fn answer(&mut self) -> Result<Answer> {
        loop {
            match self.next(None)? {
                Some(Event::Answer(_, Ok(Answer::Deserted))) => bail!(Died),
                Some(Event::Answer(_, answer)) => return answer,
                Some(Event::Death(_, true)) => bail!(Died),
                Some(Event::Death(_, false) | Event::Knock) | None => {}
            }
        }
    }

    /// Work that children do with each other, where no share of it can be told
    /// apart: an `attempt` that fails with [`Died`] is followed by another one,
    /// from the start. By then, every child that was still at work in the old one
    /// has ended too.
    pub fn together<T>(
        &mut self,
        units: usize,
        attempt: impl Fn(&mut Self) -> Result<T>,
    ) -> Result<T> {
        self.look();
        for _ in 0..=MOST_DEATHS {
            self.stand(units)?;
            let outcome = attempt(self);
            self.end_busy();
            match outcome {
                Err(error) if error.is::<Died>() => {}
                outcome => return outcome,
            }
        }
        bail!(
            "given up after {} attempts: a child died in each, the last by {}",
            MOST_DEATHS + 1,
            self.last_end
        )
    }

    /// Reads, between two jobs, which children have died since the last one.
    pub fn look(&mut self) {
        let now = Instant::now();
        while let Ok(Some(_)) = self.next(Some(now)) {}
    }

    /// Ends every child that still owes an answer.
    pub fn end_busy(&mut self) {
        self.end(|child| child.owes > 0);
    }

    /// Ends these children. When it returns they are reaped, and nothing that
    /// they did can follow.
    fn end(&mut self, which: impl Fn(&Child) -> bool) {
        for child in self
            .places
            .iter_mut()
            .flatten()
            .filter(|child| which(child))
        {
            child.kill();
        }
        let ending = |place: &Option<Child>| place.as_ref().is_some_and(|child| child.ending);
        while self.places.iter().any(ending) {
            if self.next(None).is_err() {
                return; // the mailbox is broken, and with it this model
            }
        }
    }

    /// Waits for mail that has not been read; `None` if there is none by then.
    fn receive(&self, deadline: Option<Instant>) -> Result<Option<Mail>> {
        loop {
            let received = match deadline {
                None => self.mailbox.recv().map_err(TryRecvError::IpcError),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    self.mailbox.try_recv_timeout(whole_milliseconds(left))
                }
            };
            match received {
                Ok(mail) => return Ok(Some(mail)),
                Err(TryRecvError::Empty) => return Ok(None),
                Err(TryRecvError::IpcError(IpcError::Io(error)))
                    if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("the mailbox"),
            }
        }
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        // An idle child would end by itself, but one that is stopped never does.
        self.end(|_| true);
    }
}

/// Refuses a temporary directory that is none, or too far down: ipc-channel
/// makes a socket there for each child, and would panic.
fn check_temporary_directory() -> Result<()> {
    /// A socket's path has at most 108 bytes; the rest is its own name.
    const LONGEST: usize = 80;
    let place = env::temp_dir();
    ensure!(
        place.is_dir() && place.as_os_str().len() <= LONGEST,
        "TMPDIR: {} has to be a directory, in at most {LONGEST} bytes",
        place.display()
    );
    Ok(())
}

/// Refuses more children than there can be.
fn supported(units: usize) -> Result<()> {
    check_most(units)?;
    let needed = units as u64 * DESCRIPTORS_A_CHILD + DESCRIPTORS_BESIDE;
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < needed => bail!(Unsupported(format!(
            "{units} child processes need up to {needed} open files, and the limit is {limit} (ulimit -n)"
        ))),
        _ => Ok(()),
    }
}

/// So many children, or as many as there can be with the files that this process
/// may open, and one in any case.
fn at_most(units: usize) -> Result<usize> {
    check_most(units)?;
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let can_be = limit.saturating_sub(DESCRIPTORS_BESIDE_DOWNLOAD) / DESCRIPTORS_A_CHILD;
    Ok(units.min(usize::try_from(can_be).unwrap_or(usize::MAX).max(1)))
}

fn check_most(units: usize) -> Result<()> {
    if units > MOST_CHILDREN {
        bail!(Unsupported(format!(
            "{units} units would be {units} child processes, and at most {MOST_CHILDREN} are started"
        )));
    }
    Ok(())
}

/// ipc-channel cuts a wait down to milliseconds, and one that is cut down to
/// nothing would make a loop spin: rounded up, then.
fn whole_milliseconds(wait: Duration) -> Duration {
    Duration::from_millis(wait.as_micros().div_ceil(1_000) as u64)
}
