//! What programs were built with: the compiler, its flags and the profile.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use serde::Deserialize;
use serde_json::{Map, Value};

/// What built some programs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuiltWith {
    /// The compiler that is recorded in the programs, as `rustc --version` prints it; all of
    /// them, if there is more than one. `None` if none is recorded.
    pub rustc: Option<String>,
    /// Profile, flags, wrappers and linkers, as far as they are set.
    pub settings: BTreeMap<String, String>,
}

/// The variables that change what cargo and the C compiler make of the same code. The effect
/// of `CARGO_PROFILE_*` is in the profile, and that of a toolchain override in the compiler's
/// version.
const VARIABLES: [&str; 11] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "RUSTC",
    "CARGO_BUILD_RUSTC",
    "RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
    "CRATE_CC_NO_DEFAULTS",
];

/// What the crate `cc` reads to build C code: these alone, with `_target` after them, and
/// with `HOST_` or `TARGET_` before them.
const OF_C: [&str; 5] = ["CC", "CFLAGS", "AR", "ARFLAGS", "CROSS_COMPILE"];

/// Settings of `build` in cargo's configuration that do the same.
const OF_BUILD: [&str; 5] = [
    "rustflags",
    "target",
    "rustc",
    "rustc-wrapper",
    "rustc-workspace-wrapper",
];

/// Whether a variable of the environment changes what is built.
fn counts(name: &str) -> bool {
    let of_target = name.starts_with("CARGO_TARGET_")
        && (name.ends_with("_RUSTFLAGS") || name.ends_with("_LINKER"));
    let own = name.strip_prefix("HOST_").or(name.strip_prefix("TARGET_"));
    // Targets are in lower case, and what `cc` has for itself is not.
    let is_target = |rest: &str| {
        let target = rest.strip_prefix('_');
        own.is_none() && target.is_some_and(|of| of.starts_with(|c: char| c.is_ascii_lowercase()))
    };
    let of_c = OF_C.iter().any(|of_c| {
        let rest = own.unwrap_or(name).strip_prefix(of_c);
        rest.is_some_and(|rest| rest.is_empty() || is_target(rest))
    });
    VARIABLES.contains(&name) || of_target || of_c
}

/// What the environment sets: names and values.
pub(crate) fn of_environment(
    variables: impl Iterator<Item = (String, String)>,
) -> BTreeMap<String, String> {
    variables
        .filter(|(name, value)| counts(name) && !value.is_empty())
        // Encoded flags have a unit separator between them.
        .map(|(name, value)| (name, value.replace('\u{1f}', " ")))
        .collect()
}

/// What cargo's configuration files set, by `cargo config get --format json`.
pub(crate) fn of_configuration(json: &str) -> BTreeMap<String, String> {
    let Ok(Value::Object(tables)) = serde_json::from_str(json) else {
        return BTreeMap::new();
    };
    let fields = |table: Option<&Value>| -> Map<String, Value> {
        let table = table.and_then(Value::as_object);
        table.cloned().unwrap_or_default()
    };
    let of_build = fields(tables.get("build"))
        .into_iter()
        .filter(|(key, _)| OF_BUILD.contains(&&**key))
        .map(|(key, value)| (format!("build.{key}"), value));
    let of_targets = fields(tables.get("target"))
        .into_iter()
        .flat_map(|(target, table)| {
            let all = fields(Some(&table)).into_iter();
            let counts = all.filter(|(key, _)| ["rustflags", "linker"].contains(&&**key));
            let named = counts.map(|(key, value)| (format!("target.{target}.{key}"), value));
            named.collect::<Vec<_>>()
        });
    // Each is a value, or a table with one.
    let of_env = fields(tables.get("env"))
        .into_iter()
        .filter(|(name, _)| counts(name))
        .map(|(name, value)| {
            let plain = value.get("value").cloned();
            (format!("env.{name}"), plain.unwrap_or(value))
        });
    of_build
        .chain(of_targets)
        .chain(of_env)
        .map(|(key, value)| (key, words(&value)))
        .collect()
}

