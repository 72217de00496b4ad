//! All children, as the parent sees them: started, given tasks, replaced, killed.
//!
//! Everything that happens arrives in one mailbox, in the order in which it
//! happened: the answers of all children, and after its last answer the exit of
//! each one that has died. So there is one place to wait, and no wait is for a
//! child that can no longer answer.

use std::error::Error;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, anyhow, bail};
use ipc_channel::IpcError;
use suite::Result;

use crate::pool::child::{Child, StartError, Starting};
use crate::pool::fd_passing::FdSlot;
use crate::pool::limits::{MAX_DEATHS, at_most, check_supported, check_temporary_directory};
use crate::pool::mailbox::{Mailbox, Waker};
use crate::pool::protocol::{Answer, ChildEvent, ChildId, Message, Task};
use crate::shm::Memory;

pub(crate) struct Children {
    program: PathBuf,
    pub(crate) memory: Arc<Memory>,
    pub(crate) fd_slot: FdSlot,
    places: Vec<Option<Child>>,
    mailbox: Mailbox,
    /// Children that have ever been started.
    started: u64,
    /// How the last child that was not killed from here ended.
    pub(crate) last_exit: String,
}

/// What a wait can end with.
pub(crate) enum Event {
    /// The child in this place has answered.
    Answer(usize, Result<Answer>),
    /// The child in this place has died; whether it had a task.
    Death(usize, bool),
    /// Another thread of this process has called [`Waker::wake`].
    Wake,
}

/// A child has died, and what it did together with others cannot be completed.
#[derive(Debug)]
struct ChildDied;

impl fmt::Display for ChildDied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a child died")
    }
}

impl Error for ChildDied {}

impl Children {
    /// Starts none yet. All will run this program.
    pub(crate) fn new(program: &Path) -> Result<Self> {
        Ok(Self {
            program: program.to_owned(),
            memory: Arc::new(Memory::create()?),
            fd_slot: FdSlot::new().context("sockets to pass files to children")?,
            places: Vec::new(),
            mailbox: Mailbox::new()?,
            started: 0,
            last_exit: "an unknown cause".to_owned(),
        })
    }

    pub(crate) fn waker(&self) -> Waker {
        self.mailbox.waker()
    }

    /// Whether there is a child in this place, according to what has been read.
    pub(crate) fn is_started(&self, unit: usize) -> bool {
        self.places.get(unit).is_some_and(Option::is_some)
    }

    /// Whether the child in this place has a task, according to what has been read.
    pub(crate) fn is_busy(&self, unit: usize) -> bool {
        let child = self.places.get(unit).and_then(Option::as_ref);
        child.is_some_and(|child| child.unanswered > 0)
    }

    /// Makes sure that there is a child in each of the first `units` places.
    pub(crate) fn ensure_started(&mut self, units: usize) -> Result<()> {
        check_supported(units)?;
        self.make_places(units);
        self.start_missing(0..units)
    }

    /// Makes sure that there are `units` places, or as many as there can be with the
    /// files that this process may open, and a child in each one that existed
    /// before: more are started when there is work. Returns the number of places.
    pub(crate) fn reserve_at_most(&mut self, units: usize) -> Result<usize> {
        let units = at_most(units)?;
        let before = self.places.len().min(units);
        self.make_places(units);
        self.start_missing(0..before)?;
        Ok(units)
    }

    fn make_places(&mut self, units: usize) {
        if self.places.len() < units {
            self.places.resize_with(units, || None);
        }
    }

    /// Makes sure that there is a child in each of these places.
    pub(crate) fn start_missing(
        &mut self,
        units: impl Iterator<Item = usize> + Clone,
    ) -> Result<()> {
        for _ in 0..=MAX_DEATHS {
            let missing: Vec<_> = units
                .clone()
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
            self.last_exit
        )
    }

    /// Starts children for these places, all before it waits for the first. Where
    /// one dies before it is ready, the place stays empty.
    fn start(&mut self, units: &[usize]) -> Result<()> {
        check_temporary_directory()?;
        let mut starting = Vec::new();
        let mut failure = Ok(());
        for &unit in units {
            let number = self.started;
            self.started += 1;
            let id = ChildId { unit, number };
            let mailbox = &self.mailbox.sender;
            match Starting::spawn(id, &self.program, &self.memory, &self.fd_slot, mailbox) {
                Ok(child) => starting.push(child),
                Err(error) => {
                    failure = Err(error);
                    break;
                }
            }
        }
        for child in starting {
            match child.shake_hands(&self.mailbox.sender) {
                Ok(child) => {
                    let unit = child.id.unit;
                    self.places[unit] = Some(child);
                }
                Err(StartError::NoProcess(error)) => failure = Err(error),
                Err(StartError::NoHello(id, process)) => {
                    // It may be alive, and something else than a child.
                    process.kill();
                    self.mailbox.wait_for_exit(id)?;
                    self.last_exit = process.exit_status();
                }
            }
        }
        failure
    }

