//! Tests the cluster model: what a comparison reports with and without a server, how its nodes are
//! chosen, and the table of the losses that its jobs survive.

mod common;

use std::env;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use common::{Sandbox, text};

const COUNTER: [&str; 3] = ["counter", "--set", "counter.guard=lock"];

const NO_SERVER: &str = "no nats-server (Debian: apt-get install nats-server)";

/// Whether there is a server. Where there is none, nothing but this model needs it.
fn has_server() -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut directories = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    env::var_os("PACES_NATS_SERVER").is_some()
        || directories.any(|directory| directory.join("nats-server").is_file())
}

/// Runs a real comparison, which builds the programs.
fn compare(args: &[&str], change: impl FnOnce(&mut Command)) -> (TempDir, Output) {
    let output = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .arg("compare")
        .args(args)
        .args(["--quick", "--name", "nodes", "--output"])
        .arg(output.path());
    change(&mut command);
    let done = command.output().expect("it starts");
    (output, done)
}

fn results(output: &TempDir) -> Value {
    let data = output.path().join("results/nodes/comparison.json");
    let data = std::fs::read(data).expect("data");
    serde_json::from_slice(&data).expect("JSON")
}

fn page(output: &TempDir) -> String {
    let page = output.path().join("results/nodes/index.html");
    std::fs::read_to_string(page).expect("a page")
}

#[test]
fn without_a_server_its_cells_say_what_is_missing() {
    let job = ["primes", "--models", "serial,cluster", "--budget", "10"];
    let (output, done) = compare(&job, |command| {
        command.env("PACES_NATS_SERVER", "/no/such/nats-server");
    });
    let printed = text(&done.stdout) + &text(&done.stderr);
    assert_eq!(done.status.code(), Some(0), "{printed}");
    let data = results(&output);
    let cells = data["cells"].as_array().expect("a list");
    let of = |model: &str| cells.iter().find(|cell| cell["model"] == model);
    assert_eq!(of("serial").expect("a cell")["status"], "ok");
    let cluster = of("cluster").expect("a cell");
    assert_eq!(cluster["status"], "unsupported", "{cluster}");
    let reason = cluster["reason"].as_str().expect("a reason");
    assert!(reason.ends_with(NO_SERVER), "{reason}");
    let page = page(&output);
    for shown in [&printed, &page] {
        assert!(shown.contains(NO_SERVER), "{shown}");
    }
    assert!(page.contains("<bdi>cluster</bdi>"));
}

#[test]
fn nodes_take_part_and_are_held_to_their_cores() {
    if !has_server() {
        eprintln!("SKIPPED: {NO_SERVER}");
        return;
    }
    let job = [
        &["--models", "process,cluster", "--budget", "30"][..],
        &["--cluster-nodes", "2", "--node-cpus", "0.5"],
        &["--set", "primes.end=1004000", "--set", "primes.workers=2"],
        &["--sweep", "primes.share=100,1000"],
    ];
    let (output, done) = compare(&job.concat(), |_| {});
    let printed = text(&done.stdout) + &text(&done.stderr);
    assert_eq!(done.status.code(), Some(0), "{printed}");
    let data = results(&output);
    let nodes = json!({"nodes": 2, "cores_each": 0.5});
    assert_eq!(data["run"]["cluster"], nodes);
    let cells = data["cells"].as_array().expect("a list");
    assert_eq!(cells.len(), 4);
    for cell in cells {
        assert_eq!(cell["status"], "ok", "{cell}");
        // The parent, its nodes, and a server; or a parent and its children.
        let least = if cell["model"] == "cluster" { 4 } else { 3 };
        assert!(cell["processes"].as_u64() >= Some(least), "{cell}");
    }
    let page = page(&output);
    for words in ["More than one machine", "share = 1000"] {
        assert!(printed.contains(words), "no {words} in {printed}");
        assert!(page.contains(words), "no {words} in the page");
    }
    assert!(page.contains("2 nodes with 0.5 cores&#39; time each"));
}

