//! Contestants from outside, in real comparisons with a made-up model.

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Output};

use serde_json::{Value, json};
use xtask::contestants::{self, Profile};
use xtask::interrupt::Interrupt;
use xtask::progress::Progress;
use xtask::workspace;

use common::{Stage, text};

/// A runner that gets everything right.
const RUNNER: &str = r#"
echo '{"elapsed_ns":1000000,"outcome":{"files":1}}'
exec cat > /dev/null
"#;

/// A bench whose every sample takes 1 ms.
const BENCH: &str = r#"
of() { echo "$PACES_CELLS" | sed "s/.*\"$1\":\"\([^\"]*\)\".*/\1/"; }
new="$CRITERION_HOME/$(of workload)/serial/$(of label)/new"
mkdir -p "$new"
echo '{"sampling_mode":"Flat","iters":[1,1,1,1,1,1,1,1,1,1],"times":[1000000,1000000,
1000000,1000000,1000000,1000000,1000000,1000000,1000000,1000001]}' > "$new/sample.json"
"#;

impl Stage {
    fn new() -> Self {
        let stage = Self::empty();
        stage.script("model-serial", RUNNER);
        stage.script("bench-serial", BENCH);
        stage
    }

    /// With a real origin.
    fn with_origin() -> Self {
        let stage = Self::new();
        let (root, progress) = (workspace::root(), Progress::new());
        let interrupt = Interrupt::default();
        let origin = contestants::program(&root, "origin", Profile::Debug, &interrupt, &progress);
        let origin = origin.expect("nobody interrupts").expect("it builds");
        symlink(origin, stage.path("origin")).expect("a link");
        stage
    }

    /// Compares at most so long with these contestants.
    fn compare(&self, args: &[&str], contestants: &[&str]) -> Output {
        let own = ["--models", "serial", "--budget", "40", "--name", "made-up"];
        let mut command = self.quick(&[&own, args].concat());
        for contestant in contestants {
            command.args(["--contestant", contestant]);
        }
        command.output().expect("it starts")
    }

    fn cell(&self, name: &str) -> Value {
        let results = self.results("made-up");
        let mut cells = results["cells"].as_array().expect("a list").iter();
        let cell = cells.find(|cell| cell["model"] == name);
        cell.unwrap_or_else(|| panic!("no cell of {name}")).clone()
    }

    #[track_caller]
    fn assert_cell(&self, name: &str, status: &str, says: &str) {
        let cell = self.cell(name);
        assert_eq!(cell["status"], status, "{cell}");
        let reason = cell["reason"].as_str().unwrap_or_default();
        assert!(reason.contains(says), "{name}: {reason}");
    }
}

/// Whether there is curl. Without it, a test tells that it has tested nothing.
fn curl() -> bool {
    let there = Command::new("curl").arg("--version").output().is_ok();
    if !there {
        eprintln!("SKIPPED: this needs curl, and there is none");
    }
    there
}

#[test]
fn any_program_is_measured_and_what_goes_wrong_is_its_own() {
    let stage = Stage::new();
    let hostile = "<b>a|b</b>";
    let good = format!("{hostile}=sh -c 'test {{workers}} -gt 0 && true | cat'");
    let output = stage.compare(
        &["counter", "--set", "counter.guard=lock"],
        &[
            &good,
            "fails=sh -c 'echo its reason >&2; exit 4'",
            "hangs=sleep 1000",
            "leaves=sh -c 'sleep 1000 > /dev/null 2>&1 & exit 0'",
            "missing=/no/such/program",
        ],
    );
    let (printed, said) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{printed}{said}");
    for (name, says) in [
        ("fails", "exit status: 4: its reason"),
        ("hangs", "had not finished after"),
        ("leaves", "left 1 of its processes behind"),
        ("missing", "cannot start /no/such/program"),
    ] {
        stage.assert_cell(name, "failed", says);
        assert!(printed.contains(says), "{printed}");
    }

    let cell = stage.cell(hostile);
    assert_eq!(cell["status"], "ok", "{cell}");
    assert!(
        cell["command"]
            .as_str()
            .expect("text")
            .starts_with("sh -c ")
    );
    let (time, rounds) = (&cell["time"], json!([2, 2, 2, 2, 2]));
    assert_eq!(time["rounds"], rounds);
    assert_eq!(time["samples_ns"].as_array().expect("a list").len(), 10);
    assert_eq!(cell["runs"], 10);
    // The samples are the very runs of which the lower median is the wall time.
    let mut samples: Vec<_> = time["samples_ns"].as_array().expect("a list").clone();
    samples.sort_by(|one, other| one.as_f64().partial_cmp(&other.as_f64()).expect("numbers"));
    assert_eq!(samples[4].as_f64(), cell["wall_ns"].as_f64());

    let serial = stage.cell("serial");
    assert_eq!(serial["status"], "ok", "{serial}");
    assert_eq!(serial["command"], Value::Null);
    assert_eq!(stage.results("made-up")["run"]["models"], json!(["serial"]));
    for words in [
        "timed with its start",
        "whole process ",
        "was not checked",
        hostile,
    ] {
        assert!(printed.contains(words), "no {words} in {printed}");
    }
    let page = stage.read("results/made-up/index.html");
    assert!(page.contains("timed with its start") && !page.contains("<b>a"));
    let markdown = stage.read("results/made-up/comparison.md");
    assert!(markdown.contains("&lt;b>a\\|b&lt;/b>"), "{markdown}");
    // Criterion's pages have the models alone.
    let criterion = stage.path("target/criterion/counter");
    let entries = fs::read_dir(criterion).expect("pages").flatten();
    let names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["serial"]);
}

