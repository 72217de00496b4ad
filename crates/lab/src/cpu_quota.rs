//! The quota of CPU time that control groups give this process and all that it starts.
//!
//! A group that has used up its quota in a period (0.1 s, mostly) is stopped for the rest of
//! it. What is measured then is the quota.

use std::fs;
use std::path::{Path, PathBuf};

/// The least quota of this process's control group and those above it.
#[derive(Debug, Clone, PartialEq)]
pub struct CpuQuota {
    /// How many cores' time it is.
    pub cores: f64,
    /// Where the group is.
    pub group: PathBuf,
}

/// How many periods a group was busy in, and stopped in, since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Periods {
    /// Those in which it was busy.
    pub all: u64,
    /// Those of them in which it was stopped.
    pub throttled: u64,
}

impl Periods {
    /// Those since `before`.
    pub fn since(self, before: Self) -> Self {
        Self {
            all: self.all.saturating_sub(before.all),
            throttled: self.throttled.saturating_sub(before.throttled),
        }
    }

    /// How often the quota was reached in them.
    pub fn words(self) -> String {
        let Self { all, throttled } = self;
        format!("CPU quota: programs were stopped in {throttled} of {all} periods")
    }
}

impl CpuQuota {
    /// The quota that holds here, if any does and the system tells.
    pub fn find() -> Option<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        Self::below(Path::new("/sys/fs/cgroup"), &groups)
    }

    /// The same for a process with these `groups`, as `/proc/PID/cgroup` has them.
    fn below(mount: &Path, groups: &str) -> Option<Self> {
        let quotas = groups.lines().flat_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next().unwrap_or(""), fields.next().unwrap_or(""));
            // cgroup v2 has one hierarchy, with an empty list of controllers. Systems that have
            // v1 as well mount it at `unified`.
            let tops: &[&str] = match controllers {
                "" => &["", "unified"],
                named if named.split(',').any(|name| name == "cpu") => &["cpu", "cpu,cpuacct"],
                _ => &[],
            };
            let groups = Path::new(path.trim_start_matches('/')).ancestors();
            let groups: Vec<&Path> = groups.collect();
            let below = |top: &&str| -> Vec<PathBuf> {
                groups
                    .iter()
                    .map(|group| mount.join(top).join(group))
                    .collect()
            };
            tops.iter().flat_map(below).collect::<Vec<_>>()
        });
        quotas
            .filter_map(|group| {
                Some(Self {
                    cores: cores(&group)?,
                    group,
                })
            })
            .min_by(|one, other| one.cores.total_cmp(&other.cores))
    }

    /// What it does to the figures, in words.
    pub fn words(&self) -> String {
        format!(
            "CPU quota: {} ({}). Programs that use more are stopped for the rest of \
             each period, so their times show the quota",
            results::quota_words(self.cores),
            self.group.display()
        )
    }

    /// How often it was reached until now; none if the system does not tell.
    pub fn periods(&self) -> Option<Periods> {
        let stat = fs::read_to_string(self.group.join("cpu.stat")).ok()?;
        let count = |name: &str| {
            let mut fields = stat.lines().filter_map(|line| line.split_once(' '));
            fields
                .find(|(field, _)| *field == name)?
                .1
                .trim()
                .parse()
                .ok()
        };
        Some(Periods {
            all: count("nr_periods")?,
            throttled: count("nr_throttled")?,
        })
    }
}

/// The quota of one group: of cgroup v2, or of v1.
fn cores(group: &Path) -> Option<f64> {
    let read = |name: &str| fs::read_to_string(group.join(name)).ok();
    let number = |text: &str| {
        text.trim()
            .parse::<f64>()
            .ok()
            .filter(|number| *number > 0.0)
    };
    let (quota, period) = match read("cpu.max") {
        Some(max) => {
            let (quota, period) = max.trim().split_once(' ')?;
            (number(quota)?, number(period)?)
        }
        None => (
            number(&read("cpu.cfs_quota_us")?)?,
            number(&read("cpu.cfs_period_us")?)?,
        ),
    };
    Some(quota / period)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(mount: &Path, path: &str, files: &[(&str, &str)]) {
        fs::create_dir_all(mount.join(path)).expect("a directory");
        for (name, text) in files {
            fs::write(mount.join(path).join(name), text).expect("a file");
        }
    }

    #[test]
    fn the_least_quota_of_all_groups_above_holds() {
        let mount = tempfile::tempdir().expect("a directory");
        let mount = mount.path();
        let groups = "0::/a/b/c\n";
        assert_eq!(CpuQuota::below(mount, groups), None);
        group(mount, "a/b/c", &[("cpu.max", "max 100000\n")]);
        group(mount, "a/b", &[("cpu.max", "150000 100000\n")]);
        group(mount, "a", &[("cpu.max", "400000 100000\n")]);
        let stat = "usage_usec 9\nnr_periods 642\nnr_throttled 639\nthrottled_usec 5\n";
        group(mount, "a/b", &[("cpu.stat", stat)]);
        let quota = CpuQuota::below(mount, groups).expect("there is one");
        assert_eq!((quota.cores, &quota.group), (1.5, &mount.join("a/b")));
        let (all, throttled) = (642, 639);
        assert_eq!(quota.periods(), Some(Periods { all, throttled }));
        assert_eq!(CpuQuota::below(mount, "0::/other\n"), None);
    }

    #[test]
    fn older_groups_have_theirs_with_the_controller() {
        let mount = tempfile::tempdir().expect("a directory");
        let mount = mount.path();
        let groups = "12:memory:/m\n4:cpu,cpuacct:/a/b\n1:name=systemd:/a\n0::/a\n";
        let of = |quota| {
            [
                ("cpu.cfs_quota_us", quota),
                ("cpu.cfs_period_us", "100000\n"),
            ]
        };
        group(mount, "cpu/a/b", &of("-1\n"));
        assert_eq!(CpuQuota::below(mount, groups), None);
        group(mount, "cpu/a", &of("50000\n"));
        group(mount, "cpu", &of("-1\n"));
        let quota = CpuQuota::below(mount, groups).expect("there is one");
        assert_eq!((quota.cores, &quota.group), (0.5, &mount.join("cpu/a")));
        assert_eq!(quota.periods(), None);
    }
}
