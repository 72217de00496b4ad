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

/// Refuses a setting for a workload that is not compared: it would do nothing.
pub(crate) fn refuse_unused(settings: &[Setting], workloads: &[Workload]) -> Result<(), Invalid> {
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
