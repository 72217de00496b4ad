//! `cargo xtask compare` from the command line to the files it writes, with shell
//! scripts in the place of models. What is measured when is tested in `compare`.

mod common;

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lab::criterion_files;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use results::fixture::MODELS;
use serde_json::{Value, json};

use common::{Sandbox, assert_shown, text, until};

const COUNTER: [&str; 3] = ["counter", "--set", "counter.guard=lock"];

/// Whether any process has this among its arguments.
fn runs(argument: &str) -> bool {
    let processes = fs::read_dir("/proc").expect("a Linux system").flatten();
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    let mut arguments = lines.map(|line| text(&line));
    arguments.any(|line| line.split('\0').any(|word| word == argument))
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().cast_signed()), signal).expect("it runs");
}

#[test]
fn a_bad_cell_says_so_and_the_rest_stands() {
    let sandbox = Sandbox::with(&MODELS);
    let sleep = format!("10001.{}", std::process::id());
    sandbox.script("model-thread", "echo 'not with so few threads' >&2; exit 4");
    let wrong = "echo 'Error: wrong answer: total is 1, and 2 is right' >&2; exit 1";
    sandbox.script("model-process", wrong);
    sandbox.script("bench-tokio", "echo '<b>boom</b>' >&2; exit 101");
    sandbox.script("model-async-std", &format!("sleep {sleep} & sleep {sleep}"));
    sandbox.script("bench-smol", "true");
    let printed = sandbox.compared(1, &COUNTER);
    for (model, status, says) in [
        ("thread", "unsupported", "not with so few threads"),
        ("process", "wrong_answer", "total is 1, and 2 is right"),
        ("tokio", "failed", "<b>boom</b>"),
        ("async-std", "failed", "had not finished after"),
        ("smol", "failed", "measured nothing"),
    ] {
        sandbox.assert_cell(model, status, says);
        assert!(printed.contains(says), "{printed}");
        assert_eq!(sandbox.cell(model)["time"], Value::Null);
    }
    assert!(!runs(&sleep), "what hung is still there");

    let serial = sandbox.cell("serial");
    assert_eq!(serial["status"], "ok");
    assert_eq!(serial["time"]["rounds"], json!([10, 10, 10, 10, 10]));
    assert_eq!(serial["time"]["median_ns"], 1_000_004.5);
    assert_eq!(serial["threads"], 7);
    assert_eq!(serial["processes"], 2, "the script and its child");
    assert!(serial["peak_memory_bytes"].as_u64() > Some(0));
    // What an observed run says is no figure.
    assert_eq!(serial["outcome"]["total"], 1);
    assert_eq!(sandbox.results("made-up")["run"]["seed"], 7);
    let page = sandbox.result("index.html");
    assert!(page.contains("boom") && !page.contains("<b>boom"));
    assert!(!sandbox.path("results/made-up/.tmp").exists());
}

#[test]
fn criterions_pages_say_what_the_tables_say() {
    let sandbox = Sandbox::with(&["serial", "smol"]);
    // What an earlier comparison has left must not show.
    let stale = sandbox.path("target/criterion/primes heavy/report");
    fs::create_dir_all(&stale).expect("a directory");
    sandbox.compared(0, &[&COUNTER[..], &["--models", "smol,serial"]].concat());
    assert!(!stale.exists());

    let home = sandbox.path("target/criterion");
    for model in ["serial", "smol"] {
        let data = home.join("counter heavy").join(model).join("new");
        let median = criterion_files::median(&data).expect("Criterion wrote it");
        assert_eq!(sandbox.cell(model)["time"]["median_ns"], median);
        let samples = criterion_files::read(&data).expect("Criterion wrote it");
        assert_eq!(samples.len(), 50);
    }
    let index = fs::read_to_string(home.join("report/index.html")).expect("an index");
    assert!(index.contains("counter"), "{index}");
    let violin =
        fs::read_to_string(home.join("counter heavy/report/violin.svg")).expect("a violin");
    assert!(violin.contains("serial") && violin.contains("smol"));
    let link = "../../target/criterion/counter%20heavy/report/index.html";
    assert!(sandbox.result("index.html").contains(link));
    let path = link.replace("%20", " ");
    assert!(sandbox.path("results/made-up").join(path).exists());
}

