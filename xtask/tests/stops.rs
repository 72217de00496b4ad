//! Programs and a `measure` or `compare` that are stopped for a time.

mod common;

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpgid};

use common::{Sandbox, skip, text, until};

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid.cast_signed()), signal).expect("it lives");
}

fn is_stopped(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ")
        .next()
        .is_some_and(|rest| rest.starts_with('T'))
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).unwrap_or_default().lines().count()
}

/// A script that says in `began` that it runs, waits for `go`, and says in `ended` that it
/// is done.
fn waiting(sandbox: &Sandbox) -> String {
    let [began, go, ended] = ["began", "go", "ended"].map(|name| sandbox.path(name));
    sandbox.script(
        "waits",
        &format!(
            "echo $$ >> {}; while [ ! -e {} ]; do sleep 0.01; done; echo >> {}\n",
            began.display(),
            go.display(),
            ended.display()
        ),
    );
    sandbox.path("waits").display().to_string()
}

fn start(command: &mut Command) -> Child {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts")
}

/// Starts it; what it says on standard error goes into the sandbox's file `said`.
fn start_aloud(sandbox: &Sandbox, command: &mut Command) -> Child {
    let said = File::create(sandbox.path("said")).expect("a file");
    let command = command.stdout(Stdio::piped()).stderr(said);
    command.spawn().expect("it starts")
}

/// Continues a process once it has been said that it is stopped: one that ends before that is
/// noticed was not stopped, as far as its parent can know.
fn go_on(sandbox: &Sandbox, pid: u32) {
    until("its stop was said", || {
        what_was_said(sandbox).contains("is stopped (SIGSTOP)")
    });
    signal(pid, Signal::SIGCONT);
}

fn what_was_said(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.path("said")).expect("a file")
}

fn measure(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("measure").args(args);
    command
}

/// Stops `stopped` while the script waits, and continues it when the script has ended.
fn stop_while_it_ends(sandbox: &Sandbox, stopped: &Child) {
    until("it runs", || lines(&sandbox.path("began")) == 1);
    signal(stopped.id(), Signal::SIGSTOP);
    until("it is stopped", || is_stopped(stopped.id()));
    fs::write(sandbox.path("go"), "").expect("a file");
    until("the script has ended", || {
        lines(&sandbox.path("ended")) == 1
    });
    signal(stopped.id(), Signal::SIGCONT);
}

#[test]
fn a_run_in_which_measure_was_stopped_is_done_again() {
    let sandbox = Sandbox::empty();
    let program = waiting(&sandbox);
    let child = start(&mut measure(&["--json", "--", &program]));
    stop_while_it_ends(&sandbox, &child);
    let output = child.wait_with_output().expect("it ends");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("waits again: something"), "{said}");
    // Dropped, timed, and observed.
    assert_eq!(lines(&sandbox.path("began")), 3, "{said}");
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(figures["runs"], 1);
}

#[test]
fn a_run_in_which_the_program_was_stopped_is_done_again() {
    let sandbox = Sandbox::empty();
    let program = waiting(&sandbox);
    let child = start_aloud(&sandbox, &mut measure(&["--", &program]));
    let began = sandbox.path("began");
    until("it runs", || lines(&began) == 1);
    let pid = fs::read_to_string(&began).expect("a file");
    let pid = pid.trim().parse().expect("a number");
    signal(pid, Signal::SIGSTOP);
    fs::write(sandbox.path("go"), "").expect("a file");
    go_on(&sandbox, pid);
    let output = child.wait_with_output().expect("it ends");
    let said = what_was_said(&sandbox);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("waits again: something"), "{said}");
    assert_eq!(lines(&began), 3, "{said}");
}

