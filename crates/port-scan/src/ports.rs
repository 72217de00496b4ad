//! A set of ports, as text and as numbers.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A set of ports from 1 to 65535. As text it is a list of ports and ranges: `22,80,8000-8100`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ports {
    /// In order, with a gap before each but the first.
    ranges: Vec<RangeInclusive<u16>>,
}

/// A text that is no set of ports: the part that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no port: has to be like 22,80,8000-8100, with ports from 1 to 65535")]
pub struct Malformed(String);

impl Ports {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.ranges.iter().map(ExactSizeIterator::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Each of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        self.ranges.iter().cloned().flatten()
    }

    /// The same as ranges with gaps between them, in order.
    pub fn ranges(&self) -> &[RangeInclusive<u16>] {
        &self.ranges
    }

    /// Whether it is one of them.
    pub fn contains(&self, port: u16) -> bool {
        let before = self.ranges.partition_point(|range| *range.end() < port);
        self.ranges
            .get(before)
            .is_some_and(|range| range.contains(&port))
    }

    /// The ports of this set that are in none of the others.
    pub fn without(&self, others: &Ports) -> Ports {
        self.iter().filter(|port| !others.contains(*port)).collect()
    }
}

/// In any order; ports that come twice are there once.
impl FromIterator<u16> for Ports {
    fn from_iter<I: IntoIterator<Item = u16>>(ports: I) -> Self {
        ports.into_iter().map(|port| port..=port).collect()
    }
}

impl FromIterator<RangeInclusive<u16>> for Ports {
    fn from_iter<I: IntoIterator<Item = RangeInclusive<u16>>>(ranges: I) -> Self {
        let mut all: Vec<_> = ranges.into_iter().collect();
        all.sort_unstable_by_key(|range| *range.start());
        let mut ranges: Vec<RangeInclusive<u16>> = Vec::new();
        for range in all {
            match ranges.last_mut() {
                Some(last) if *range.start() <= last.end().saturating_add(1) => {
                    *last = *last.start()..=*last.end().max(range.end());
                }
                _ => ranges.push(range),
            }
        }
        Self { ranges }
    }
}

impl FromStr for Ports {
    type Err = Malformed;

    /// The empty text is the empty set.
    fn from_str(text: &str) -> Result<Self, Malformed> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        text.split(',').map(range).collect()
    }
}

fn range(part: &str) -> Result<RangeInclusive<u16>, Malformed> {
    let port = |text: &str| {
        // `u16` would take a sign, too.
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        let port = text.parse().ok().filter(|port| is_number && *port > 0);
        port.ok_or_else(|| Malformed(part.to_owned()))
    };
    let (first, last) = part.split_once('-').unwrap_or((part, part));
    let (first, last) = (port(first)?, port(last)?);
    if first > last {
        return Err(Malformed(part.to_owned()));
    }
    Ok(first..=last)
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, range) in self.ranges.iter().enumerate() {
            let comma = if number > 0 { "," } else { "" };
            write!(f, "{comma}{}", range.start())?;
            if range.start() < range.end() {
                write!(f, "-{}", range.end())?;
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for Ports {
    type Error = Malformed;

    fn try_from(text: String) -> Result<Self, Malformed> {
        text.parse()
    }
}

impl From<Ports> for String {
    fn from(ports: Ports) -> Self {
        ports.to_string()
    }
}