#[test]
fn nodes_are_chosen_by_options_and_else_by_variables() {
    let sandbox = Sandbox::with(&["serial", "cluster"]);
    let log = "echo \"$PACES_CLUSTER_NODES, $PACES_CLUSTER_NODE_CPUS\" >> \"$0.env\"\n";
    sandbox.bench("cluster", log, "1000000");
    let models = ["--models", "serial,cluster"];
    let compared = |options: &[&str], variables: &[(&str, &str)], code: i32| {
        let args = [&COUNTER[..], &models, options].concat();
        let mut command = sandbox.command(&args);
        for name in ["PACES_CLUSTER_NODES", "PACES_CLUSTER_NODE_CPUS"] {
            command.env_remove(name);
        }
        command.envs(variables.iter().copied());
        let done = command.output().expect("it starts");
        let printed = text(&done.stdout) + &text(&done.stderr);
        assert_eq!(done.status.code(), Some(code), "{printed}");
        printed
    };
    let variables = [
        ("PACES_CLUSTER_NODES", "5"),
        ("PACES_CLUSTER_NODE_CPUS", "0.75"),
    ];
    let options = ["--cluster-nodes", "3", "--node-cpus", "0.25"];
    for (options, variables, told, kept) in [
        (
            &options[..],
            &variables[..],
            "3, 0.25",
            json!({"nodes": 3, "cores_each": 0.25}),
        ),
        (&options[..2], &[], "3, ", json!({"nodes": 3})),
        (
            &[],
            &variables,
            "5, 0.75",
            json!({"nodes": 5, "cores_each": 0.75}),
        ),
        (&[], &[], ", ", json!({})),
    ] {
        compared(options, variables, 0);
        let lines = sandbox.read("bench-cluster.env");
        assert!(lines.lines().all(|line| line == told), "{told}: {lines}");
        std::fs::remove_file(sandbox.path("bench-cluster.env")).expect("it is there");
        assert_eq!(sandbox.results("made-up")["run"]["cluster"], kept);
    }
    for (options, variables, says) in [
        (&["--cluster-nodes", "0"][..], &[][..], "1..=64"),
        (&["--cluster-nodes", "65"], &[], "1..=64"),
        (&["--node-cpus", "0"], &[], "cores from 0.01 to 1024"),
        (&["--node-cpus", "NaN"], &[], "cores from 0.01 to 1024"),
        (
            &[],
            &[("PACES_CLUSTER_NODES", "many")],
            "PACES_CLUSTER_NODES = many: has to be from 1 to 64",
        ),
        (
            &[],
            &[("PACES_CLUSTER_NODE_CPUS", "0")],
            "PACES_CLUSTER_NODE_CPUS = 0: has to be",
        ),
    ] {
        let said = compared(options, variables, 2);
        assert!(said.contains(says), "no {says} in {said}");
    }
    for option in ["--cluster-nodes=2", "--node-cpus=0.5"] {
        let said = sandbox.compared(2, &["counter", "--models", "serial", option]);
        assert!(said.contains("which does not take part"), "{said}");
    }
}

fn losses(args: &[&str]) -> (Option<i32>, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["faults", "--cluster"])
        .args(args)
        .output()
        .expect("it starts");
    let printed = text(&done.stdout) + &text(&done.stderr);
    (done.status.code(), printed)
}

#[test]
fn losses_are_survived_or_not_run() {
    let only = ["--only", "node-after-ack", "--only", "token"];
    let (code, printed) = losses(&only);
    let words = match has_server() {
        true => [
            "its share is not worked on again",
            "2 losses: 2 passed, 0 failed",
        ],
        false => [NO_SERVER, "2 losses: 0 passed, 0 failed, 2 not run"],
    };
    assert_eq!(code, Some(i32::from(!has_server())), "{printed}");
    for words in words {
        assert!(printed.contains(words), "no {words} in {printed}");
    }
}

#[test]
fn losses_that_there_are_not_are_refused() {
    for (args, says) in [
        (&["--only", "nonsense"][..], "node-after-ack, own-node"),
        (&["--models", "serial"], "--models"),
        (&["--serve"], "--serve"),
        (&["--only", "token", "--readme"], "--only"),
    ] {
        let (code, said) = losses(args);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(says), "no {says} in {said}");
    }
}