#[test]
fn a_round_in_which_compare_was_stopped_is_measured_again() {
    let sandbox = Sandbox::with(&["serial"]);
    let program = waiting(&sandbox);
    let contestant = format!("waits={program}");
    let args = ["primes", "--models", "serial", "--rounds", "2"];
    let more = ["--contestant", &contestant, "--load-limit", "100"];
    let child = start(&mut sandbox.command(&[&args[..], &more].concat()));
    stop_while_it_ends(&sandbox, &child);
    let output = child.wait_with_output().expect("it ends");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("waits again: something was stopped"),
        "{said}"
    );
    // That was its first try, whose time is the job's cost.
    let rounds = sandbox.cell("waits")["time"]["rounds"].clone();
    assert_eq!(rounds.as_array().map(Vec::len), Some(2), "{rounds}");

    // Now in a round: it is tried three times at most, and runs four times in each round.
    for file in ["began", "go", "ended"] {
        fs::remove_file(sandbox.path(file)).expect("it was there");
    }
    let began = sandbox.path("began");
    let script = format!(
        "echo $$ >> {0}; if [ $(wc -l < {0}) = 4 ]; then kill -STOP $$; fi\n",
        began.display()
    );
    sandbox.script("waits", &script);
    let child = start_aloud(&sandbox, &mut sandbox.command(&[&args[..], &more].concat()));
    let last = || {
        let pids = fs::read_to_string(&began).unwrap_or_default();
        pids.lines().nth(3).and_then(|pid| pid.parse::<u32>().ok())
    };
    until("it has stopped itself", || last().is_some_and(is_stopped));
    go_on(&sandbox, last().expect("a number"));
    let output = child.wait_with_output().expect("it ends");
    let said = what_was_said(&sandbox);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("primes heavy · round 1 · all models again"),
        "{said}"
    );
    let rounds = sandbox.cell("waits")["time"]["rounds"].clone();
    assert_eq!(rounds.as_array().map(Vec::len), Some(2), "{rounds}");
    let own = sandbox.cell("waits")["time"]["samples_ns"].clone();
    let each = rounds[0].as_u64().expect("a number") * 2;
    assert_eq!(own.as_array().map(|all| all.len() as u64), Some(each));
}

/// A program that stops in every run, and has itself continued once it is stopped, half a second
/// later: long enough to be seen on a busy machine.
const STOPS: &str = "(until grep -q State:.T /proc/$$/status; do sleep 0.01; done; sleep 0.5; \
                     kill -CONT $$) & kill -STOP $$; wait";

#[test]
fn a_program_that_stops_in_every_run_is_given_up() {
    let right = "is stopped in every run: 4 of 4";
    let child = start(&mut measure(&["--", "sh", "-c", STOPS]));
    let output = child.wait_with_output().expect("it ends");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(right), "{said}");
    assert_eq!(said.matches("sh again: something").count(), 3, "{said}");
    assert!(said.contains("sh is stopped (SIGSTOP)"), "{said}");

    let sandbox = Sandbox::with(&["serial"]);
    let stops = format!("stops=sh -c '{STOPS}'");
    // From its fourth run, which is in a round: it is tried three times at most.
    let ran = sandbox.path("ran");
    let later = format!(
        "echo >> {0}; if [ $(wc -l < {0}) -gt 3 ]; then {STOPS}; fi",
        ran.display()
    );
    let later = format!("later=sh -c '{later}'");
    let args = ["primes", "--models", "serial", "--rounds", "1"];
    let more = ["--load-limit", "100", "--contestant", &stops];
    sandbox.compared(1, &[&args[..], &more, &["--contestant", &later]].concat());
    sandbox.assert_cell("stops", "failed", right);
    sandbox.assert_cell("later", "failed", right);
    sandbox.assert_cell("serial", "ok", "");
}

#[test]
fn a_failure_in_a_round_with_a_stop_is_forgotten() {
    let sandbox = Sandbox::with(&["serial"]);
    // Its first try and its fifth run fail, and are stopped.
    let ran = sandbox.path("ran");
    let fails = format!(
        "echo >> {0}; n=$(wc -l < {0}); if [ $n = 1 ] || [ $n = 5 ]; then {STOPS}; exit 1; fi",
        ran.display()
    );
    let contestant = format!("fails=sh -c '{fails}'");
    let args = ["primes", "--models", "serial", "--rounds", "2"];
    let more = ["--load-limit", "100", "--contestant", &contestant];
    let printed = sandbox.compared(0, &[&args[..], &more].concat());
    for says in ["fails again: something", "all models again: something"] {
        assert!(printed.contains(says), "no {says}: {printed}");
    }
    sandbox.assert_cell("fails", "ok", "");
    let rounds = sandbox.cell("fails")["time"]["rounds"].clone();
    assert_eq!(rounds.as_array().map(Vec::len), Some(2), "{rounds}");
}