/// A setting in a line: the words of a list with spaces in between.
fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(words).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// What `cargo build --unit-graph` prints: what would be built, and how.
#[derive(Debug, Deserialize)]
struct UnitGraph {
    units: Vec<Unit>,
    /// Those that were asked for, by index.
    roots: Vec<usize>,
}

#[derive(Debug, Deserialize)]
struct Unit {
    target: Target,
    profile: Map<String, Value>,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    index: usize,
}

/// The profile of the programs, and that of each program or library in them that has
/// another one.
pub(crate) fn profiles(unit_graph: &str) -> BTreeMap<String, String> {
    let Ok(graph) = serde_json::from_str::<UnitGraph>(unit_graph) else {
        return BTreeMap::new();
    };
    let programs = graph.roots.iter().filter_map(|&root| graph.units.get(root));
    // Benches also link crates that only measure.
    let mut left: Vec<&Unit> = programs
        .filter(|unit| unit.target.kind == ["bin"])
        .collect();
    let mut profiles = BTreeMap::new();
    let Some(usual) = left.first().map(|unit| settings(&unit.profile)) else {
        return profiles;
    };
    let mut seen = BTreeSet::new();
    while let Some(unit) = left.pop() {
        let profile = settings(&unit.profile);
        if profile != usual {
            profiles.insert(format!("profile of {}", unit.target.name), profile);
        }
        for dependency in &unit.dependencies {
            // Procedural macros and build scripts are in no program.
            let of_build = ["proc-macro", "custom-build"];
            if let Some(unit) = graph.units.get(dependency.index)
                && !unit
                    .target
                    .kind
                    .iter()
                    .any(|kind| of_build.contains(&&**kind))
                && seen.insert(dependency.index)
            {
                left.push(unit);
            }
        }
    }
    profiles.insert("profile".to_owned(), usual);
    profiles
}

/// A profile in a line, without what is left to the compiler. Cargo gives link-time
/// optimization to programs, and code for it to their libraries.
fn settings(profile: &Map<String, Value>) -> String {
    let set = profile
        .iter()
        .filter(|(key, value)| !value.is_null() && *key != "name" && *key != "strip");
    let set = set.map(|(key, value)| format!("{} {}", key.replace('_', "-"), words(value)));
    set.collect::<Vec<_>>().join(", ")
}

/// The compilers that are recorded in a program: in its section `.comment`, by the compiler
/// and the linker.
fn compilers(program: &[u8]) -> BTreeSet<String> {
    const BEGIN: &[u8] = b"rustc version ";
    program
        .split(|byte| *byte == 0)
        .filter_map(|text| str::from_utf8(text.strip_prefix(BEGIN)?).ok())
        .filter(|version| version.starts_with(|first: char| first.is_ascii_digit()))
        .map(|version| format!("rustc {version}"))
        .collect()
}

/// The compilers of these programs, with commas; `None` if none is recorded.
pub(crate) fn rustc<'a>(programs: impl Iterator<Item = &'a Path>) -> Option<String> {
    let read = programs.filter_map(|program| fs::read(program).ok());
    let all: BTreeSet<String> = read.flat_map(|bytes| compilers(&bytes)).collect();
    (!all.is_empty()).then(|| all.into_iter().collect::<Vec<_>>().join(", "))
}