    /// Gives the child in this place a task. If it has died and this is not known
    /// yet, the message of its exit is still to come.
    pub(crate) fn send(&mut self, unit: usize, task: Task) -> Result<()> {
        let place = self.places.get_mut(unit);
        let child = place.and_then(Option::as_mut).ok_or(ChildDied)?;
        child.unanswered += 1;
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

    /// Waits for the next event; `None` if there is none by `deadline`.
    pub(crate) fn next_event(&mut self, deadline: Option<Instant>) -> Result<Option<Event>> {
        while let Some(message) = self.mailbox.next(deadline)? {
            let Message::Child(id, event) = message else {
                return Ok(Some(Event::Wake));
            };
            let unit = id.unit;
            let child = self.places.get_mut(unit).and_then(Option::as_mut);
            let Some(child) = child.filter(|child| child.id == id) else {
                continue;
            };
            let answer = match event {
                ChildEvent::Answer(answer) => Ok(answer),
                ChildEvent::Failure(text) => Err(anyhow!(text)),
                ChildEvent::Exit => {
                    let (busy, killed) = (child.unanswered > 0, child.killed);
                    let exit = self.places[unit]
                        .take()
                        .map(|child| child.process.exit_status());
                    if let Some(exit) = exit.filter(|_| !killed) {
                        self.last_exit = exit;
                    }
                    return Ok(Some(Event::Death(unit, busy)));
                }
            };
            child.unanswered = child.unanswered.saturating_sub(1);
            return Ok(Some(Event::Answer(unit, answer)));
        }
        Ok(None)
    }

    /// Waits for the next answer; [`ChildDied`] when a child that had a task, or
    /// that another child needed, has died.
    pub(crate) fn answer(&mut self) -> Result<Answer> {
        loop {
            match self.next_event(None)? {
                Some(Event::Answer(_, Ok(Answer::PeerGone))) => bail!(ChildDied),
                Some(Event::Answer(_, answer)) => return answer,
                Some(Event::Death(_, true)) => bail!(ChildDied),
                Some(Event::Death(_, false) | Event::Wake) | None => {}
            }
        }
    }

    /// Waits until the children in the first `units` places, which end after their
    /// task, have done so.
    pub(crate) fn wait_for_ends(&mut self, units: usize) -> Result<()> {
        while (0..units).any(|unit| self.is_started(unit)) {
            self.next_event(None)?;
        }
        Ok(())
    }

    /// Runs work that children do with each other, where a dead child's part
    /// cannot be done again on its own: after an attempt that fails with
    /// [`ChildDied`] the whole is attempted again. Every child that was still at
    /// work has been killed by then.
    pub(crate) fn run_all_or_retry<T>(
        &mut self,
        units: usize,
        attempt: impl Fn(&mut Self) -> Result<T>,
    ) -> Result<T> {
        self.drain_events();
        for _ in 0..=MAX_DEATHS {
            self.ensure_started(units)?;
            let outcome = attempt(self);
            self.kill_busy();
            match outcome {
                Err(error) if error.is::<ChildDied>() => {}
                outcome => return outcome,
            }
        }
        bail!(
            "given up after {} attempts: a child died in each, the last by {}",
            MAX_DEATHS + 1,
            self.last_exit
        )
    }

    /// Reads, between two jobs, which children have died since the last one.
    pub(crate) fn drain_events(&mut self) {
        let now = Instant::now();
        while let Ok(Some(_)) = self.next_event(Some(now)) {}
    }

    /// Kills every child that has a task.
    pub(crate) fn kill_busy(&mut self) {
        self.kill(|child| child.unanswered > 0);
    }

    /// Kills these children. When it returns they are reaped, and nothing that
    /// they did can follow.
    fn kill(&mut self, which: impl Fn(&Child) -> bool) {
        let children = self.places.iter_mut().flatten();
        children.filter(|child| which(child)).for_each(Child::kill);
        while self.places.iter().flatten().any(|child| child.killed) {
            if self.next_event(None).is_err() {
                return; // the mailbox is broken, and with it this model
            }
        }
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        // An idle child would end by itself, but a stopped one would not.
        self.kill(|_| true);
    }
}