#[test]
fn the_report_is_made_again_from_the_data_alone() {
    let sandbox = Sandbox::with(&["serial", "tokio"]);
    fs::remove_file(sandbox.path("model-tokio")).expect("it was there");
    let models = ["--models", "serial,tokio", "--reference", "tokio"];
    let printed = sandbox.compared(1, &[&COUNTER[..], &models].concat());
    assert_shown(&sandbox, &printed, &["no ratios to tokio: failed"]);
    sandbox.assert_cell("tokio", "failed", "cannot start");
    sandbox.assert_cell("serial", "ok", "");
    let files = ["comparison.md", "index.html"];
    let before = files.map(|name| sandbox.result(name));
    for name in files {
        fs::remove_file(sandbox.path(&format!("results/made-up/{name}"))).expect("it was there");
    }
    for (args, code) in [
        (&["report"][..], 0),
        (&["report", "made-up"], 0),
        (&["report", "no-such"], 1),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(args).arg("--output").arg(sandbox.path(""));
        let output = command.output().expect("it starts");
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(
            code == 0 || said.contains("no-such/comparison.json"),
            "{said}"
        );
        assert_eq!(files.map(|name| sandbox.result(name)), before);
    }
}

#[test]
fn an_interrupted_comparison_keeps_what_it_has_and_leaves_nothing() {
    let sandbox = Sandbox::with(&["serial"]);
    let sleep = format!("10002.{}", std::process::id());
    let marker = sandbox.path("second-round");
    // The first round is as good as any; in the second, it hangs with a child.
    let second = format!(
        "if [ -e {first} ]; then echo > {marker}; sleep {sleep} & sleep {sleep}; fi; echo > {first}\n",
        first = sandbox.path("first-round").display(),
        marker = marker.display(),
    );
    sandbox.bench("serial", &second, "1000000");
    let temporary = sandbox.path("tmp");
    fs::create_dir(&temporary).expect("a directory");
    let args = [&COUNTER[..], &["--models", "serial"]].concat();
    let mut first = sandbox.command(&args);
    let first = first.env("TMPDIR", &temporary);
    let first = first.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let first = first.expect("it starts");
    until("the second round", || marker.exists() && runs(&sleep));

    // Meanwhile another one is refused, and says which process runs.
    let refused = sandbox.compared(1, &[&args[..], &["--name", "second"]].concat());
    let process = format!("process {}", first.id());
    assert!(refused.contains(&process), "{refused}");
    assert!(!sandbox.path("results/second").exists());

    signal(&first, Signal::SIGINT);
    let output = first.wait_with_output().expect("it ends");
    let printed = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{printed}");
    assert!(!runs(&sleep), "a child is still there");
    assert_eq!(fs::read_dir(&temporary).expect("a directory").count(), 0);
    assert!(printed.contains("interrupted"), "{printed}");
    assert_eq!(sandbox.results("made-up")["run"]["interrupted"], true);
    assert_eq!(sandbox.cell("serial")["time"]["rounds"], json!([10]));
    let files = fs::read_dir(sandbox.path("results/made-up")).expect("a directory");
    assert_eq!(files.count(), 3);
}

