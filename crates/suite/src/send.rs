//! `send`: files go to another process over TCP, and have to arrive whole.
//!
//! Shows what certainty costs: a digest at both ends, the receiver's word that it has synced the
//! file, and going on where a connection was cut.
//!
//! Sender and receiver are both the model's, in two processes. What both decide is shared
//! (`file_send`, which describes the protocol); connecting, accepting, reading and writing,
//! where calls may block, timers and the end are the model's. Where a job wants cuts or flipped
//! bits, a neutral relay between the two makes them, and counts.

mod ends;

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use file_send::PIECE_BYTES;
use serde::{Deserialize, Serialize};

use crate::{Invalid, Preset, Result, WrongAnswer};

pub use ends::{Observer, Receiving, Sending};

/// The most bytes that frames take for each file and each connection.
const FRAME_BYTES: u64 = 2 * 1024;

/// How many files of which size, and what happens to them on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Files.
    pub files: u64,
    /// Bytes of each.
    pub bytes: u64,
    /// The most connections at once. Each takes the next file when it has sent one.
    pub streams: usize,
    /// After how many bytes a connection is cut; 0 for never.
    pub cut: u64,
    /// How many connections are cut in all.
    pub cuts: u64,
    /// Which bit is flipped of all that go to the receiver, from 1; 0 for none.
    pub flip: u64,
    /// How bytes come from a file into a connection.
    pub path: file_send::Path,
    /// Whether the receiver has a file on the disk before it says that it has it.
    pub sync: bool,
    /// What to send for one run. Filled in when the job is run.
    #[serde(skip)]
    pub sending: Option<Arc<Sending>>,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Files that the receiver has, by its word.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Those of the files that outlast a power cut.
    pub synced: u64,
    /// Those of the files that the receiver had before.
    pub before: u64,
    /// The most connections that were open at once.
    pub connections: u64,
    /// Bytes of files that were sent, also those that were sent again.
    pub sent: u64,
    /// How often a file was tried again.
    pub retries: u64,
    /// What the relay has seen, if there was one. Filled in after the run.
    pub relay: Option<Relayed>,
}

/// What the relay has seen between sender and receiver.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relayed {
    /// Connections.
    pub connections: u64,
    /// The most that were open at once.
    pub most_at_once: u64,
    /// Those that it has cut.
    pub cuts: u64,
    /// Bits that it has flipped.
    pub flips: u64,
    /// Bytes that have gone to the receiver.
    pub bytes: u64,
    /// Its processor time, in nanoseconds.
    pub cpu_ns: u64,
}

impl Job {
    pub(crate) fn preset(preset: Preset) -> Self {
        let common = Self {
            files: 3,
            bytes: 1 << 20,
            streams: 1,
            cut: 1_500_000,
            cuts: 1,
            flip: 0,
            path: file_send::Path::Copy,
            sync: true,
            sending: None,
        };
        match preset {
            Preset::Article => common,
            Preset::Heavy => Self {
                files: 64,
                bytes: 4 << 20,
                streams: 8,
                cut: 0,
                cuts: 0,
                ..common
            },
        }
    }

    /// What to send.
    ///
    /// # Panics
    ///
    /// If it is not filled in: running a prepared job does that.
    pub fn sending(&self) -> &Arc<Sending> {
        self.sending.as_ref().expect("a prepared job has files")
    }

    /// Whether a relay is between the sender and the receiver.
    pub fn has_relay(&self) -> bool {
        self.cut > 0 || self.flip > 0
    }

    /// Has `run` send everything.
    pub(crate) fn run(&self, run: impl FnOnce(&Arc<Sending>) -> Result<()>) -> Result<Outcome> {
        let sending = self.sending();
        run(sending)?;
        if let (failures, Some(first)) = sending.failures() {
            bail!("{failures} of {} files: {first}", self.files);
        }
        Ok(sending.outcome())
    }

    pub(crate) fn units(&self) -> usize {
        let files = usize::try_from(self.files).unwrap_or(usize::MAX);
        self.streams.min(files)
    }

    /// All bytes of all files.
    pub fn all_bytes(&self) -> u64 {
        self.files * self.bytes
    }

    pub(crate) fn validate(&self) -> std::result::Result<(), Invalid> {
        Invalid::unless_within("files", self.files, 1, 100_000)?;
        Invalid::unless_within("bytes", self.bytes, 0, 1 << 30)?;
        Invalid::unless_within("streams", self.streams as u64, 1, 1_000)?;
        Invalid::unless_within("cuts", self.cuts, 0, 1_000)?;
        if self.cuts > 0 {
            // Then, and only then, it is certain that some connection comes so far.
            let most = self.all_bytes() / (self.cuts - 1 + self.streams as u64);
            Invalid::unless_within("cut", self.cut, 1, most.max(1))?;
        } else {
            Invalid::unless_within("cut", self.cut, 0, 0)?;
        }
        Invalid::unless_within("flip", self.flip, 0, 8 * self.bytes)
    }

    pub(crate) fn scaled(&self, divisor: u64) -> Self {
        let mut job = self.clone();
        // No fewer than streams, or some of these would have nothing to do.
        let least = self.files.min(self.streams as u64);
        job.files = (self.files / divisor).max(least);
        if job.cuts > 0 {
            let most = job.all_bytes() / (job.cuts - 1 + job.streams as u64);
            job.cut = job.cut.min(most.max(1));
        }
        job
    }

