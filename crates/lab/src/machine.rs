//! What changes times on this machine: cores that this process may not use, frequencies that
//! change with the load, a battery.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use results::Host;

use crate::cpu_quota::CpuQuota;

/// What the machine's files say of it, as far as they do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    /// The cores that run.
    pub(crate) cores: Option<usize>,
    /// The frequency governors of the cores, with commas if they have several.
    pub(crate) governor: Option<String>,
    /// Whether it runs on battery.
    pub(crate) on_battery: Option<bool>,
}

impl Machine {
    /// As the files below `root` have it: `/`, but for tests.
    pub(crate) fn below(root: &Path) -> Self {
        let cpus = root.join("sys/devices/system/cpu");
        Self {
            cores: fs::read_to_string(cpus.join("online"))
                .ok()
                .and_then(|list| listed(&list)),
            governor: governors(&cpus),
            on_battery: on_battery(&root.join("sys/class/power_supply")),
        }
    }
}

/// How many numbers a list like `0-2,5` has.
fn listed(list: &str) -> Option<usize> {
    let range = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
        Some(last.checked_sub(first)? + 1)
    };
    list.trim().split(',').map(range).sum()
}

fn governors(cpus: &Path) -> Option<String> {
    let all: BTreeSet<String> = directories(cpus)
        .filter_map(|cpu| fs::read_to_string(cpu.join("cpufreq/scaling_governor")).ok())
        .map(|governor| governor.trim().to_owned())
        .collect();
    (!all.is_empty()).then(|| all.into_iter().collect::<Vec<_>>().join(", "))
}

/// Whether no external supply is connected, or, if the machine has none, a battery is
/// discharging. `None` without a battery; those of devices such as mice do not count.
fn on_battery(supplies: &Path) -> Option<bool> {
    let read = |supply: &Path, file: &str| {
        let text = fs::read_to_string(supply.join(file)).unwrap_or_default();
        text.trim().to_owned()
    };
    let (mut batteries, mut outside) = (Vec::new(), Vec::new());
    for supply in directories(supplies) {
        match &*read(&supply, "type") {
            "Battery" if read(&supply, "scope") != "Device" => {
                batteries.push(read(&supply, "status") == "Discharging");
            }
            "Mains" | "USB" => outside.push(read(&supply, "online") == "1"),
            _ => {}
        }
    }
    if batteries.is_empty() {
        return None;
    }
    let discharging = batteries.contains(&true);
    Some(match &*outside {
        [] => discharging,
        outside => !outside.contains(&true),
    })
}

fn directories(of: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    let entries = fs::read_dir(of).into_iter().flatten();
    entries.flatten().map(|entry| entry.path())
}

/// What to know of the machine before reading times that were measured on it: a line for
/// each thing that can change them.
pub fn notes(host: &Host, quota: Option<&CpuQuota>) -> Vec<String> {
    let mut notes: Vec<String> = quota.map(CpuQuota::words).into_iter().collect();
    if let Some((usable, all)) = host.kept_to() {
        notes.push(format!(
            "kept to {usable} of the machine's {all} cores: what runs on the others counts as \
             background load, and shares caches and memory"
        ));
    }
    let governor = host.governor.as_deref();
    if let Some(governor) = governor.filter(|governor| *governor != "performance") {
        notes.push(format!(
            "frequency governor {governor}: cores change their frequency with the load, so times \
             also depend on what ran before; with `performance` they do not"
        ));
    }
    if host.on_battery == Some(true) {
        notes.push("on battery: the machine may run slower than on mains power".to_owned());
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        for (path, text) in files {
            let path = root.path().join("sys").join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, text).expect("a file");
        }
        root
    }

    fn machine(files: &[(&str, &str)]) -> Machine {
        Machine::below(root(files).path())
    }

    #[test]
    fn cores_and_what_governs_them_are_read() {
        assert_eq!(machine(&[]), Machine::default());
        let of = |cpu: u32| format!("devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor");
        let two = machine(&[
            ("devices/system/cpu/online", "0-2,5\n"),
            (&of(0), "powersave\n"),
            (&of(1), "performance\n"),
            (&of(2), "powersave\n"),
        ]);
        assert_eq!(two.cores, Some(4));
        assert_eq!(two.governor.as_deref(), Some("performance, powersave"));
        assert_eq!(listed("0-x"), None);
    }

    #[test]
    fn a_battery_feeds_it_when_nothing_else_does() {
        let supply = |name: &str, file: &str| format!("class/power_supply/{name}/{file}");
        let on_battery = |mains: Option<&str>, status: &str, scope: &str| {
            let mut files = vec![
                (supply("BAT0", "type"), "Battery\n".to_owned()),
                (supply("BAT0", "status"), format!("{status}\n")),
                (supply("BAT0", "scope"), format!("{scope}\n")),
            ];
            if let Some(online) = mains {
                files.push((supply("AC", "type"), "Mains\n".to_owned()));
                files.push((supply("AC", "online"), format!("{online}\n")));
            }
            let files: Vec<_> = files
                .iter()
                .map(|(path, text)| (&**path, &**text))
                .collect();
            machine(&files).on_battery
        };
        assert_eq!(on_battery(Some("1"), "Charging", "System"), Some(false));
        assert_eq!(on_battery(Some("0"), "Discharging", "System"), Some(true));
        // It may be kept from discharging below some charge, or have just been full.
        assert_eq!(on_battery(Some("0"), "Not charging", "System"), Some(true));
        assert_eq!(on_battery(None, "Discharging", ""), Some(true));
        assert_eq!(on_battery(None, "Full", ""), Some(false));
        assert_eq!(on_battery(None, "Discharging", "Device"), None);
    }

    #[test]
    fn what_changes_times_is_said() {
        let host = Host {
            // With a quota as well.
            cores: 1,
            usable_cores: Some(2),
            machine_cores: Some(8),
            governor: Some("powersave".to_owned()),
            on_battery: Some(true),
            ..crate::host::host()
        };
        let said = notes(&host, None).join("\n");
        for says in [
            "2 of the machine's 8 cores",
            "governor powersave",
            "on battery",
        ] {
            assert!(said.contains(says), "no {says}: {said}");
        }
        let host = Host {
            machine_cores: None,
            governor: Some("performance".to_owned()),
            on_battery: Some(false),
            ..host
        };
        assert!(notes(&host, None).is_empty());
    }
}
