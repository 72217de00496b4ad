//! `ping-pong`: a token goes round a ring of units, each of which waits for it.
//!
//! Shows what a switch from one unit to the next costs: nothing else is done.
//! Two units play it back and forth.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Invalid, Phases, Preset, WrongAnswer};

/// How large the ring is, and how far the token goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Units in the ring. One passes the token to itself.
    pub units: usize,
    /// How often the token is passed on.
    pub passes: u64,
}

/// How far the token came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Passes that arrived.
    pub passes: u64,
    /// Those of them that were not the one that the unit expected.
    pub out_of_order: u64,
    /// Where the time went.
    #[serde(default)]
    pub phases: Phases,
}

impl Outcome {
    /// What two units saw, together.
    pub fn merge(self, other: Self) -> Self {
        Self {
            passes: self.passes + other.passes,
            out_of_order: self.out_of_order + other.out_of_order,
            phases: self.phases,
        }
    }
}

/// One unit's place in the ring.
///
/// The token is the number of its pass, from 0. Pass `n` leads from unit `n` to
/// unit `n + 1`, both counted round the ring.
///
/// ```
/// # use suite::{ping_pong::{Job, Station}};
/// let job = Job { units: 2, passes: 3 };
/// let (mut ping, mut pong) = (Station::new(&job, 0), Station::new(&job, 1));
/// let mut token = ping.first();
/// while let Some(pass) = token {
///     // Here the token travels.
///     let to = if pass % 2 == 0 { &mut pong } else { &mut ping };
///     token = to.pass(pass);
/// }
/// assert!(!ping.waits() && !pong.waits());
/// assert_eq!(ping.outcome().merge(pong.outcome()).passes, 3);
/// ```
#[derive(Debug, Clone)]
pub struct Station {
    unit: u64,
    units: u64,
    passes: u64,
    /// The next pass that should arrive here.
    next: u64,
    seen: Outcome,
}

impl Station {
    /// The place of this unit, counted from 0.
    pub fn new(job: &Job, unit: usize) -> Self {
        let (unit, units) = (unit as u64, job.units as u64);
        Self {
            unit,
            units,
            passes: job.passes,
            next: (unit + units - 1) % units,
            seen: Outcome::default(),
        }
    }

    /// The token that this unit sends off before it waits for any: the first
    /// unit's, if there is to be a pass at all.
    pub fn first(&self) -> Option<u64> {
        (self.unit == 0 && self.passes > 0).then_some(0)
    }

    /// Whether another pass has still to arrive here.
    #[inline]
    pub fn waits(&self) -> bool {
        self.next < self.passes
    }

    /// The token has arrived; gives it as it is passed on, or nothing after the
    /// last pass.
    #[inline]
    pub fn pass(&mut self, token: u64) -> Option<u64> {
        self.seen.passes += 1;
        self.seen.out_of_order += u64::from(token != self.next);
        self.next += self.units;
        (token + 1 < self.passes).then_some(token + 1)
    }

    /// What this unit has seen.
    pub fn outcome(self) -> Outcome {
        self.seen
    }
}

impl Job {
    pub(crate) fn preset(preset: Preset) -> Self {
        match preset {
            Preset::Article => Self {
                units: 2,
                passes: 10_000,
            },
            // Some microseconds a pass for threads and processes: half a second.
            Preset::Heavy => Self {
                units: 100,
                passes: 100_000,
            },
        }
    }

    pub(crate) fn units(&self) -> usize {
        self.units
    }

    pub(crate) fn validate(&self) -> Result<(), Invalid> {
        Invalid::unless_within("units", self.units as u64, 1, 1_000_000)?;
        Invalid::unless_within("passes", self.passes, 0, 1_000_000_000)
    }

    pub(crate) fn scaled(&self, divisor: u64) -> Self {
        Self {
            passes: (self.passes / divisor).max(1),
            ..self.clone()
        }
    }

    /// Every pass, in order.
    pub fn check(&self, outcome: &Outcome) -> Result<(), WrongAnswer> {
        WrongAnswer::unless(
            outcome.passes == self.passes,
            "passes",
            outcome.passes,
            self.passes,
        )?;
        WrongAnswer::unless(
            outcome.out_of_order == 0,
            "out_of_order",
            outcome.out_of_order,
            0,
        )
    }

    pub(crate) fn summary(&self, outcome: &Outcome, elapsed: Duration) -> String {
        format!(
            "{} passes in order round {} units; {:.3?} a pass",
            outcome.passes,
            self.units,
            elapsed.div_f64(outcome.passes.max(1) as f64)
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Plays the whole ring in one loop, with `hand` between two stations.
    fn play(job: &Job, mut hand: impl FnMut(u64) -> u64) -> Outcome {
        let mut ring: Vec<_> = (0..job.units).map(|unit| Station::new(job, unit)).collect();
        let mut token = ring[0].first();
        let mut at = 0;
        while let Some(pass) = token {
            at = (at + 1) % job.units;
            if !ring[at].waits() {
                break;
            }
            token = ring[at].pass(hand(pass));
        }
        let seen = ring.into_iter().map(Station::outcome);
        seen.fold(Outcome::default(), Outcome::merge)
    }

    proptest! {
        #[test]
        fn any_ring_sees_each_pass_once_and_then_waits_no_more(units in 1usize..12, passes in 0u64..60) {
            let job = Job { units, passes };
            let seen = play(&job, |token| token);
            prop_assert!(job.check(&seen).is_ok(), "{seen:?}");
            let mut ring: Vec<_> = (0..units).map(|unit| Station::new(&job, unit)).collect();
            for pass in 0..passes {
                let station = &mut ring[(pass as usize + 1) % units];
                prop_assert!(station.waits());
                station.pass(pass);
            }
            prop_assert!(ring.iter().all(|station| !station.waits()));
        }

        #[test]
        fn a_pass_left_out_or_doubled_is_found(units in 1usize..12, passes in 3u64..60, at in 0u64..58) {
            let job = Job { units, passes };
            let at = at % (passes - 2);
            let left_out = play(&job, |token| if token == at { token + 1 } else { token });
            prop_assert!(job.check(&left_out).is_err(), "{left_out:?}");
            let mut again = true;
            let doubled = play(&job, |token| {
                if token == at + 1 && std::mem::take(&mut again) { at } else { token }
            });
            prop_assert!(job.check(&doubled).is_err(), "{doubled:?}");
        }
    }
}