/// The children of a process that run a program of this name.
fn children(of: u32, name: &str) -> Vec<u32> {
    let pids = fs::read_dir("/proc").expect("a Linux system").flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_one = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let named = format!("{pid} ({name}) ");
        let rest = stat.strip_prefix(&named);
        rest.and_then(|rest| rest.split(' ').nth(1)) == Some(&of.to_string())
    };
    pids.filter(is_one).collect()
}

#[test]
fn a_stop_of_compare_does_not_stop_the_origin() {
    let sandbox = Sandbox::with(&["serial"]).with_origin();
    let contestant = format!("waits={}", waiting(&sandbox));
    let args = ["fetch", "--models", "serial", "--contestant", &contestant];
    let group = |pid: u32| getpgid(Some(Pid::from_raw(pid.cast_signed()))).expect("it lives");
    let began = sandbox.path("began");
    // Of a process that has ended, and that its parent has not waited for, it is empty.
    let lives = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline"));
        line.is_ok_and(|line| !line.is_empty())
    };
    for (end, code) in [(Signal::SIGINT, Some(130)), (Signal::SIGKILL, None)] {
        let child = start(&mut sandbox.command(&args));
        until("it runs", || lines(&began) == 1);
        let origins = children(child.id(), "origin");
        assert!(!origins.is_empty() && origins.iter().all(lives));
        for &origin in &origins {
            assert_ne!(group(origin), group(child.id()));
        }
        signal(child.id(), end);
        fs::write(sandbox.path("go"), "").expect("a file");
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), code, "{}", text(&output.stderr));
        until("the origins have ended", || !origins.iter().any(lives));
        if end == Signal::SIGKILL {
            // Nothing else ends the script: without `go`, it would wait for it.
            let ended = sandbox.path("ended");
            until("the script has ended", || lines(&ended) == 1);
        }
        for file in ["began", "go"] {
            fs::remove_file(sandbox.path(file)).expect("it was there");
        }
        let _ = fs::remove_file(sandbox.path("ended"));
    }
}

#[test]
fn a_fault_in_which_faults_was_stopped_is_tried_again() {
    let sandbox = Sandbox::empty().with_origin();
    waiting(&sandbox);
    fs::rename(sandbox.path("waits"), sandbox.path("model-serial")).expect("a program");
    let mut faults = Command::new(env!("CARGO_BIN_EXE_xtask"));
    faults
        .args([
            "faults",
            "--models",
            "serial",
            "--only",
            "13",
            "--at-once",
            "1",
            "--prebuilt",
        ])
        .arg(sandbox.path("."));
    let child = start(&mut faults);
    stop_while_it_ends(&sandbox, &child);
    let output = child.wait_with_output().expect("it ends");
    let said = text(&output.stderr);
    // It downloads nothing.
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(
        said.matches(" in serial again: something").count(),
        1,
        "{said}"
    );
}

#[test]
fn a_program_that_uses_the_terminal_is_named() {
    let sandbox = Sandbox::empty();
    let said = sandbox.path("said");
    for (uses, signal) in [
        ("stty -echo < /dev/tty", "SIGTTOU"),
        ("cat /dev/tty", "SIGTTIN"),
    ] {
        let line = format!("\"$XTASK\" measure -- sh -c '{uses}' 2> \"$SAID\"");
        // It gives the command a terminal.
        let script = Command::new("script")
            .args(["-q", "-e", "-c", &line, "/dev/null"])
            .env("XTASK", env!("CARGO_BIN_EXE_xtask"))
            .env("SAID", &said)
            .stdin(Stdio::piped())
            .output();
        let Ok(output) = script else {
            skip("there is no program `script`");
            return;
        };
        let said = fs::read_to_string(&said).expect("a file");
        assert_eq!(output.status.code(), Some(1), "{said}");
        let right = format!("sh uses the terminal, and was stopped by that ({signal})");
        assert!(said.contains(&right), "{said}");
    }
}

/// The user of a process, or none if it has ended.
fn user(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A program in the sandbox that becomes root, for a user who is not; none where that is
/// not possible.
fn become_root(sandbox: &Sandbox) -> Option<String> {
    let place = fs::metadata(sandbox.path(".")).expect("a directory");
    let root = sandbox.path("setpriv");
    if place.uid() != 0 || fs::copy("/usr/bin/setpriv", &root).is_err() {
        eprintln!("SKIPPED: this needs root, and setpriv");
        return None;
    }
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("its own");
    };
    mode(&sandbox.path("."), 0o777);
    mode(&root, 0o4755);
    let began = sandbox.path("began");
    fs::write(&began, "").expect("a file");
    mode(&began, 0o666);
    Some(root.display().to_string())
}

