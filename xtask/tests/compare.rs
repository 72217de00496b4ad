//! Comparisons of made-up models, which do all that a real one should not.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use xtask::samples;

use common::{Stage, text};

/// A runner that gets everything right, with a child that waits for its input.
const RUNNER: &str = r#"
case "$*" in *--hold*) exec 3<&0; cat <&3 & esac
echo '{"elapsed_ns":1000000,"outcome":{"total":1,"lost":0},"peak_memory_bytes":1,"threads":7}'
wait
"#;

/// A bench whose every sample takes 1 ms, give or take; `@` is its model.
const BENCH: &str = r#"
label=$(echo "$PACES_CELLS" | sed 's/.*"label":"\([^"]*\)".*/\1/')
new="$CRITERION_HOME/counter/@/$label/new"
mkdir -p "$new"
echo '{"sampling_mode":"Flat","iters":[1,1,1,1,1,1,1,1,1,1],"times":[1000000,1000001,
1000002,1000003,1000004,1000005,1000006,1000007,1000008,1000009.5]}' > "$new/sample.json"
"#;

impl Stage {
    /// Good ones, all six.
    fn new() -> Self {
        let stage = Self::empty();
        for model in xtask::plan::MODELS {
            stage.script(&format!("model-{model}"), RUNNER);
            stage.script(&format!("bench-{model}"), &BENCH.replace('@', model));
        }
        stage
    }

    fn command(&self, args: &[&str]) -> Command {
        let counter = ["counter", "--set", "counter.guard=lock"];
        let mut command = self.quick(&[&counter, args].concat());
        for (option, value) in [("--name", "made-up"), ("--budget", "40")] {
            if !args.contains(&option) {
                command.args([option, value]);
            }
        }
        command
    }

    fn compare(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("it starts")
    }

    fn spawn(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("it starts")
    }

    fn cell(&self, model: &str) -> Value {
        let cells = self.results("made-up")["cells"].clone();
        let cells = cells.as_array().expect("a list");
        let of_model = cells.iter().find(|cell| cell["model"] == model);
        of_model
            .unwrap_or_else(|| panic!("no cell of {model}"))
            .clone()
    }
}

