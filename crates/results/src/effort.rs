//! `effort.json`: what it takes to write and to build each model.

use serde::{Deserialize, Serialize};

/// How often a model is built again after its first time.
pub const AGAIN: usize = 5;

/// `effort.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Effort {
    /// The commit that was counted and built, `-dirty` if there was more.
    pub revision: String,
    /// One for each model.
    pub models: Vec<OfModel>,
}

/// What one model takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OfModel {
    /// The model.
    pub model: String,
    /// Its size.
    #[serde(flatten)]
    pub size: Size,
    /// How long it takes to build, where that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<Build>,
}

/// The size of one model's crate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Size {
    /// Lines of code of each workload's file: without blank lines and comments.
    pub workload_lines: Vec<(String, usize)>,
    /// Lines of code of all its files, tests and benches apart.
    pub lines: usize,
    /// How often the keyword `unsafe` is in these.
    pub unsafes: usize,
    /// Packages that are linked or run to build it, itself and this workspace's
    /// own apart.
    pub dependencies: usize,
}

/// How long one model takes to build, optimised, with the programs of a
/// comparison. All packages had been fetched before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Build {
    /// How many cores there were for it.
    pub cores: usize,
    /// From nothing to a program, in nanoseconds: once.
    pub cold_ns: Option<u64>,
    /// Again, each time after one workload's file was touched, in nanoseconds.
    pub incremental_ns: Vec<u64>,
    /// What went wrong, if anything did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

impl Build {
    /// The median of building again, in nanoseconds.
    pub fn incremental_median_ns(&self) -> Option<f64> {
        let mut times = self.incremental_ns.clone();
        times.sort_unstable();
        let middle = times.len() / 2;
        match times.len() % 2 {
            _ if times.is_empty() => None,
            0 => Some((times[middle - 1] as f64 + times[middle] as f64) / 2.0),
            _ => Some(times[middle] as f64),
        }
    }
}

impl Effort {
    /// The name of its file.
    pub const FILE: &str = "effort.json";

    /// Takes over what has been measured of `models`; what is known of others
    /// stays, if it is about the same code.
    pub fn update(&mut self, newer: Self) {
        if self.revision != newer.revision {
            *self = newer;
            return;
        }
        for model in newer.models {
            let mut known = self.models.iter_mut();
            match known.find(|known| known.model == model.model) {
                Some(known) => *known = model,
                None => self.models.push(model),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effort(revision: &str, models: &[(&str, usize)]) -> Effort {
        let of = |&(model, lines): &(&str, usize)| OfModel {
            model: model.to_owned(),
            size: Size {
                workload_lines: Vec::new(),
                lines,
                unsafes: 0,
                dependencies: 0,
            },
            build: None,
        };
        Effort {
            revision: revision.to_owned(),
            models: models.iter().map(of).collect(),
        }
    }

    #[test]
    fn what_is_known_of_others_stays_if_it_is_of_the_same_code() {
        let mut known = effort("a", &[("serial", 1), ("tokio", 2)]);
        known.update(effort("a", &[("tokio", 3), ("smol", 4)]));
        let all = effort("a", &[("serial", 1), ("tokio", 3), ("smol", 4)]);
        assert_eq!(known, all);
        known.update(effort("b", &[("tokio", 5)]));
        assert_eq!(known, effort("b", &[("tokio", 5)]));
    }
}
