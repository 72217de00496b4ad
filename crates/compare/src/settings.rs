//! What `--set workload.key=value` says.

use std::collections::BTreeMap;

use suite::{Invalid, Setting, Workload};

/// Parses one setting of a comparison. `download.into` is refused: every run has a
/// directory of its own.
///
/// # Errors
///
/// When the key does not exist or does not take the value.
pub fn setting(text: &str) -> Result<Setting, Invalid> {
    let setting: Setting = text.parse()?;
    if setting.workload == Workload::Download && setting.key == "into" {
        return Err(setting.refuse("every run gets an empty directory of its own"));
    }
    Ok(setting)
}

/// Refuses a setting that would do nothing: one for a workload that is not compared, and
/// one whose key is set again.
pub(crate) fn refuse_unused(settings: &[Setting], workloads: &[Workload]) -> Result<(), Invalid> {
    for (number, set) in settings.iter().enumerate() {
        let again = |later: &&Setting| later.workload == set.workload && later.key == set.key;
        if let Some(later) = settings[number + 1..].iter().find(again) {
            return Err(set.refuse(format!("it is set again, to {}", later.value)));
        }
    }
    let unused = |set: &&Setting| !workloads.contains(&set.workload);
    let Some(setting) = settings.iter().find(unused) else {
        return Ok(());
    };
    let all: Vec<_> = workloads.iter().map(|workload| workload.name()).collect();
    Err(setting.refuse(format!("only {} is compared", all.join(", "))))
}

/// A workload's keys and values, of all settings.
pub(crate) fn of_workload(settings: &[Setting], workload: Workload) -> BTreeMap<&str, &str> {
    settings
        .iter()
        .filter(|set| set.workload == workload)
        .map(|set| (&*set.key, &*set.value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_do_nothing_is_refused() {
        let refused = |texts: &[&str]| {
            let settings: Vec<_> = texts
                .iter()
                .map(|text| setting(text).expect(text))
                .collect();
            let refused = refuse_unused(&settings, &[Workload::Primes, Workload::Counter]);
            refused.err().map(|invalid| invalid.to_string())
        };
        assert_eq!(refused(&["primes.workers=3", "counter.workers=3"]), None);
        let again = refused(&["primes.workers=3", "counter.workers=3", "primes.workers=4"]);
        let again = again.expect("it is set twice");
        for part in ["primes.workers", "3", "it is set again, to 4"] {
            assert!(again.contains(part), "no {part} in {again}");
        }
        let idle = refused(&["echo.messages=3"]).expect("echo is not compared");
        assert!(idle.contains("only primes, counter"), "{idle}");
    }
}