/// Waits for a fact that another process brings about.
fn until(what: &str, fact: impl Fn() -> bool) {
    let start = Instant::now();
    while !fact() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether any process has this among its arguments.
fn runs(argument: &str) -> bool {
    let processes = fs::read_dir("/proc").expect("a Linux system").flatten();
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    let mut arguments = lines.map(|line| text(&line));
    arguments.any(|line| line.split('\0').any(|word| word == argument))
}

#[test]
fn a_bad_cell_says_so_and_the_rest_stands() {
    let stage = Stage::new();
    let sleep = format!("10001.{}", std::process::id());
    stage.script("model-thread", "echo 'not with so few threads' >&2; exit 4");
    stage.script(
        "model-process",
        "echo 'Error: wrong answer: total is 1, and 2 is right' >&2; exit 1",
    );
    stage.script("bench-tokio", "echo '<b>boom</b>' >&2; exit 101");
    stage.script("model-async-std", &format!("sleep {sleep} & sleep {sleep}"));
    stage.script("bench-smol", "true");
    let output = stage.compare(&["--seed", "7"]);
    let printed = text(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(1),
        "{printed}{}",
        text(&output.stderr)
    );

    for (model, status, says) in [
        ("thread", "unsupported", "not with so few threads"),
        ("process", "wrong_answer", "total is 1, and 2 is right"),
        ("tokio", "failed", "<b>boom</b>"),
        ("async-std", "failed", "had not finished after"),
        ("smol", "failed", "measured nothing"),
    ] {
        let cell = stage.cell(model);
        assert_eq!(cell["status"], status, "{cell}");
        let reason = cell["reason"].as_str().expect("a reason");
        assert!(reason.contains(says), "{reason}");
        assert!(printed.contains(says), "{printed}");
        assert_eq!(cell["time"], Value::Null);
    }
    assert!(!runs(&sleep), "what hung is still there");

    let serial = stage.cell("serial");
    assert_eq!(serial["status"], "ok");
    assert_eq!(
        serial["time"]["rounds"],
        serde_json::json!([10, 10, 10, 10, 10])
    );
    assert_eq!(serial["time"]["median_ns"], 1_000_004.5);
    assert_eq!(serial["threads"], 7);
    assert_eq!(serial["processes"], 2, "the script and its child");
    assert!(serial["peak_memory_bytes"].as_u64() > Some(0));
    assert_eq!(stage.results("made-up")["run"]["seed"], 7);

    let page = stage.read("results/made-up/index.html");
    assert!(
        page.contains("boom") && !page.contains("<b>boom"),
        "it is not escaped"
    );
    assert!(!stage.path("results/made-up/.tmp").exists());
}

#[test]
fn criterions_pages_say_what_the_tables_say() {
    let stage = Stage::new();
    // What an earlier comparison has left must not show.
    let stale = stage.path("target/criterion/primes/report");
    fs::create_dir_all(&stale).expect("a directory");
    let output = stage.compare(&["--models", "smol,serial"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(!Path::new(&stale).exists());

    let home = stage.path("target/criterion");
    for model in ["serial", "smol"] {
        let data = samples::directory(&home, "counter", model, "heavy");
        let median = samples::median(&data).expect("Criterion wrote it");
        assert_eq!(stage.cell(model)["time"]["median_ns"], median);
        assert_eq!(samples::read(&data).expect("Criterion wrote it").len(), 50);
    }
    let index = fs::read_to_string(home.join("report/index.html")).expect("an index");
    assert!(index.contains("counter"), "{index}");
    let violin = fs::read_to_string(home.join("counter/report/violin.svg")).expect("a violin");
    assert!(violin.contains("serial") && violin.contains("smol"));
    let page = stage.read("results/made-up/index.html");
    let link = "../../target/criterion/counter/report/index.html";
    assert!(page.contains(link));
    assert!(stage.path("results/made-up").join(link).exists());
}

#[test]
fn the_report_is_made_again_from_the_data_alone() {
    let stage = Stage::new();
    let output = stage.compare(&["--models", "serial,tokio"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let read = |name: &str| fs::read_to_string(stage.path(&format!("results/made-up/{name}")));
    let files = ["comparison.md", "index.html"];
    let before = files.map(|name| read(name).expect("a file"));
    for name in files {
        fs::remove_file(stage.path(&format!("results/made-up/{name}"))).expect("it was there");
    }
    for args in [&["report"][..], &["report", "made-up"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(args).arg("--output").arg(stage.path(""));
        assert!(command.status().expect("it starts").success());
        assert_eq!(files.map(|name| read(name).expect("a file")), before);
    }
}

#[test]
fn an_interrupted_comparison_keeps_what_it_has_and_leaves_nothing() {
    let stage = Stage::new();
    let sleep = format!("10002.{}", std::process::id());
    let marker = stage.path("second-round");
    // The first round is as good as any; in the second, it hangs with a child.
    let second = format!(
        "if [ -e {first} ]; then echo > {marker}; sleep {sleep} & sleep {sleep}; fi; echo > {first}\n",
        first = stage.path("first-round").display(),
        marker = marker.display(),
    );
    stage.script("bench-serial", &(second + &BENCH.replace('@', "serial")));
    let temporary = stage.path("tmp");
    fs::create_dir(&temporary).expect("a directory");
    let mut first = stage.command(&["--models", "serial"]);
    let first = first.env("TMPDIR", &temporary);
    let first = first.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let first = first.expect("it starts");
    until("the second round", || marker.exists() && runs(&sleep));

    // Meanwhile, another one is refused, and told by whom.
    let second = stage.compare(&["--name", "second"]);
    let refused = text(&second.stderr);
    assert_eq!(second.status.code(), Some(1));
    assert!(
        refused.contains(&format!("process {}", first.id())),
        "{refused}"
    );
    assert!(!stage.path("results/second").exists());

    let pid = Pid::from_raw(first.id().cast_signed());
    kill(pid, Signal::SIGINT).expect("it runs");
    let output = first.wait_with_output().expect("it ends");
    let printed = text(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(130),
        "{printed}{}",
        text(&output.stderr)
    );
    assert!(!runs(&sleep), "a child is still there");
    assert_eq!(fs::read_dir(&temporary).expect("a directory").count(), 0);
    assert!(printed.contains("interrupted"), "{printed}");
    let run = stage.results("made-up")["run"].clone();
    assert_eq!(run["interrupted"], true, "{run}");
    assert_eq!(
        stage.cell("serial")["time"]["rounds"],
        serde_json::json!([10])
    );
    let files = fs::read_dir(stage.path("results/made-up")).expect("a directory");
    assert_eq!(files.count(), 3);
}

#[test]
fn an_interrupt_before_the_first_figure_is_one_too() {
    let stage = Stage::new();
    let sleep = format!("10003.{}", std::process::id());
    stage.script("model-serial", &format!("sleep {sleep}"));
    let child = stage.spawn(&["--models", "serial"]);
    until("the first run", || runs(&sleep));
    let pid = Pid::from_raw(child.id().cast_signed());
    kill(pid, Signal::SIGTERM).expect("it runs");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    assert!(!runs(&sleep));
    // Nothing was measured, so nothing of the same name is overwritten.
    let data = stage.path("results/made-up/comparison.json");
    assert!(!Path::new(&data).exists());
}

#[test]
fn the_clock_is_kept_when_a_machine_is_slower_than_at_first() {
    let stage = Stage::new();
    let slow = format!("sleep 1.5\n{}", BENCH.replace('@', "serial"));
    stage.script("bench-serial", &slow);
    let start = Instant::now();
    let output = stage.compare(&["--models", "serial", "--budget", "6"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        start.elapsed() < Duration::from_secs(15),
        "{:?}",
        start.elapsed()
    );
    assert!(said.contains("of 5 rounds, to keep to the time"), "{said}");
    let rounds = stage.cell("serial")["time"]["rounds"].clone();
    assert!(
        (1..5).contains(&rounds.as_array().expect("a list").len()),
        "{rounds}"
    );
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_measured() {
    let stage = Stage::new();
    for (args, says) in [
        (&["contour"][..], "counter, pipeline"),
        (&["--models", "serial,go"], "async-std"),
        (&["--models", ""], "async-std"),
        (&["--set", "counter.wrkers=1"], "workers, increments"),
        (&["--set", "counter.workers=0"], "from 1 to"),
        (&["--set", "counter.workers"], "workload.key=value"),
        (&["--set", "primes.end=7"], "only counter"),
        (&["--name", "a/b"], "letters, digits"),
        (&["--name", ".."], "letters, digits"),
        (&["--threads", "0"], "1..=1024"),
        (&["--thorough"], "--quick"),
        (&["--nonsense"], "--nonsense"),
    ] {
        let output = stage.compare(args);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(says), "{args:?}: {said}");
    }
    assert!(!stage.path("results").exists());

    fs::write(stage.path("results"), "a file in its place").expect("a file");
    let output = stage.compare(&[]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("cannot write results into") && said.contains("made-up"),
        "{said}"
    );

    let mut report = Command::new(env!("CARGO_BIN_EXE_xtask"));
    report
        .args(["report", "no-such", "--output"])
        .arg(stage.path(""));
    let output = report.output().expect("it starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no-such/comparison.json"));
}

#[test]
fn a_model_that_does_not_start_is_a_failure() {
    let stage = Stage::new();
    fs::remove_file(stage.path("model-smol")).expect("it was there");
    let output = stage.compare(&["--models", "serial,smol"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let reason = stage.cell("smol")["reason"].to_string();
    assert!(reason.contains("cannot start"), "{reason}");
    assert_eq!(stage.cell("serial")["status"], "ok");
}
