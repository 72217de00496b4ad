//! What is known of others' use of the machine during a comparison.

use serde::{Deserialize, Serialize};

/// What is known of others' use of the machine during a comparison. Parts are
/// parts of the machine: of a window's length times the number of cores.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct BackgroundLoad {
    /// A window in which others used a larger part is noisy; at 1, none is.
    pub limit: f64,
    /// Why nothing is known, if nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
    /// What was read when only this comparison ran, as far as it knew, before it
    /// measured anything: of a window in which it waited, and one in which it
    /// computed on all cores, the reading that is further from nothing. None if
    /// there was too little time for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<f64>,
    /// By how much the reading was too low while two threads handed a token to
    /// each other: cores that sleep and wake between two ticks are not counted,
    /// and others that use less than that are not seen there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<f64>,
    /// How long the windows were that gave these, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_window_s: Option<f64>,
    /// Windows that stand: one or more whole rounds each.
    pub windows: u32,
    /// How many times a noisy window was taken again, and the one before
    /// dropped.
    pub retaken: u32,
    /// How many of the windows that stand are noisy.
    pub kept: u32,
}

impl BackgroundLoad {
    /// All of it in a line.
    pub fn words(&self) -> String {
        if let Some(why) = &self.unknown {
            return format!("unknown, because {why}");
        }
        let Self {
            limit,
            windows,
            retaken,
            kept,
            ..
        } = self;
        format!(
            "{kept} of {windows} windows were kept although others used more than {} of the \
             machine, after {retaken} were taken again; {}",
            percent(*limit),
            self.error_words()
        )
    }

    /// What the reading is worth.
    pub fn error_words(&self) -> String {
        let (Some(error), Some(length)) = (self.error, self.error_window_s) else {
            return "the error of that was not measured, in so little time".to_owned();
        };
        let missed = self.missed.filter(|missed| *missed > 0.0);
        let missed = missed.map_or(String::new(), |missed| {
            format!(
                ", and {} too low while threads hand over to each other",
                percent(missed)
            )
        });
        format!(
            "with only this comparison running, the reading was off by up to {} in windows of \
             {length:.1} s{missed}",
            percent(error.abs())
        )
    }
}

/// A part of a whole: `1.2 %`.
pub fn percent(part: f64) -> String {
    match part * 100.0 {
        percent if percent < 10.0 => format!("{percent:.1} %"),
        percent => format!("{percent:.0} %"),
    }
}
