//! `exchange`: a writer and a reader share a queue and an integer.
//!
//! The writer sends its messages, stores a value in the integer and sends the
//! end marker; the reader collects the messages and reads the integer after
//! the marker. That the reader sees the value, every time, is the point: the
//! queue orders the store before the read.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Invalid, Phases, Preset, WrongAnswer};

/// What a message is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Payload {
    /// A number: what is measured is the exchange.
    #[default]
    Number,
    /// A text, as in the article: one unit allocates it and another one frees it, which
    /// costs more than to send it.
    Text,
}

/// How much is sent, and what is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Messages that the writer sends, each on its own.
    pub messages: u64,
    /// What it stores in the shared integer before the end marker.
    pub value: u64,
    /// What a message is.
    #[serde(default)]
    pub payload: Payload,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Its place, from 0.
    Number(u64),
    /// The same in words.
    Text(String),
}

/// What the reader saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Messages that arrived.
    pub received: u64,
    /// Which they were, and in which order: see [`Transcript`].
    pub digest: u64,
    /// What the shared integer held after the end marker.
    pub value: u64,
    /// Where the time went.
    #[serde(default)]
    pub phases: Phases,
}

/// The messages that a reader has collected, reduced to their number and a
/// digest of all their bytes in order.
#[derive(Debug, Clone)]
pub struct Transcript {
    received: u64,
    digest: u64,
}

impl Default for Transcript {
    fn default() -> Self {
        Self {
            received: 0,
            digest: 0xcbf2_9ce4_8422_2325,
        }
    }
}

impl Transcript {
    /// Collects one message.
    pub fn collect(&mut self, message: &Message) {
        self.received += 1;
        // FNV-1a (64 bit), over the message and an end that no text contains.
        let mut add = |part: u64| {
            self.digest = (self.digest ^ part).wrapping_mul(0x0100_0000_01b3);
        };
        match message {
            Message::Number(number) => add(*number),
            Message::Text(text) => text.bytes().for_each(|byte| add(byte.into())),
        }
        add(0xff);
    }

    /// The outcome, when the reader has read `value` from the integer.
    pub fn outcome(self, value: u64) -> Outcome {
        Outcome {
            received: self.received,
            digest: self.digest,
            value,
            phases: Phases::default(),
        }
    }
}

impl Job {
    pub(crate) fn preset(preset: Preset) -> Self {
        let messages = match preset {
            Preset::Article => 2,
            Preset::Heavy => 400_000,
        };
        Self {
            messages,
            value: 100,
            payload: Payload::Number,
        }
    }

    /// The writer's `sequence`th message, from 0.
    pub fn message(&self, sequence: u64) -> Message {
        match self.payload {
            Payload::Number => Message::Number(sequence),
            Payload::Text => Message::Text(format!("message {sequence}")),
        }
    }

    /// What the integer holds before: not the right value, not even by chance.
    pub fn before(&self) -> u64 {
        !self.value
    }

    pub(crate) fn units(&self) -> usize {
        2
    }

    pub(crate) fn validate(&self) -> Result<(), Invalid> {
        Invalid::unless_within("messages", self.messages, 0, 1_000_000_000)
    }

    pub(crate) fn scaled(&self, divisor: u64) -> Self {
        Self {
            messages: (self.messages / divisor).max(1),
            ..self.clone()
        }
    }

    /// All messages in order, and the value that was stored before the marker.
    pub fn check(&self, outcome: &Outcome) -> Result<(), WrongAnswer> {
        WrongAnswer::unless(
            outcome.received == self.messages,
            "received",
            outcome.received,
            self.messages,
        )?;
        let mut transcript = Transcript::default();
        for sequence in 0..self.messages {
            transcript.collect(&self.message(sequence));
        }
        WrongAnswer::unless(
            outcome.digest == transcript.digest,
            "digest",
            outcome.digest,
            format!("{} (all messages in order)", transcript.digest),
        )?;
        WrongAnswer::unless(
            outcome.value == self.value,
            "value",
            outcome.value,
            self.value,
        )
    }

    pub(crate) fn summary(&self, outcome: &Outcome, _elapsed: Duration) -> String {
        format!(
            "{} messages in order, then the integer read {}",
            outcome.received, outcome.value
        )
    }
}
