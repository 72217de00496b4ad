//! Custom commands with a real origin and real files: what they bring is checked.

mod common;

use std::fs;
use std::process::Command;

use common::{Sandbox, assert_shown, skip};

/// Compares `serial` and these custom commands, some of which fail.
fn compare(sandbox: &Sandbox, args: &[&str], contestants: &[&str]) {
    let mut all = [args, &["--models", "serial"]].concat();
    for contestant in contestants {
        all.extend(["--contestant", contestant]);
    }
    sandbox.compared(1, &all);
}

#[test]
fn a_program_of_ones_own_is_held_against_an_earlier_run() {
    let sandbox = Sandbox::with(&["serial", "tokio"]);
    let primes = |code: i32, name: &str, more: &[&str]| {
        let args = ["primes", "--name", name, "--load-limit", "100"];
        sandbox.compared(code, &[&args[..], more].concat())
    };
    let (quick, slow) = ("mine=sleep 0.02", "mine=sleep 0.1");
    let serial = ["--models", "serial"];
    primes(0, "then", &[&serial[..], &["--contestant", quick]].concat());

    // No model is in both.
    let limit = ["--baseline", "then", "--fail-above", "1.5"];
    let now = ["--models", "tokio", "--contestant", slow];
    let printed = primes(1, "made-up", &[&limit[..], &now].concat());
    let shown = [
        "command of mine sleep 0.02 to sleep 0.1",
        "mine: primes heavy ",
    ];
    assert_shown(&sandbox, &printed, &shown);
    let words = ["times slower", "slower than 1.5 times, which is the limit"];
    assert_shown(&sandbox, &printed, &words);

    let printed = primes(1, "gone", &[&limit[..], &serial].concat());
    for words in [
        "mine: primes heavy had a time then, and has none now",
        "cells have vanished, so the limit is not kept",
    ] {
        assert!(printed.contains(words), "no {words} in {printed}");
    }
    primes(0, "no-gate", &[&limit[..2], &serial].concat());
}

#[test]
fn the_conditions_of_a_program_are_prepared_and_said() {
    let sandbox = Sandbox::with(&["serial"]);
    let input = sandbox.path("input").display().to_string();
    fs::write(&input, "its input\n").expect("a file");
    let [ready, cleaned] = ["ready", "cleaned"].map(|name| sandbox.path(name));
    let (ready, cleaned) = (ready.display(), cleaned.display());
    let reads = format!("reads=sh -c 'test \"$(cat)\" = \"its input\" && rm {ready} && exit 3'");
    let prepare = format!("echo > {ready} && test ! -e {cleaned}");
    let cleanup = format!("echo >> {cleaned}");
    let mut args = vec!["primes", "--models", "serial", "--contestant", &reads];
    args.extend(["--prepare", &prepare, "--cleanup", &cleanup]);
    args.extend(["--input", &input, "--ignore-exit", "3"]);
    sandbox.compared(0, &args);
    sandbox.assert_cell("reads", "ok", "");
    assert_eq!(sandbox.read("cleaned"), "\n");
    let said = format!("input: {input}; also right: exit code 3");
    let command = sandbox.cell("reads")["command"].to_string();
    assert!(command.contains(&said), "{command}");
    // Not again: that is there now.
    sandbox.compared(1, &args);
    sandbox.assert_cell("reads", "failed", "--prepare echo > ");

    let fails = ["--cleanup", "exit 9", "--contestant", "true=true"];
    let printed = sandbox.compared(1, &[&args[..3], &fails].concat());
    sandbox.assert_cell("true", "ok", "");
    let shown = ["true: --cleanup exit 9: exit status: 9"];
    assert_shown(&sandbox, &printed, &shown);

    let without = ["primes", "--prepare", "true"];
    assert!(
        sandbox
            .compared(2, &without)
            .contains("is for --contestant")
    );
}