/// What is set for a build, by two commands of cargo: `config` prints its configuration, and
/// `unit_graph` what would be built. Neither is stable, so `RUSTC_BOOTSTRAP` is needed; what
/// cargo does not print is missing here.
pub(crate) fn settings_of(config: Command, unit_graph: Command) -> BTreeMap<String, String> {
    let told = |mut command: Command| {
        command.env("RUSTC_BOOTSTRAP", "1");
        let output = command.output().ok();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let variables = env::vars_os().map(|(name, value)| {
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        (text(name), text(value))
    });
    let mut all = of_environment(variables);
    all.extend(of_configuration(&told(config).unwrap_or_default()));
    all.extend(profiles(&told(unit_graph).unwrap_or_default()));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = pairs
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()));
        owned.collect()
    }

    #[test]
    fn what_the_environment_sets_is_known() {
        let set = [
            ("RUSTFLAGS", "-C target-cpu=native"),
            ("CARGO_ENCODED_RUSTFLAGS", "-C\u{1f}opt-level=1"),
            ("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER", "mold"),
            ("CFLAGS_x86_64-unknown-linux-gnu", "-O1"),
            ("TARGET_CC", "clang"),
            ("HOST_CFLAGS", "-O0"),
            ("AR", "llvm-ar"),
            ("CRATE_CC_NO_DEFAULTS", "1"),
            ("ARCH", "x86_64"),
            ("CCACHE_DIR", "/cache"),
            ("CC_ENABLE_DEBUG_OUTPUT", "1"),
            ("RUSTC_WRAPPER", ""),
            ("CARGO_TARGET_DIR", "/elsewhere"),
            ("PATH", "/bin"),
        ];
        let expected = map(&[
            ("RUSTFLAGS", "-C target-cpu=native"),
            ("CARGO_ENCODED_RUSTFLAGS", "-C opt-level=1"),
            ("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER", "mold"),
            ("CFLAGS_x86_64-unknown-linux-gnu", "-O1"),
            ("TARGET_CC", "clang"),
            ("HOST_CFLAGS", "-O0"),
            ("AR", "llvm-ar"),
            ("CRATE_CC_NO_DEFAULTS", "1"),
        ]);
        assert_eq!(of_environment(map(&set).into_iter()), expected);
    }

    #[test]
    fn what_configuration_files_and_profiles_set_is_as_cargo_prints_it() {
        let place = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| {
            let path = place.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, text).expect("a file");
        };
        write(
            ".cargo/config.toml",
            "[build]\nrustflags = ['-C', 'target-cpu=native']\njobs = 1\n\
             [target.x86_64-unknown-linux-gnu]\nlinker = 'mold'\n\
             [env]\nCC = 'clang'\nCFLAGS_x86 = { value = '-O1', force = true }\nLANG = 'C'\n",
        );
        write(
            "Cargo.toml",
            "[package]\nname = 'one'\nedition = '2024'\n[workspace]\n\
             [dependencies]\ntwo = { path = 'two' }\n\
             [profile.release]\nlto = 'fat'\n[profile.release.package.two]\nopt-level = 1\n",
        );
        write("src/main.rs", "fn main() {}");
        write(
            "two/Cargo.toml",
            "[package]\nname = 'two'\nedition = '2024'\n",
        );
        write("two/src/lib.rs", "");
        let cargo = |args: &[&str]| {
            let mut command = workspace::cargo(place.path());
            command.args(args).args(["-Z", "unstable-options"]);
            command
        };
        let mut graph = cargo(&["build", "--offline", "--release", "--unit-graph"]);
        graph.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "2");
        let settings = settings_of(cargo(&["config", "get", "--format", "json"]), graph);
        assert_eq!(settings["build.rustflags"], "-C target-cpu=native");
        assert_eq!(settings["target.x86_64-unknown-linux-gnu.linker"], "mold");
        assert_eq!(settings["env.CC"], "clang");
        assert_eq!(settings["env.CFLAGS_x86"], "-O1");
        for no in ["build.jobs", "env.LANG"] {
            assert!(!settings.contains_key(no), "{settings:?}");
        }
        for says in ["opt-level 2", "lto fat", "overflow-checks false"] {
            assert!(settings["profile"].contains(says), "{settings:?}");
        }
        assert!(
            settings["profile of two"].contains("opt-level 1"),
            "{settings:?}"
        );
    }

    #[test]
    fn a_program_names_its_compiler() {
        let this = env::current_exe().expect("a path");
        let compiler = rustc([&*this].into_iter()).expect("rustc has built this");
        assert!(compiler.starts_with("rustc 1."), "{compiler}");
        let none = tempfile::NamedTempFile::new().expect("a file");
        assert_eq!(rustc([none.path()].into_iter()), None);
        let two = compilers(b"\0rustc version 1.2.3 (a)\0rustc version 1.0 (b)\0GCC: 12\0");
        assert_eq!(
            two.into_iter().collect::<Vec<_>>(),
            ["rustc 1.0 (b)", "rustc 1.2.3 (a)"]
        );
    }
}
