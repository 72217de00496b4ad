//! Comparisons of made-up models on a machine that others use too.

mod common;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use common::{Stage, text};

/// A runner that is right. When it is looked at, it says what no other run does.
const RUNNER: &str = r#"
total=1
case "$*" in *--hold*) total=999; exec 3<&0; cat <&3 & esac
echo "{\"elapsed_ns\":1000000,\"outcome\":{\"total\":$total,\"lost\":0}}"
wait
"#;

/// A bench that takes a third of a second, whose every sample says in milliseconds
/// which call it was.
const BENCH: &str = r#"
calls=$(($(cat @/calls 2>/dev/null || echo 0) + 1))
echo $calls > @/calls
label=$(echo "$PACES_CELLS" | sed 's/.*"label":"\([^"]*\)".*/\1/')
new="$CRITERION_HOME/counter/serial/$label/new"
mkdir -p "$new"
time="${calls}000000"
sleep 0.35
echo "{\"sampling_mode\":\"Flat\",\"iters\":[1,1,1,1,1,1,1,1,1,1],\"times\":[$time,$time,
$time,$time,$time,$time,$time,$time,$time,$time]}" > "$new/sample.json"
"#;

const BUDGET: Duration = Duration::from_secs(30);

/// One model that does one job.
fn stage() -> Stage {
    let stage = Stage::empty();
    stage.script("model-serial", RUNNER);
    let bench = BENCH.replace('@', &stage.path("").display().to_string());
    stage.script("bench-serial", &bench);
    stage
}

fn compare(stage: &Stage) -> String {
    let budget = BUDGET.as_secs().to_string();
    let mut command = stage.quick(&["counter", "--set", "counter.guard=lock"]);
    command.args([
        "--models", "serial", "--name", "made-up", "--budget", &budget,
    ]);
    let began = Instant::now();
    let output = command.output().expect("it starts");
    let printed = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{printed}");
    assert!(began.elapsed() < BUDGET, "{printed}");
    printed
}

/// Someone who uses the whole machine, and is none of the comparison's.
struct Neighbour(Vec<Child>);

impl Neighbour {
    fn on_all_cores() -> Self {
        let spin = |_| {
            Command::new("sh")
                .args(["-c", "while :; do :; done"])
                .stdin(Stdio::null())
                .spawn()
                .expect("a shell")
        };
        let cores = std::thread::available_parallelism().expect("a Linux system");
        Self((0..cores.get()).map(spin).collect())
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Which calls of the bench its cell's samples are from, round by round.
fn calls(cell: &Value) -> Vec<u64> {
    let samples = cell["time"]["samples_ns"].as_array().expect("a list");
    assert_eq!(
        cell["time"]["rounds"],
        json!([10, 10, 10, 10, 10]),
        "{cell}"
    );
    let round = |round: &[Value]| {
        assert!(round.iter().all(|sample| *sample == round[0]), "{round:?}");
        (round[0].as_f64().expect("a number") / 1e6) as u64
    };
    samples.chunks(10).map(round).collect()
}

#[test]
fn rounds_that_a_neighbour_disturbs_are_taken_again_and_then_marked() {
    let stage = stage();
    let neighbour = Neighbour::on_all_cores();
    let printed = compare(&stage);
    drop(neighbour);

    let data = stage.results("made-up");
    let neighbours = &data["run"]["neighbours"];
    let number = |key: &str| neighbours[key].as_u64().expect(key);
    assert!(number("retaken") > 0, "{neighbours}");
    assert!(
        number("kept") > 0 && number("kept") == number("windows"),
        "{neighbours}"
    );
    assert_eq!(neighbours["limit"], 0.03);
    let error = neighbours["error"].as_f64().expect("it was measured");
    assert!(error > 0.03, "{neighbours}");
    assert!(printed.contains("THIS MACHINE IS NOT IDLE"), "{printed}");

    let cell = &data["cells"][0];
    assert_eq!(cell["disturbed"], 5, "{cell}");
    // What was taken again stands in the place of what was there before.
    let calls = calls(cell);
    assert!(calls.is_sorted_by(|one, next| one < next), "{calls:?}");
    let made: u64 = stage.read("calls").trim().parse().expect("a number");
    assert!(made > 5 && calls[4] <= made, "{calls:?} of {made}");
    assert!(calls[0] > 1, "{calls:?}: the first take is still there");
    assert_eq!(cell["runs"], 5, "{cell}");
    assert!(cell["peak_memory_bytes"].is_number(), "{cell}");

    let note = "background load in 5 of 5 rounds";
    assert!(
        printed.contains(note) && printed.contains("neighbours: "),
        "{printed}"
    );
    for file in ["comparison.md", "index.html"] {
        let shown = stage.read(&format!("results/made-up/{file}"));
        assert!(shown.contains(note), "{shown}");
        assert!(
            shown.contains("Neighbours") && shown.contains("were kept although"),
            "{shown}"
        );
    }
}

#[test]
fn whatever_the_neighbours_do_every_round_is_there_once_and_no_look_gives_a_time() {
    let stage = stage();
    compare(&stage);
    let data = stage.results("made-up");
    let cell = &data["cells"][0];
    let calls = calls(cell);
    assert!(calls.is_sorted_by(|one, next| one < next), "{calls:?}");
    assert!(cell["disturbed"].as_u64().unwrap_or(0) <= 5, "{cell}");
    let neighbours = &data["run"]["neighbours"];
    assert!(neighbours["windows"].as_u64() > Some(0), "{neighbours}");
    assert!(neighbours["unknown"].is_null(), "{neighbours}");

    // A run a round, and the one that was looked at is none of them.
    assert_eq!(cell["runs"], 5, "{cell}");
    assert_eq!(cell["outcome"]["total"], 1, "{cell}");
    assert!(cell["peak_memory_bytes"].is_number(), "{cell}");
}