#[test]
fn an_interrupt_before_the_first_figure_is_one_too() {
    let sandbox = Sandbox::with(&["serial"]);
    let sleep = format!("10003.{}", std::process::id());
    sandbox.script("model-serial", &format!("sleep {sleep}"));
    let mut command = sandbox.command(&[&COUNTER[..], &["--models", "serial"]].concat());
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("it starts");
    until("the first run", || runs(&sleep));
    signal(&child, Signal::SIGTERM);
    let output = child.wait_with_output().expect("it ends");
    let printed = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{printed}");
    assert!(
        printed.contains("before anything was measured"),
        "{printed}"
    );
    assert!(!runs(&sleep));
    // Nothing was measured, so nothing of the same name is overwritten.
    assert!(!sandbox.path("results/made-up/comparison.json").exists());
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_measured() {
    let sandbox = Sandbox::with(&["serial"]);
    // What else a setting, a sweep or a command may not be is tested where it is parsed.
    for (args, says) in [
        ("contour", "counter, pipeline"),
        ("--models serial,go", "async-std"),
        ("--set counter.wrkers=1", "workers, increments"),
        ("--set counter.workers=0", "from 1 to"),
        ("counter --set primes.end=7", "only counter"),
        ("--sweep counter.workers=1", "two values"),
        ("--sweep counter.workers=0,1", "counter.workers = 0"),
        ("--name a/b", "letters, digits"),
        ("--name ..", "letters, digits"),
        ("--threads 0", "1..=1024"),
        ("--thorough", "--quick"),
        ("--nonsense", "--nonsense"),
        ("counter --cores 0", "or all"),
        ("counter --cores 1 --threads 2", "--threads"),
        ("--baseline no-such", "no-such/comparison.json"),
        ("--baseline made-up", "written over it"),
        ("--baseline a/b", "letters, digits"),
        ("--fail-above 1.1", "--baseline"),
        ("--baseline x --fail-above 0.9", "ratio from 1"),
        ("--baseline x --fail-above NaN", "ratio from 1"),
        ("--equivalence 101", "percent from 0 to 100"),
        ("--neighbours-limit many", "percent from 0 to 100"),
        ("--self-check --baseline x", "--self-check"),
        (
            "counter --models serial --reference tokio",
            "--reference = tokio: has to be one of serial",
        ),
        ("counter --contestant curl", "NAME=COMMAND"),
        ("counter --contestant x={urls}", "counter has no {urls}"),
        (
            "counter --contestant x=a --contestant x=b",
            "two of that name",
        ),
    ] {
        let said = sandbox.compared(2, &args.split(' ').collect::<Vec<_>>());
        assert!(said.contains(says), "{args}: {said}");
    }
    let results = sandbox.path("results");
    assert!(!results.exists());
    fs::write(&results, "a file in its place").expect("a file");
    let said = sandbox.compared(1, &["counter", "--models", "serial"]);
    assert!(said.contains("cannot write results into"), "{said}");
}

#[test]
fn a_sweep_has_curves_next_to_the_presets_and_cores_are_kept_to() {
    let sandbox = Sandbox::with(&["serial"]);
    sandbox.model("thread", "$((500000 * $(of workers)))");
    let printed = sandbox.compared(
        0,
        &[
            &COUNTER[..],
            &["--models", "serial,thread", "--cores", "1,all"],
            &["--sweep", "counter.workers=4,1", "--budget", "60"],
        ]
        .concat(),
    );
    let crossover = "serial overtakes thread between workers = 1 and 4";
    assert_shown(&sandbox, &printed, &[crossover]);
    assert!(printed.contains("kept to 1 core"), "{printed}");
    let markdown = sandbox.result("comparison.md");
    let row = "| time | thread | **500 µs** | 2.00 ms |";
    assert!(markdown.contains(row), "{markdown}");
    let page = sandbox.result("index.html");
    for figure in ["time", "CPU", "memory"] {
        let chart = format!("<figcaption>{figure} by workers</figcaption><svg");
        assert!(page.contains(&chart), "{figure}");
    }
    // The presets' own table has no points, and Criterion's pages a group of them.
    let table = markdown.split("## Sweep").next().expect("something");
    assert!(!table.contains("workers=1"), "{table}");
    for page in [
        "counter heavy/serial",
        "counter heavy cores=1/serial",
        "counter.workers/serial/4",
        "counter.workers cores=1/thread/1",
    ] {
        let page = sandbox.path("target/criterion").join(page);
        assert!(page.join("report/index.html").exists(), "{page:?}");
    }
    let lines = "target/criterion/counter.workers/report/lines.svg";
    assert!(sandbox.path(lines).exists());

    let all = std::thread::available_parallelism().expect("a Linux system");
    let log = sandbox.read("bench-serial.log");
    let mut lines: Vec<_> = log
        .lines()
        .filter(|line| !line.contains("workers="))
        .collect();
    // The order of the rounds is drawn.
    lines.sort();
    lines.dedup();
    let on_one = "heavy cores=1: 1 cores, 1 threads".to_owned();
    let on_all = format!("heavy: {all} cores, {all} threads");
    assert_eq!(lines, [on_one, on_all], "{log}");
}

#[test]
fn what_has_changed_since_an_earlier_run_is_told() {
    let sandbox = Sandbox::with(&["serial", "thread", "tokio", "smol", "async-std"]);
    let models = ["--models", "serial,thread,tokio,async-std,smol"];
    // The rounds of these models have to be equal, whatever else runs.
    let args = [&COUNTER[..], &models, &["--neighbours-limit", "100"]].concat();
    sandbox.compared(0, &[&args[..], &["--name", "then"]].concat());
    let change = |change: &dyn Fn(&mut Value)| {
        let mut data = sandbox.results("then");
        change(&mut data);
        let path = sandbox.path("results/then/comparison.json");
        fs::write(path, data.to_string()).expect("a file");
    };
    change(&|data| {
        data["versions"]["tokio"] = "1.0.0".into();
        data["versions"]["rustc"] = "rustc 1.94.0 (a)".into();
        data["build"]["profile"] = "opt-level 2".into();
        data["host"]["kernel"] = "5.4".into();
        data["host"]["machine_cores"] = 1000.into();
        for cell in data["cells"].as_array_mut().expect("a list") {
            match cell["model"].as_str() {
                Some("smol") => cell["job"]["workers"] = 3.into(),
                Some("async-std") => cell["time"]["rounds"] = json!([10, 10, 10, 20]),
                _ => {}
            }
        }
    });
    sandbox.model("tokio", "1080000");
    sandbox.model("thread", "500000");
    let against = |code: i32, more: &[&str]| {
        let baseline = ["--baseline", "then"];
        sandbox.compared(code, &[&args[..], &baseline, more].concat())
    };
    let printed = against(0, &["--fail-above", "1.1"]);
    assert_shown(
        &sandbox,
        &printed,
        &[
            "tokio 1.0.0 to 1.",
            "rustc 1.94.0 (a) to ",
            // These are scripts.
            "with which flags and profile the present programs were built is not known",
            "kernel 5.4, now ",
            "cores of the machine 1000, now ",
            "tokio: counter heavy 1.08 times slower [1.08, 1.08]",
            "thread: counter heavy 2.00 times faster [2.00, 2.00]",
            "1 of 3 cells: no difference",
            "smol: counter heavy not compared: it was another job, workers = 3 and not ",
            "async-std: counter heavy not compared: 4 rounds then",
        ],
    );
    let ranks = "ranks: 1 thread; 2 serial, async-std, smol; 5 tokio";
    assert!(printed.contains(ranks), "{printed}");
    let page = sandbox.result("index.html");
    let pair = "<bdi>serial</bdi></th><td class=\"text\"><bdi>thread</bdi></td>\
        <td data-key=\"2\">2.00×</td><td class=\"text\">2.00 times slower [2.00, 2.00]</td>";
    assert!(page.contains(pair), "{page}");
    assert_eq!(sandbox.results("made-up")["baseline"]["name"], "then");
    // Criterion's own pages of change are about the same: 1 ms then, 0.5 ms now.
    let pages = |model: &str| sandbox.path("target/criterion/counter heavy").join(model);
    let changed = fs::read(pages("thread").join("change/estimates.json")).expect("a change");
    let changed: Value = serde_json::from_slice(&changed).expect("it is JSON");
    let median = changed["median"]["point_estimate"]
        .as_f64()
        .expect("a number");
    assert!((median + 0.5).abs() < 0.01, "{changed}");
    assert!(pages("smol").exists() && !pages("smol").join("change").exists());

    let printed = against(1, &["--fail-above", "1.05", "--name", "broken"]);
    assert!(printed.contains("slower than 1.05 times"), "{printed}");

    let refused = |more: &[&str], says: &str| {
        let said = against(2, &[more, &["--name", "now"]].concat());
        assert!(said.contains(says), "{says}: {said}");
        assert!(!sandbox.path("results/now").exists());
    };
    refused(&["--threads", "1000"], "--threads 1000");
    let cpu = sandbox.results("then")["host"]["cpu"].clone();
    change(&|data| data["host"]["cpu"] = "a Z80".into());
    refused(&[], "was measured with a Z80, and this is ");
    change(&|data| {
        data["host"]["cpu"] = cpu.clone();
        data["cells"] = json!([]);
    });
    refused(&[], "none of these jobs");
}

#[test]
fn a_self_check_that_finds_nothing_is_not_passed() {
    // As long for five percent more numbers.
    let sandbox = Sandbox::with(&["serial", "tokio"]);
    let args = ["primes", "--self-check", "--models", "serial,tokio"];
    let printed = sandbox.compared(1, &args);
    for words in [
        "0 of 2 pairs of a model",
        "no difference, 1.00",
        "not passed",
    ] {
        assert!(printed.contains(words), "no {words} in {printed}");
    }
}

#[test]
fn items_cold_times_and_an_origin_that_sets_the_time_are_shown() {
    let sandbox = Sandbox::empty().with_origin();
    let reports = |origin_cpu_ns: u64, more: Value| {
        let mut report = json!({
            "elapsed_ns": 1_000_000, "outcome": {"bodies": 1, "bytes": 4096},
            "origin_cpu_ns": origin_cpu_ns,
        });
        let more = more.as_object().expect("an object").clone();
        report.as_object_mut().expect("an object").extend(more);
        report
    };
    let telling = json!({
        "launch_ns": 5_000_000, "start_ns": 2_000_000,
        "outcome": {"bodies": 1, "bytes": 4096,
            "completion_ns": [3_000_000, 1_000_000, 2_000_000]},
    });
    // As fast as the origin's delay; far from it; and with an origin that was busy on
    // all of its cores, however many there are.
    let far = "100000000000";
    sandbox.model_reporting("serial", "1000000", &reports(1_000, telling));
    sandbox.model_reporting("thread", far, &reports(2_000, json!({})));
    sandbox.model_reporting("tokio", far, &reports(1_000_000_000_000, json!({})));
    let models = ["fetch", "--models", "serial,thread,tokio"];
    let printed = sandbox.compared(
        0,
        &[&models[..], &["--set", "fetch.delays_ms=300"]].concat(),
    );
    for (model, bound, by) in [
        ("serial", json!(true), json!("delay")),
        ("thread", Value::Null, Value::Null),
        ("tokio", json!(true), json!("speed")),
    ] {
        let cell = sandbox.cell(model);
        assert_eq!(cell["origin_bound"], bound, "{cell}");
        assert_eq!(cell["origin_bound_by"], by, "{cell}");
    }
    assert_eq!(sandbox.cell("thread")["origin_cpu_ns"], 2_000);
    let markdown = sandbox.result("comparison.md");
    for words in [
        "the delay sets the time, as the job asks for",
        "the origin could not go faster",
        "CPU time is 1.00 µs to 1000 s a job",
    ] {
        for shown in [&printed, &markdown] {
            assert_eq!(shown.matches(words).count(), 1, "{words}: {shown}");
        }
    }
    assert_shown(
        &sandbox,
        &printed,
        &["completion time of an item", "8.00 ms"],
    );
    let runs = sandbox.cell("serial")["runs"].as_u64().expect("runs");
    let row = format!("| heavy | serial | {} in {runs} runs | 2.00 ms |", 3 * runs);
    assert!(markdown.contains(&row), "{markdown}");
}

/// Processes that use the whole machine and are not the comparison's.
struct BusyMachine(Vec<Child>);

impl BusyMachine {
    fn new() -> Self {
        let cores = std::thread::available_parallelism().expect("a Linux system");
        let spin = |_| {
            let mut shell = Command::new("sh");
            shell.args(["-c", "while :; do :; done"]);
            shell.stdin(Stdio::null()).spawn().expect("a shell")
        };
        Self((0..cores.get()).map(spin).collect())
    }
}

impl Drop for BusyMachine {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn rounds_with_background_load_are_measured_again_and_then_marked() {
    let sandbox = Sandbox::with(&["serial"]);
    // A round takes a third of a second.
    sandbox.bench("serial", "sleep 0.35\n", "1000000");
    let args = [&COUNTER[..], &["--models", "serial", "--budget", "30"]].concat();
    let began = Instant::now();
    let busy = BusyMachine::new();
    let printed = sandbox.compared(0, &args);
    drop(busy);
    assert!(began.elapsed() < Duration::from_secs(30), "{printed}");
    let data = sandbox.results("made-up");
    let load = &data["run"]["background_load"];
    let number = |key: &str| load[key].as_u64().expect(key);
    assert!(number("retaken") > 0, "{load}");
    assert!(
        number("kept") > 0 && number("kept") == number("windows"),
        "{load}"
    );
    assert_eq!(load["limit"], 0.03);
    assert!(load["error"].as_f64() > Some(0.03), "{load}");
    assert!(printed.contains("THIS MACHINE IS NOT IDLE"), "{printed}");
    assert_eq!(sandbox.cell("serial")["disturbed"], 5);
    assert_shown(
        &sandbox,
        &printed,
        &["background load in 5 of 5 rounds", "were kept although"],
    );
    assert!(sandbox.result("index.html").contains("Background load"));
}

#[test]
fn any_program_is_measured_and_what_goes_wrong_is_its_own() {
    let sandbox = Sandbox::with(&["serial"]);
    let hostile = "<b>a|b</b>";
    let good = format!("{hostile}=sh -c 'test {{workers}} -gt 0 && true | cat'");
    let mut args = [&COUNTER[..], &["--models", "serial"]].concat();
    for command in [
        &good,
        "fails=sh -c 'echo its reason >&2; exit 4'",
        "hangs=sleep 1000",
        "leaves=sh -c 'sleep 1000 > /dev/null 2>&1 & exit 0'",
        "missing=/no/such/program",
    ] {
        args.extend(["--contestant", command]);
    }
    let printed = sandbox.compared(1, &args);
    for (name, says) in [
        ("fails", "exit status: 4: its reason"),
        ("hangs", "had not finished after"),
        ("leaves", "left 1 of its processes behind"),
        ("missing", "cannot start /no/such/program"),
    ] {
        sandbox.assert_cell(name, "failed", says);
        assert!(printed.contains(says), "{printed}");
    }
    let cell = sandbox.cell(hostile);
    assert_eq!(cell["status"], "ok", "{cell}");
    assert!(
        cell["command"]
            .as_str()
            .expect("text")
            .starts_with("sh -c ")
    );
    assert_eq!(cell["time"]["rounds"], json!([2, 2, 2, 2, 2]));
    assert_eq!(cell["runs"], 10);
    // The samples are the runs whose lower median is the wall time.
    let samples = cell["time"]["samples_ns"].as_array().expect("a list");
    let mut samples: Vec<_> = samples.iter().filter_map(Value::as_f64).collect();
    samples.sort_by(f64::total_cmp);
    assert_eq!(Some(samples[4]), cell["wall_ns"].as_f64());

    sandbox.assert_cell("serial", "ok", "");
    assert_eq!(sandbox.cell("serial")["command"], Value::Null);
    assert_eq!(
        sandbox.results("made-up")["run"]["models"],
        json!(["serial"])
    );
    for words in [
        "timed with its start",
        "whole process ",
        "was not checked",
        hostile,
    ] {
        assert!(printed.contains(words), "no {words} in {printed}");
    }
    let page = sandbox.result("index.html");
    assert!(page.contains("timed with its start") && !page.contains("<b>a"));
    let markdown = sandbox.result("comparison.md");
    assert!(markdown.contains("&lt;b>a\\|b&lt;/b>"), "{markdown}");
    // Criterion's pages have the models alone.
    let criterion = sandbox.path("target/criterion/counter heavy");
    let entries = fs::read_dir(criterion).expect("pages").flatten();
    let names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["serial"]);
}

#[test]
fn tables_fit_and_the_best_so_far_is_told_before_them() {
    let sandbox = Sandbox::with(&["smol"]);
    sandbox.model("serial", "2000000");
    let args = [&COUNTER[..], &["--models", "serial,smol", "--rounds", "5"]].concat();
    for (columns, width) in [(None, 100), (Some("60"), 60)] {
        let mut command = sandbox.command(&args);
        command.env_remove("COLUMNS");
        command.envs(columns.map(|columns| ("COLUMNS", columns)));
        let output = command.output().expect("it starts");
        assert!(output.status.success(), "{output:?}");
        let (tables, log) = (text(&output.stdout), text(&output.stderr));
        let rules = tables.lines().filter(|line| line.starts_with('─'));
        let widths: Vec<usize> = rules.map(|line| line.chars().count()).collect();
        assert!(!widths.is_empty(), "{tables}");
        assert!(widths.iter().all(|&own| own <= width), "{tables}");
        let dropped = tables.contains("not shown in 60 columns: ");
        assert_eq!(dropped, columns.is_some(), "{tables}");
        for rounds in ["1 round", "5 rounds"] {
            let line = format!("counter heavy: best so far smol, 1.0ms, after {rounds}");
            assert!(log.contains(&line), "no {line} in {log}");
        }
    }
}
