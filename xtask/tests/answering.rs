//! Contestants that answer: any program that speaks the protocol takes part under the checks
//! and the clock of the models, and one that does not keep to it has a cell that says so.

mod common;

use std::process::Command;

use common::{Sandbox, assert_shown, skip};
use lab::workspace;
use serde_json::Value;

/// Small jobs of the three workloads that the examples do.
const SMALL: [&str; 9] = [
    "counter",
    "pipeline",
    "primes",
    "--set",
    "counter.increments=500",
    "--set",
    "pipeline.items=1000",
    "--set",
    "primes.end=1000500",
];

/// An example's command, if its interpreter is there.
fn example(interpreter: &str, file: &str) -> Option<String> {
    if Command::new(interpreter).args(["-c", ""]).status().is_err() {
        skip(&format!("this needs {interpreter}, and there is none"));
        return None;
    }
    let root = workspace::root().expect("a checkout");
    let path = root.join("xtask/contestants").join(file);
    let path = path.to_str().expect("the path is UTF-8").to_owned();
    Some(format!("{interpreter} '{path}'"))
}

#[test]
fn the_examples_take_part() {
    let examples = [("python3", "example.py"), ("sh", "example.sh")];
    for (interpreter, file) in examples {
        let Some(command) = example(interpreter, file) else {
            continue;
        };
        let sandbox = Sandbox::with(&["serial"]);
        let contestant = format!("mine={command}");
        let args = ["--models", "serial", "--contestant", &contestant];
        let printed = sandbox.compared(0, &[&SMALL[..], &args].concat());
        let results = sandbox.results("made-up");
        let cells = results["cells"].as_array().expect("a list").iter();
        let mine: Vec<&Value> = cells.filter(|cell| cell["model"] == "mine").collect();
        let ok = mine.iter().filter(|cell| cell["status"] == "ok");
        assert!(ok.count() >= 3, "{mine:?}");
        for cell in mine.iter().filter(|cell| cell["status"] == "ok") {
            assert_eq!(cell["answers"], true, "{cell}");
            let samples = cell["time"]["samples_ns"].as_array().expect("a list");
            assert!(samples.len() >= 10 && !cell["cold"].is_null(), "{cell}");
            assert!(cell["outcome"].is_object(), "{cell}");
        }
        assert!(!printed.contains("whole process"), "{printed}");
        assert_shown(&sandbox, &printed, &["mine is `"]);
    }
}

/// A contestant in a few lines of a shell: `answers` is what it does with `$id` when a job has
/// come.
fn contestant(sandbox: &Sandbox, name: &str, ready: &str, answers: &str) -> String {
    let body = format!(
        "{ready}\nwhile read -r task; do\n\
         id=$(echo \"$task\" | sed 's/.*\"id\":\\([0-9]*\\).*/\\1/')\n{answers}\ndone\n"
    );
    sandbox.script(name, &body);
    format!("{name}={}", sandbox.path(name).display())
}

/// The line of one that does `primes`.
const READY: &str = r#"echo '{"paces": 1, "workloads": ["primes"]}'"#;

/// The right answer for the range in [`compare`]: an empty one, of any part of which it is right.
const RIGHT: &str = r#"echo "{\"id\": $id, \"outcome\": {\"count\": 0}}""#;

/// An answer that the job is not done.
const REFUSES: &str = r#"echo "{\"id\": $id, \"unsupported\": \"too many\"}""#;

fn compare(sandbox: &Sandbox, code: i32, contestants: &[String]) -> String {
    let mut args = vec![
        "primes",
        "--set",
        "primes.end=1000000",
        "--models",
        "serial",
    ];
    for contestant in contestants {
        args.extend(["--contestant", contestant]);
    }
    sandbox.compared(code, &args)
}

