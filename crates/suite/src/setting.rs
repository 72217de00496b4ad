use std::fmt;
use std::str::FromStr;

use crate::{Invalid, Preset, Workload};

/// One parameter of one workload, as `--set` takes it.
///
/// ```
/// use suite::{Setting, Workload};
///
/// let setting: Setting = "counter.workers=4".parse()?;
/// assert_eq!(setting, Setting::parse("workers=4", Some(Workload::Counter))?);
/// # Ok::<(), suite::Invalid>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The workload that has the key.
    pub workload: Workload,
    /// The key: see [`Job::set`](crate::Job::set).
    pub key: String,
    /// The value, as text.
    pub value: String,
}

impl Setting {
    /// Reads `workload.key=value`; or `key=value`, if there is a `default`
    /// workload. A key or value that the workload does not take is refused.
    pub fn parse(text: &str, default: Option<Workload>) -> Result<Self, Invalid> {
        let shape = || {
            let allowed = match default {
                Some(_) => "has to be key=value",
                None => "has to be workload.key=value",
            };
            Invalid::new("--set", text, allowed)
        };
        let (path, value) = text.split_once('=').ok_or_else(shape)?;
        let (workload, key) = match (path.split_once('.'), default) {
            (Some((workload, key)), _) => (workload.parse()?, key),
            (None, Some(workload)) => (workload, path),
            (None, None) => return Err(shape()),
        };
        workload.job(Preset::Heavy).set(key, value)?;
        Ok(Self {
            workload,
            key: key.to_owned(),
            value: value.to_owned(),
        })
    }

    /// Refuses it, saying what is `allowed`.
    pub fn refuse(&self, allowed: impl Into<String>) -> Invalid {
        let key = format!("{}.{}", self.workload, self.key);
        Invalid::new(key, &self.value, allowed)
    }
}

impl FromStr for Setting {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::parse(text, None)
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}={}", self.workload, self.key, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_names_its_workload_or_is_for_the_default() {
        let full: Setting = "ping-pong.units=3".parse().expect("a setting");
        assert_eq!(full.to_string(), "ping-pong.units=3");
        let short = Setting::parse("units=3", Some(Workload::PingPong)).expect("a setting");
        assert_eq!(short, full);
        let other = Setting::parse("ping-pong.units=3", Some(Workload::Counter));
        assert_eq!(other.expect("a setting"), full);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (text, says) in [
            ("workers=1", "workload.key=value"),
            ("counter.workers", "workload.key=value"),
            ("contour.workers=1", "counter"),
            ("counter.wrkers=1", "workers, increments, guard"),
            ("counter.guard=luck", "lock"),
            ("ping-pong.units=many", "whole number"),
        ] {
            let refused = text.parse::<Setting>().expect_err(text).to_string();
            assert!(refused.contains(says), "{refused}");
        }
        let refused = Setting::parse("workers", Some(Workload::Counter)).expect_err("no value");
        assert_eq!(refused.to_string(), "--set = workers: has to be key=value");
    }
}