    /// All files are at the receiver, over as few bytes as cuts and flips allow, and each cut
    /// and flip was met. That each file has the right bytes has to be checked before, on the
    /// disk.
    pub fn check(&self, outcome: &Outcome) -> std::result::Result<(), WrongAnswer> {
        let synced = if self.sync { self.files } else { 0 };
        for (what, got, right) in [
            ("files", outcome.files, self.files),
            ("bytes", outcome.bytes, self.all_bytes()),
            ("synced", outcome.synced, synced),
        ] {
            WrongAnswer::unless(got == right, what, got, right)?;
        }
        // A cut after its last byte leaves a whole file, whose sender was not told.
        let (before, most) = (outcome.before, self.cuts + u64::from(self.flip > 0));
        let right = format!("at most {most}");
        WrongAnswer::unless(before <= most, "before", before, right)?;
        let (open, streams) = (outcome.connections, self.streams as u64);
        let right = format!("from 1 to {streams}");
        WrongAnswer::unless((1..=streams).contains(&open), "connections", open, right)?;
        let least = self.all_bytes();
        let right = format!("at least {least}");
        WrongAnswer::unless(outcome.sent >= least, "sent", outcome.sent, right)?;
        match &outcome.relay {
            Some(relay) => self.check_relay(relay, outcome),
            None if self.has_relay() => Err(WrongAnswer {
                what: "relay",
                got: "none".to_owned(),
                expected: "one".to_owned(),
            }),
            None => {
                // Nothing has gone wrong on the way.
                let (sent, retries) = (outcome.sent, outcome.retries);
                WrongAnswer::unless(retries == 0, "retries", retries, 0)?;
                WrongAnswer::unless(sent == least, "sent", sent, least)
            }
        }
    }

    fn check_relay(
        &self,
        relay: &Relayed,
        outcome: &Outcome,
    ) -> std::result::Result<(), WrongAnswer> {
        let flips = u64::from(self.flip > 0);
        let streams = self.streams as u64;
        WrongAnswer::unless(relay.cuts == self.cuts, "cuts", relay.cuts, self.cuts)?;
        WrongAnswer::unless(relay.flips == flips, "flips", relay.flips, flips)?;
        WrongAnswer::unless(
            relay.most_at_once <= streams + relay.cuts + flips,
            "most_at_once",
            relay.most_at_once,
            streams,
        )?;
        // What was damaged is sent again; what was cut goes on.
        let retries = outcome.retries;
        let right = format!("at least {flips}");
        WrongAnswer::unless(retries >= flips, "retries", retries, right)?;
        let piece = PIECE_BYTES as u64;
        let again = self.cuts * piece + flips * (self.bytes + piece);
        let frames = (self.files + relay.connections + retries) * FRAME_BYTES;
        let (least, most) = (self.all_bytes(), self.all_bytes() + again + frames);
        let right = format!("from {least} to {most}");
        let fits = (least..=most).contains(&relay.bytes);
        WrongAnswer::unless(fits, "relayed", relay.bytes, right)
    }

    pub(crate) fn summary(&self, outcome: &Outcome, elapsed: Duration) -> String {
        let rate = outcome.bytes as f64 / (1 << 20) as f64 / elapsed.as_secs_f64();
        let mut text = format!(
            "{} files have arrived, {} bytes, {rate:.0} MiB/s, over {} connections at once",
            outcome.files, outcome.bytes, outcome.connections
        );
        if let Some(relay) = &outcome.relay {
            text += &format!(
                "; {} cut and {} bits flipped on the way: {} bytes went over it, {} tries more",
                relay.cuts, relay.flips, relay.bytes, outcome.retries
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_sent_too_often_is_found() {
        let job = Job {
            flip: 80,
            ..Job::preset(Preset::Article)
        };
        let right = Outcome {
            files: 3,
            bytes: 3 << 20,
            synced: 3,
            connections: 1,
            sent: 4 << 20,
            retries: 2,
            relay: Some(Relayed {
                connections: 3,
                most_at_once: 1,
                cuts: 1,
                flips: 1,
                bytes: (4 << 20) + 100_000,
                cpu_ns: 1,
            }),
            ..Outcome::default()
        };
        job.check(&right).expect("right");
        type Change = fn(&mut Outcome);
        let wrong: [(&str, Change); 13] = [
            ("files", |of| of.files -= 1),
            ("bytes", |of| of.bytes -= 1),
            ("synced", |of| of.synced = 0),
            ("before", |of| of.before = 3),
            ("connections", |of| of.connections = 2),
            ("sent", |of| of.sent = 1),
            ("relay", |of| of.relay = None),
            ("cuts", |of| relay(of).cuts = 0),
            ("flips", |of| relay(of).flips = 0),
            ("most_at_once", |of| relay(of).most_at_once = 9),
            ("retries", |of| of.retries = 0),
            ("relayed", |of| relay(of).bytes = 1),
            ("relayed", |of| relay(of).bytes = 6 << 20),
        ];
        fn relay(of: &mut Outcome) -> &mut Relayed {
            of.relay.as_mut().expect("a relay")
        }
        for (what, change) in wrong {
            let mut outcome = right.clone();
            change(&mut outcome);
            assert_eq!(job.check(&outcome).expect_err(what).what, what);
        }
        let job = Job {
            flip: 0,
            cuts: 0,
            cut: 0,
            ..job
        };
        let again = Outcome {
            relay: None,
            ..right
        };
        assert_eq!(job.check(&again).expect_err("again").what, "retries");
    }
}
