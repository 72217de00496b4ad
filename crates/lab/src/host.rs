//! What the figures depend on besides the models: machine, compiler, versions.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use cargo_metadata::{DependencyKind, MetadataCommand};
use results::Host;

use crate::affinity;
use crate::cpu_quota::CpuQuota;
use crate::machine::Machine;
use crate::models::Model;
use crate::workspace;

/// Stands for what the system does not tell.
pub const UNKNOWN: &str = "unknown";

/// This machine. What it does not tell is "unknown": no reason to measure
/// nothing.
pub fn host() -> Host {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let machine = Machine::below(Path::new("/"));
    let usable = affinity::usable();
    Host {
        cpu: field(&read("/proc/cpuinfo"), "model name", ':'),
        cores: runner::cores(),
        usable_cores: usable,
        machine_cores: machine
            .cores
            .filter(|all| usable.is_some_and(|usable| usable < *all)),
        quota: CpuQuota::find().map(|quota| quota.cores),
        governor: machine.governor,
        on_battery: machine.on_battery,
        memory: field(&read("/proc/meminfo"), "MemTotal", ':')
            .trim_end_matches(" kB")
            .parse::<u64>()
            .map_or(0, |kib| kib * 1024),
        kernel: match read("/proc/sys/kernel/osrelease").trim() {
            "" => UNKNOWN.to_owned(),
            release => release.to_owned(),
        },
        os: field(&read("/etc/os-release"), "PRETTY_NAME", '=')
            .trim_matches('"')
            .to_owned(),
        clock_reading_ns: Some(clock_reading_ns()),
    }
}

/// What it takes to read the clock before and after a job, in nanoseconds: the time of a
/// job that does nothing. A single one is about as long as the clock's step, so it is the
/// median of many means. Whatever else runs can only make some of them longer.
fn clock_reading_ns() -> f64 {
    const MEANS: usize = 101;
    const OF: u32 = 1000;
    let mean = || {
        let sum: Duration = (0..OF).map(|_| Instant::now().elapsed()).sum();
        sum.as_nanos() as f64 / f64::from(OF)
    };
    let mut means: Vec<f64> = (0..MEANS).map(|_| mean()).collect();
    means.sort_by(f64::total_cmp);
    means[MEANS / 2]
}

fn field(text: &str, name: &str, separator: char) -> String {
    text.lines()
        .filter_map(|line| line.split_once(separator))
        .find(|(key, _)| key.trim() == name)
        .map_or(UNKNOWN.to_owned(), |(_, value)| value.trim().to_owned())
}

/// The commit that is checked out at `root`, with `-dirty` where there is more; unknown if
/// it is no checkout, or is within one of something else.
pub fn revision(root: &Path) -> String {
    let top = output(
        Command::new("git")
            .args(["rev-parse", "--show-toplevel"])
            .current_dir(root),
    );
    match (fs::canonicalize(top), fs::canonicalize(root)) {
        (Ok(top), Ok(root)) if top == root => {}
        _ => return UNKNOWN.to_owned(),
    }
    let git = [
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--exclude=*",
    ];
    output(Command::new("git").args(git).current_dir(root))
}

/// Libraries that do a part of the work in every model.
const OF_THE_SUITE: [&str; 2] = ["blake3", "image"];

/// Each library that a model itself depends on, and those that do a part of the work for
/// all of them. The compiler is known once the programs are built: see
/// [`BuiltWith`](crate::built_with::BuiltWith).
///
/// # Errors
///
/// When cargo cannot tell.
pub fn versions(root: &Path, models: &[Model]) -> anyhow::Result<BTreeMap<String, String>> {
    let metadata = MetadataCommand::new().current_dir(root).exec()?;
    let mut versions = BTreeMap::new();
    let nodes = metadata.resolve.iter().flat_map(|resolve| &resolve.nodes);
    for node in nodes {
        let owner = metadata[&node.id].name.as_str();
        let measured = |library: &str| match owner {
            "suite" => OF_THE_SUITE.contains(&library),
            owner => models
                .iter()
                .any(|model| owner == workspace::package(model.name())),
        };
        for dependency in &node.deps {
            let package = &metadata[&dependency.pkg];
            if !measured(&package.name) {
                continue;
            }
            let normal = |kind: &cargo_metadata::DepKindInfo| kind.kind == DependencyKind::Normal;
            // A package without a source is one of the workspace.
            if package.source.is_some() && dependency.dep_kinds.iter().any(normal) {
                let version = package.version.to_string();
                versions.insert(package.name.to_string(), version);
            }
        }
    }
    Ok(versions)
}

fn output(command: &mut Command) -> String {
    let output = command.output().ok().filter(|out| out.status.success());
    let text = output.and_then(|out| String::from_utf8(out.stdout).ok());
    text.map_or(UNKNOWN.to_owned(), |text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_or_unknown() {
        let text = "processor\t: 0\nmodel name\t: A CPU @ 2:00\nmodel name: another\n";
        assert_eq!(field(text, "model name", ':'), "A CPU @ 2:00");
        assert_eq!(field(text, "model", ':'), UNKNOWN);
        assert!(host().cores >= 1);
        let reading = clock_reading_ns();
        assert!(reading > 0.0 && reading < 1e6, "{reading} ns");
    }

    #[test]
    fn the_revision_is_that_of_the_checkout_itself() {
        let place = tempfile::tempdir().expect("a directory");
        let git = |arguments: &[&str]| {
            let done = Command::new("git")
                .args(["-c", "user.name=A test", "-c", "user.email=test@localhost"])
                .args(arguments)
                .current_dir(place.path())
                .output()
                .expect("git");
            assert!(done.status.success(), "{done:?}");
        };
        assert_eq!(revision(place.path()), UNKNOWN);
        git(&["init", "-q"]);
        git(&["commit", "-q", "--allow-empty", "-m", "Something else"]);
        let commit = revision(place.path());
        assert_eq!(commit.len(), 40, "{commit}");
        // As a tarball that was unpacked within that checkout.
        let unpacked = place.path().join("unpacked");
        fs::create_dir(&unpacked).expect("a directory");
        assert_eq!(revision(&unpacked), UNKNOWN);
    }

    #[test]
    fn the_measured_libraries_are_known() {
        let root = workspace::root().expect("a checkout");
        let models = crate::models::models(&root).expect("models");
        let versions = versions(&root, &models).expect("cargo tells");
        assert_eq!(versions["async-std"], "1.13.2");
        assert!(versions.contains_key("tokio") && !versions.contains_key("suite"));
        assert!(versions.contains_key("blake3") && !versions.contains_key("proptest"));
    }
}