#[test]
fn downloads_are_checked_file_by_file() {
    if !curl() {
        return;
    }
    let stage = Stage::with_origin();
    let curl = "curl --silent --show-error --parallel --remote-name-all";
    let output = stage.compare(
        &[
            "download",
            "--set",
            "download.images=600",
            "--set",
            "download.image_bytes=2048",
            "--set",
            "download.limit=9",
            "--set",
            "download.delay_ms=1",
        ],
        &[
            &format!("curl={curl} --parallel-max {{limit}} --output-dir {{into}} {{urls}}"),
            &format!(
                "file=sh -c 'cd {{into}} && sed \"s/^/url = /\" {{urls_file}} \
                 | {curl} --parallel-max {{limit}} --config -'"
            ),
            &format!("greedy={curl} --parallel-max 50 --parallel-immediate --output-dir {{into}} {{urls}}"),
            "lazy=true",
            &format!("spoils=sh -c '{curl} \"$@\" && echo > 0000.jpg' sh --output-dir {{into}} {{urls}}")
                .replace("0000", "{into}/0000"),
            &format!("more=sh -c '{curl} \"$@\" && : > {{into}}/more' sh --output-dir {{into}} {{urls}}"),
        ],
    );
    let (printed, said) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{printed}{said}");
    for name in ["curl", "file"] {
        stage.assert_cell(name, "ok", "");
        let cell = stage.cell(name);
        assert_eq!(cell["outcome"]["files"], 600, "{cell}");
        assert_eq!(cell["outcome"]["bytes"], 600 * 2048, "{cell}");
        assert!(
            cell["outcome"]["peak_in_flight"].as_u64() <= Some(9),
            "{cell}"
        );
    }
    assert!(stage.cell("curl")["peak_memory_bytes"].as_u64() > Some(1 << 20));
    stage.assert_cell("lazy", "wrong_answer", "0.jpg missing");
    stage.assert_cell("spoils", "wrong_answer", "0000.jpg with 1 bytes");
    stage.assert_cell("more", "wrong_answer", "files is ");
    stage.assert_cell("greedy", "wrong_answer", "and at most 9 is right");
}

#[test]
fn fetches_are_checked_by_what_the_origin_has_sent() {
    if !curl() {
        return;
    }
    let stage = Stage::with_origin();
    let output = stage.compare(
        &["fetch", "--set", "fetch.delays_ms=1,2,3"],
        &[
            "curl=curl --silent --parallel --remote-name-all --output-dir {into} {urls}",
            "lazy=true",
        ],
    );
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    stage.assert_cell("curl", "ok", "");
    assert_eq!(
        stage.cell("curl")["outcome"],
        json!({"bodies": 3, "bytes": 3 * 4096})
    );
    stage.assert_cell("lazy", "wrong_answer", "count of requests is 0");
}

#[test]
fn a_contestant_finds_the_files_of_the_job_and_no_others() {
    let stage = Stage::new();
    // Tried out first with a 64th of them.
    let output = stage.compare(
        &["files", "thumbnails", "--set", "files.count=128"],
        &[
            "all=sh -c 'test $(ls {dir} | wc -l) = {count} && cat {dir}/* > {into}/all'",
            "some=sh -c 'test $(ls {dir} | wc -l) = 2'",
        ],
    );
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    stage.assert_cell("all", "ok", "");
    stage.assert_cell("some", "failed", "exit status: 1");
}

#[test]
fn what_is_no_contestant_is_refused_before_anything_is_measured() {
    let stage = Stage::new();
    for (contestants, says) in [
        (&["curl"][..], "NAME=COMMAND"),
        (&["tokio=true"], "a model has that name"),
        (&["=true"], "1 to 40 characters"),
        (&["a\nb=true"], "control character"),
        (&["x=true 'a"], "quote"),
        (&["x=true {urls}"], "counter has no {urls}"),
        (&["x=true {}"], "doubled"),
        (&["x=true", "x=false"], "two of that name"),
    ] {
        let output = stage.compare(&["counter"], contestants);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{contestants:?}: {said}");
        assert!(said.contains(says), "{contestants:?}: {said}");
    }
    assert!(!stage.path("results").exists());
}
