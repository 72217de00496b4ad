//! Work in chunks: children get new ones as they answer, and what a child had when
//! it died is given to another.

use std::collections::VecDeque;
use std::mem;
use std::time::Instant;

use anyhow::bail;
use suite::Result;

use crate::pool::children::{Children, Event};
use crate::pool::limits::MAX_DEATHS;
use crate::pool::protocol::{Answer, Task};

/// Chunks on their way through the children. Dropping it early kills the children
/// that still have one.
pub(crate) struct Chunks<'a, I: Iterator> {
    children: &'a mut Children,
    /// Not dispatched yet.
    fresh: I,
    /// Dispatched to children that have died.
    requeued: Vec<Chunk<I::Item>>,
    /// What each child has; it works on the first.
    dispatched: Vec<VecDeque<Chunk<I::Item>>>,
    task: fn(I::Item) -> Task,
    describe: fn(&I::Item) -> String,
    unanswered: usize,
}

struct Chunk<C> {
    content: C,
    /// Children that died while they worked on it.
    deaths: u32,
}

impl<'a, C, I> Chunks<'a, I>
where
    C: Clone,
    I: ExactSizeIterator<Item = C>,
{
    /// Dispatches `chunks` to this many children, as the `task` made of each. An
    /// error names a chunk as `describe` does.
    pub(crate) fn dispatch(
        children: &'a mut Children,
        units: usize,
        chunks: impl IntoIterator<IntoIter = I>,
        task: fn(C) -> Task,
        describe: fn(&C) -> String,
    ) -> Result<Self> {
        let fresh = chunks.into_iter();
        let units = units.max(1).min(fresh.len());
        children.drain_events();
        children.ensure_started(units)?;
        let mut chunks = Self {
            children,
            unanswered: fresh.len(),
            fresh,
            requeued: Vec::new(),
            dispatched: (0..units).map(|_| VecDeque::new()).collect(),
            task,
            describe,
        };
        for unit in 0..units {
            chunks.dispatch_to(unit, 1)?;
        }
        Ok(chunks)
    }

    /// Whether all chunks have been answered.
    pub(crate) fn is_done(&self) -> bool {
        self.unanswered == 0
    }

    /// The next answer, in any order; `None` when all have arrived, or none has by
    /// `deadline`. A chunk that fails fails the whole.
    pub(crate) fn answer(&mut self, deadline: Option<Instant>) -> Result<Option<Answer>> {
        while !self.is_done() {
            match self.children.next_event(deadline)? {
                None => break,
                Some(Event::Answer(unit, answer)) => {
                    self.dispatched[unit].pop_front();
                    self.unanswered -= 1;
                    let answer = answer?;
                    self.dispatch_to(unit, 2)?;
                    return Ok(Some(answer));
                }
                Some(Event::Death(unit, true)) => {
                    self.requeue(unit)?;
                    self.dispatch_requeued()?;
                }
                // It was idle. Another is started when there is work for it.
                Some(Event::Death(_, false) | Event::Wake) => {}
            }
        }
        Ok(None)
    }

    /// Fills a child up to `max` chunks: one, and one ahead of it, so that it does
    /// not wait for the parent between the two. None is sent ahead at the
    /// beginning, when the longest are dispatched, or towards the end: it could
    /// wait behind a long one while other children are idle.
    fn dispatch_to(&mut self, unit: usize, max: usize) -> Result<()> {
        let plenty = self.fresh.len() > self.dispatched.len();
        let enough = if plenty { max } else { 1 };
        while self.dispatched[unit].len() < enough {
            let fresh = |content| Chunk { content, deaths: 0 };
            let requeued = self.requeued.pop();
            let Some(chunk) = requeued.or_else(|| self.fresh.next().map(fresh)) else {
                break;
            };
            let task = (self.task)(chunk.content.clone());
            self.dispatched[unit].push_back(chunk);
            self.children.send(unit, task)?;
        }
        Ok(())
    }

    /// The child in this place has died: takes back what it had.
    fn requeue(&mut self, unit: usize) -> Result<()> {
        let mut chunks = mem::take(&mut self.dispatched[unit]);
        if let Some(Chunk { content, deaths }) = chunks.front_mut() {
            *deaths += 1;
            if *deaths > MAX_DEATHS {
                bail!(
                    "{}: given up after {deaths} children died of it, the last by {}",
                    (self.describe)(content),
                    self.children.last_exit
                );
            }
        }
        self.requeued.extend(chunks.into_iter().rev());
        Ok(())
    }

    /// Gives what was taken back to idle children, among them the new one in the
    /// place of the one that died.
    fn dispatch_requeued(&mut self) -> Result<()> {
        let units = self.dispatched.len();
        self.children.ensure_started(units)?;
        for unit in 0..units {
            if self.requeued.is_empty() {
                break;
            }
            if self.dispatched[unit].is_empty() {
                self.dispatch_to(unit, 1)?;
            }
        }
        Ok(())
    }
}

impl<I: Iterator> Drop for Chunks<'_, I> {
    fn drop(&mut self) {
        if self.unanswered > 0 {
            self.children.kill_busy();
        }
    }
}