#[test]
fn one_that_does_not_keep_to_the_protocol_is_told_of() {
    let sandbox = Sandbox::with(&["serial"]);
    let complains = "echo 'no more tea' >&2; exit 7";
    let forks = format!("sleep 600 </dev/null >/dev/null 2>&1 & {RIGHT}");
    let twice = format!("{RIGHT}; {RIGHT}");
    let later = format!("{RIGHT}; [ $id -lt 3 ] || echo more");
    let prepares = READY.replace("1,", r#"1, "prepares": true,"#);
    let at_once = format!(r#"case "$task" in *prepare*) {REFUSES} ;; *) {RIGHT} ;; esac"#);
    let faults: [(&str, &str, &str, &str, &str); 20] = [
        ("right", READY, RIGHT, "ok", ""),
        ("prepares", &prepares, RIGHT, "ok", ""),
        (
            "not-prepared",
            &prepares,
            &at_once,
            "unsupported",
            "too many",
        ),
        (
            "version",
            r#"echo '{"paces": 2}'"#,
            RIGHT,
            "failed",
            "version 2",
        ),
        (
            "unknown",
            r#"echo '{"paces": 1, "workloads": ["conter"]}'"#,
            RIGHT,
            "failed",
            "conter",
        ),
        (
            "another",
            r#"echo '{"paces": 1, "workloads": ["counter"]}'"#,
            RIGHT,
            "unsupported",
            "does not say that it does primes",
        ),
        (
            "wrong",
            READY,
            r#"echo "{\"id\": $id, \"outcome\": {\"count\": 40}}""#,
            "wrong_answer",
            "count is 40, and 0 is right",
        ),
        ("refuses", READY, REFUSES, "unsupported", "too many"),
        (
            "fails",
            READY,
            r#"echo "{\"id\": $id, \"error\": \"it broke\"}""#,
            "failed",
            "it broke",
        ),
        ("malformed", READY, "echo hello", "failed", "its answer:"),
        (
            "lacks",
            READY,
            r#"echo "{\"id\": $id, \"outcome\": {}}""#,
            "failed",
            "count",
        ),
        (
            "other-job",
            READY,
            r#"echo "{\"id\": 77, \"outcome\": {\"count\": 0}}""#,
            "failed",
            "answers job 77",
        ),
        ("twice", READY, &twice, "failed", "it "),
        ("later", READY, &later, "failed", "it"),
        (
            "floods",
            READY,
            "while echo more; do :; done",
            "failed",
            "its answer:",
        ),
        (
            "long",
            READY,
            "head -c 2000000 /dev/zero | tr '\\0' x; echo",
            "failed",
            "longer than",
        ),
        ("dies", READY, complains, "failed", "no more tea"),
        ("killed", READY, "kill -9 $$", "failed", "signal: 9"),
        ("forks", READY, &forks, "failed", "processes behind"),
        ("closes", READY, "exec <&-; sleep 600", "failed", "it"),
    ];
    let contestants: Vec<String> = faults
        .iter()
        .map(|(name, ready, answers, ..)| contestant(&sandbox, name, ready, answers))
        .collect();
    let printed = compare(&sandbox, 1, &contestants);
    for (name, _, _, status, says) in faults {
        sandbox.assert_cell(name, status, says);
    }
    // The models' cells stand.
    sandbox.assert_cell("serial", "ok", "");
    assert!(printed.contains("no more tea"), "{printed}");
}

#[test]
fn one_that_does_not_answer_is_ended_and_nothing_of_it_is_left() {
    let sandbox = Sandbox::with(&["serial"]);
    let pids = sandbox.path("pids").display().to_string();
    let hangs = format!("sleep 600 & echo $! >> {pids}; wait");
    let silent = format!("echo $$ >> {pids}; sleep 600 & echo $! >> {pids}; wait; {READY}");
    let contestants = [
        contestant(&sandbox, "hangs", READY, &hangs),
        contestant(&sandbox, "silent", &silent, RIGHT),
    ];
    compare(&sandbox, 1, &contestants);
    sandbox.assert_cell(
        "hangs",
        "failed",
        "it was ended when it had not finished after",
    );
    // It is no contestant that answers: as a whole process, it does not end either.
    sandbox.assert_cell(
        "silent",
        "failed",
        "it was ended when it had not finished after",
    );
    for pid in sandbox.read("pids").lines() {
        let status = std::fs::read_to_string(format!("/proc/{pid}/cmdline"));
        let lives = status.is_ok_and(|command| command.contains("sleep"));
        assert!(!lives, "process {pid} is left");
    }
}
