//! Work that comes in shares: dealt out to children as they get through theirs,
//! and dealt out again when the child that held it dies.

use std::collections::VecDeque;
use std::fmt::Display;
use std::mem;
use std::time::Instant;

use anyhow::bail;
use suite::Result;

use crate::children::{Children, Event, MOST_DEATHS};
use crate::worker::{Answer, Task};

/// Shares on their way through the children. Dropping it early ends the children
/// that are still at work on one.
pub struct Shares<'a, I: Iterator> {
    children: &'a mut Children,
    /// Not dealt out yet.
    fresh: I,
    /// Dealt out, and come back from the dead.
    returned: Vec<Share<I::Item>>,
    /// What each child holds: at the front what it works on.
    held: Vec<VecDeque<Share<I::Item>>>,
    task: fn(I::Item) -> Task,
    unanswered: usize,
}

struct Share<S> {
    share: S,
    /// Children that died while they worked on it.
    deaths: u32,
}

impl Children {
    /// Deals `shares` out to so many children, as what `task` makes of each.
    pub fn deal<S, I>(
        &mut self,
        units: usize,
        shares: impl IntoIterator<IntoIter = I>,
        task: fn(S) -> Task,
    ) -> Result<Shares<'_, I>>
    where
        S: Clone + Display,
        I: ExactSizeIterator<Item = S>,
    {
        let fresh = shares.into_iter();
        let units = units.max(1).min(fresh.len());
        self.look();
        self.stand(units)?;
        let mut shares = Shares {
            children: self,
            unanswered: fresh.len(),
            fresh,
            returned: Vec::new(),
            held: (0..units).map(|_| VecDeque::new()).collect(),
            task,
        };
        for unit in 0..units {
            shares.deal_to(unit, 1)?;
        }
        Ok(shares)
    }
}

impl<S, I> Shares<'_, I>
where
    S: Clone + Display,
    I: ExactSizeIterator<Item = S>,
{
    /// Whether all shares have been answered.
    pub fn is_done(&self) -> bool {
        self.unanswered == 0
    }

    /// The next answer, which comes in any order; none when all have come, or
    /// none comes by `deadline`. A share that failed fails all.
    pub fn answer(&mut self, deadline: Option<Instant>) -> Result<Option<Answer>> {
        while !self.is_done() {
            match self.children.next(deadline)? {
                None => break,
                Some(Event::Answer(unit, answer)) => {
                    self.held[unit].pop_front();
                    self.unanswered -= 1;
                    let answer = answer?;
                    self.deal_to(unit, 2)?;
                    return Ok(Some(answer));
                }
                Some(Event::Death(unit, true)) => {
                    self.take_back(unit)?;
                    self.deal_again()?;
                }
                // It had nothing to do. It will be missed when there is.
                Some(Event::Death(_, false) | Event::Knock) => {}
            }
        }
        Ok(None)
    }

    /// Gives a child what it should hold: one share, and one ahead of it, so that
    /// it need not wait for the parent in between. Nothing is given ahead at the
    /// beginning, when the longest are dealt, or towards the end: it could wait
    /// behind a long one while others idle.
    fn deal_to(&mut self, unit: usize, most: usize) -> Result<()> {
        let plenty = self.fresh.len() > self.held.len();
        let enough = if plenty { most } else { 1 };
        while self.held[unit].len() < enough {
            let fresh = |share| Share { share, deaths: 0 };
            let next = self.returned.pop();
            let Some(share) = next.or_else(|| self.fresh.next().map(fresh)) else {
                break;
            };
            let task = (self.task)(share.share.clone());
            self.held[unit].push_back(share);
            self.children.send(unit, task)?;
        }
        Ok(())
    }

    /// The child in this place has died: what it held is to be dealt out again.
    fn take_back(&mut self, unit: usize) -> Result<()> {
        let mut held = mem::take(&mut self.held[unit]);
        if let Some(Share { share, deaths }) = held.front_mut() {
            *deaths += 1;
            if *deaths > MOST_DEATHS {
                bail!(
                    "{share}: given up after {deaths} children died of it, the last by {}",
                    self.children.last_end()
                );
            }
        }
        self.returned.extend(held.into_iter().rev());
        Ok(())
    }

    /// Deals what was taken back to those who hold nothing: first of all to a
    /// fresh child in the place of the one that died.
    fn deal_again(&mut self) -> Result<()> {
        let units = self.held.len();
        self.children.stand(units)?;
        for unit in 0..units {
            if self.returned.is_empty() {
                break;
            }
            if self.held[unit].is_empty() {
                self.deal_to(unit, 1)?;
            }
        }
        Ok(())
    }
}

impl<I: Iterator> Drop for Shares<'_, I> {
    fn drop(&mut self) {
        if self.unanswered > 0 {
            self.children.end_busy();
        }
    }
}