#[test]
fn preparing_may_take_longer_than_a_run() {
    let sandbox = Sandbox::with(&["serial"]);
    // A run may take 5 s, and the first preparation takes more.
    let there = sandbox.path("there").display().to_string();
    let prepare = format!("test -e {there} || sleep 6; echo > {there}");
    let args = ["primes", "--models", "serial", "--rounds", "1"];
    let prepared = ["--contestant", "true=true", "--prepare", &prepare];
    sandbox.compared(0, &[&args[..], &prepared].concat());
    sandbox.assert_cell("true", "ok", "");
}

/// Whether there is curl. Without it, a test says that it has tested nothing.
fn curl() -> bool {
    let there = Command::new("curl").arg("--version").output().is_ok();
    if !there {
        skip("this needs curl, and there is none");
    }
    there
}

#[test]
fn downloads_are_checked_file_by_file() {
    if !curl() {
        return;
    }
    let sandbox = Sandbox::with(&["serial"]).with_origin();
    let settings = ["images=600", "image_bytes=2048", "limit=9", "delay_ms=1"];
    let settings = settings.map(|setting| format!("download.{setting}"));
    let mut args = vec!["download"];
    for setting in &settings {
        args.extend(["--set", setting]);
    }
    let curl = "curl --silent --show-error --parallel --remote-name-all";
    let into = "--output-dir {into} {urls}";
    let contestants = [
        format!("curl={curl} --parallel-max {{limit}} {into}"),
        format!(
            "file=sh -c 'cd {{into}} && sed \"s/^/url = /\" {{urls_file}} \
             | {curl} --parallel-max {{limit}} --config -'"
        ),
        format!("greedy={curl} --parallel-max 50 --parallel-immediate {into}"),
        "lazy=true".to_owned(),
        format!("spoils=sh -c '{curl} \"$@\" && echo > {{into}}/0000.jpg' sh {into}"),
        format!("more=sh -c '{curl} \"$@\" && : > {{into}}/more' sh {into}"),
    ];
    compare(&sandbox, &args, &contestants.each_ref().map(|one| &**one));
    for name in ["curl", "file"] {
        sandbox.assert_cell(name, "ok", "");
        let outcome = &sandbox.cell(name)["outcome"];
        assert_eq!(outcome["files"], 600, "{outcome}");
        assert_eq!(outcome["bytes"], 600 * 2048, "{outcome}");
        assert!(outcome["peak_in_flight"].as_u64() <= Some(9), "{outcome}");
    }
    assert!(sandbox.cell("curl")["peak_memory_bytes"].as_u64() > Some(1 << 20));
    for (name, says) in [
        ("lazy", "0.jpg missing"),
        ("spoils", "0000.jpg with 1 bytes"),
        ("more", "files is "),
        ("greedy", "and at most 9 is right"),
    ] {
        sandbox.assert_cell(name, "wrong_answer", says);
    }
}

#[test]
fn fetches_are_checked_by_what_the_origin_has_sent() {
    if !curl() {
        return;
    }
    let sandbox = Sandbox::with(&["serial"]).with_origin();
    let curl = "curl=curl --silent --parallel --remote-name-all --output-dir {into} {urls}";
    let args = ["fetch", "--set", "fetch.delays_ms=1,2,3"];
    compare(&sandbox, &args, &[curl, "lazy=true"]);
    sandbox.assert_cell("curl", "ok", "");
    let outcome = &sandbox.cell("curl")["outcome"];
    assert_eq!(
        (&outcome["bodies"], &outcome["bytes"]),
        (&3.into(), &(3 * 4096).into())
    );
    sandbox.assert_cell("lazy", "wrong_answer", "count of requests is 0");
}

#[test]
fn a_custom_command_finds_the_files_of_the_job_and_no_others() {
    let sandbox = Sandbox::with(&["serial"]);
    // Tried out first with a 64th of them.
    let args = ["files", "thumbnails", "--set", "files.count=128"];
    let contestants = [
        "all=sh -c 'test $(ls {dir} | wc -l) = {count} && cat {dir}/* > {into}/all'",
        "some=sh -c 'test $(ls {dir} | wc -l) = 2'",
    ];
    compare(&sandbox, &args, &contestants);
    sandbox.assert_cell("all", "ok", "");
    sandbox.assert_cell("some", "failed", "exit status: 1");
}