/// `xtask measure` by a user who is not root.
fn measure_as_other(args: &[&str]) -> Command {
    let mut setpriv = Command::new("setpriv");
    setpriv
        .args(["--reuid", "65534", "--clear-groups"])
        .args([env!("CARGO_BIN_EXE_xtask"), "measure"])
        .args(args);
    setpriv
}

/// Whether all these processes live and are root's. They are ended.
fn end_roots(pids: &Path) -> (Vec<u32>, bool) {
    let pids = fs::read_to_string(pids).expect("a file");
    let pids = pids.lines().map(|pid| pid.parse().expect("a number"));
    let pids: Vec<u32> = pids.collect();
    let roots: Vec<u32> = pids
        .iter()
        .copied()
        .filter(|&pid| user(pid) == Some(0))
        .collect();
    for &pid in &roots {
        signal(pid, Signal::SIGKILL);
    }
    let all = roots.len() == pids.len();
    (pids, all)
}

#[test]
fn a_program_that_became_root_is_left_and_named() {
    let sandbox = Sandbox::empty();
    let Some(root) = become_root(&sandbox) else {
        return;
    };
    let began = sandbox.path("began");
    let wait = format!("echo $$ >> {}; exec sleep 1000", began.display());
    let args = ["--", &root, "--reuid", "0", "sh", "-c", &wait];
    let child = start(&mut measure_as_other(&args));
    until("it runs", || lines(&began) == 1);
    let pid = fs::read_to_string(&began).expect("a file");
    let became_root = user(pid.trim().parse().expect("a number")) == Some(0);
    signal(child.id(), Signal::SIGINT);
    let output = child.wait_with_output().expect("it ends");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{said}");
    let (pids, live) = end_roots(&began);
    if !became_root {
        eprintln!("SKIPPED: programs do not become root here");
        return;
    }
    let right = format!("process {} cannot be ended", pids[0]);
    assert!(live && said.contains(&right), "{said}");
}

#[test]
fn what_became_root_and_stays_counts_as_left_behind() {
    let sandbox = Sandbox::empty();
    let Some(root) = become_root(&sandbox) else {
        return;
    };
    let began = sandbox.path("began");
    let path = began.display();
    let wait = format!("echo $$ >> {path}; exec sleep 1000");
    // In the measured program's process group, and in another one.
    for before in ["", "setsid"] {
        let program = format!(
            "n=$(wc -l < {path})
            {before} {root} --reuid 0 sh -c '{wait}' >/dev/null 2>&1 &
            while [ $(wc -l < {path}) = $n ]; do sleep 0.01; done"
        );
        let args = ["--json", "--", "sh", "-c", &program];
        let output = measure_as_other(&args).output().expect("it starts");
        let said = text(&output.stderr);
        let (pids, live) = end_roots(&began);
        if !live {
            eprintln!("SKIPPED: programs do not become root here");
            return;
        }
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert_eq!(pids.len(), 2, "{said}");
        for pid in pids {
            let right = format!("process {pid} cannot be ended");
            assert!(said.contains(&right), "no {right}: {said}");
        }
        let figures: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(figures["left_behind"], 1, "{before}: {said}");
        fs::write(&began, "").expect("a file");
    }
}

#[test]
fn a_start_that_takes_long_makes_no_job_smaller() {
    let sandbox = Sandbox::with(&["serial"]);
    let args = [
        "primes", "--models", "serial", "--rounds", "1", "--budget", "30",
    ];
    let starts = ["--contestant", "starts=sleep 0.5"];
    sandbox.compared(0, &[&args[..], &starts].concat());
    assert_eq!(sandbox.cell("starts")["divisor"], 1);
}

#[test]
fn a_program_that_nothing_continues_is_ended() {
    let sandbox = Sandbox::with(&["serial"]);
    let args = ["primes", "--models", "serial", "--rounds", "1"];
    let stuck = ["--contestant", "stuck=sh -c 'kill -STOP $$'"];
    sandbox.compared(1, &[&args[..], &stuck].concat());
    sandbox.assert_cell("stuck", "failed", "sh is stopped (SIGSTOP), and nothing");
}
