//! What a model has to get right, through its binary.

mod scans;
mod send;
mod servers;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, slice, thread};

use anyhow::{Context, ensure};
use origin::{Origin, Run, Shape};
use runner::tree;
use serde_json::{Value, json};
use suite::{Preset, Result, Workload};

use crate::test_server;

pub use self::scans::*;
pub use self::send::*;
pub use self::servers::*;

/// What became of a command.
struct Ended {
    /// As it was typed, for messages.
    line: String,
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs the model's binary to its end.
fn paces(program: &str, args: &[&str]) -> Result<Ended> {
    let line = format!("{program} {}", args.join(" "));
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .with_context(|| line.clone())?;
    Ok(Ended {
        line,
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
    })
}

impl Ended {
    /// It has to have ended with `code`.
    fn with(self, code: u8) -> Result<Self> {
        let Self { line, stderr, .. } = &self;
        ensure!(
            self.code == Some(code.into()),
            "`{line}` ended with {:?}, not {code}: {stderr}",
            self.code
        );
        Ok(self)
    }

    /// It has to have printed one line, a JSON object.
    fn report(&self) -> Result<Value> {
        let Self { line, stdout, .. } = self;
        ensure!(
            stdout.ends_with('\n') && stdout.lines().count() == 1,
            "`{line}` printed not one line: {stdout}"
        );
        serde_json::from_str(stdout).with_context(|| format!("`{line}` printed {stdout}"))
    }

    /// It has to have said this on standard error, and nothing elsewhere.
    fn says(&self, what: &str) -> Result<()> {
        let Self { line, stderr, .. } = self;
        ensure!(self.stdout.is_empty(), "`{line}` printed {}", self.stdout);
        ensure!(
            stderr.starts_with("error: ") && stderr.contains(what) && !stderr.contains("panicked"),
            "`{line}` does not say {what}: {stderr}"
        );
        Ok(())
    }
}

/// The article's numbers, whole; the answers are those that everyone can check.
fn article(program: &str, workload: Workload, answers: &Value) -> Result<Value> {
    let name = workload.name();
    let report = paces(program, &["run", name, "--json"])?
        .with(0)?
        .report()?;
    let keys: Vec<_> = (report.as_object().into_iter().flatten())
        .map(|(key, _)| key.as_str())
        .collect();
    let mut right = vec![
        "model",
        "workload",
        "preset",
        "job",
        "outcome",
        "elapsed_ns",
        "start_ns",
    ];
    right.extend(workload.needs_origin().then_some("origin_cpu_ns"));
    right.extend(["peak_memory_bytes", "threads"]);
    ensure!(keys == right, "the keys are {keys:?}");
    let job = workload.job(Preset::Article).to_json();
    for (key, right) in [
        ("workload", json!(name)),
        ("preset", json!("article")),
        ("job", job),
    ] {
        ensure!(
            report[key] == right,
            "{key} is {}, not {right}",
            report[key]
        );
    }
    // The bench knows the model by its package's name.
    let package = format!("model-{}", report["model"].as_str().unwrap_or_default());
    let file = Path::new(program).file_stem();
    ensure!(file == Some(package.as_ref()), "{package} is {program}");
    for (key, right) in answers.as_object().into_iter().flatten() {
        let given = &report["outcome"][key];
        ensure!(given == right, "{name}: {key} is {given}, not {right}");
    }
    let counted = |key: &str| report[key].as_u64().is_some_and(|figure| figure > 0);
    ensure!(counted("elapsed_ns"), "no elapsed_ns: {report}");
    if cfg!(target_os = "linux") {
        ensure!(
            counted("peak_memory_bytes") && counted("threads"),
            "no memory or threads: {report}"
        );
    }
    Ok(report)
}

/// When each of `items` was done is printed too.
fn has_completions(report: &Value, items: usize) -> Result<()> {
    let times = report["outcome"]["completion_ns"].as_array();
    ensure!(times.map(Vec::len) == Some(items), "{report}");
    Ok(())
}

/// W×N, whatever the order.
pub fn counter(program: &'static str) -> Result<()> {
    article(
        program,
        Workload::Counter,
        &json!({ "total": 10_000, "lost": 0 }),
    )?;
    Ok(())
}

/// Three items, in a tenth of a second each.
pub fn pipeline(program: &'static str) -> Result<()> {
    let answers = json!({ "received": 3, "processed_before_release": 3 });
    let report = article(program, Workload::Pipeline, &answers)?;
    let high_water = report["outcome"]["high_water"].as_u64();
    ensure!(high_water.is_some_and(|high| high <= 10), "{report}");
    Ok(())
}

/// The article said 47.
pub fn primes(program: &'static str) -> Result<()> {
    article(program, Workload::Primes, &json!({ "count": 39 }))?;
    Ok(())
}

/// Two messages, then 100.
pub fn exchange(program: &'static str) -> Result<()> {
    let answers = json!({ "received": 2, "value": 100 });
    article(program, Workload::Exchange, &answers)?;
    Ok(())
}

/// Three bodies.
pub fn fetch(program: &'static str) -> Result<()> {
    let bytes = 3 * origin::DELAY_BODY_BYTES;
    let answers = json!({ "bodies": 3, "bytes": bytes });
    let report = article(program, Workload::Fetch, &answers)?;
    let elapsed_ms = report["elapsed_ns"].as_u64().map(|ns| ns / 1_000_000);
    ensure!(elapsed_ms >= Some(300), "faster than the origin: {report}");
    has_completions(&report, 3)
}

/// One call of two seconds.
pub fn offload(program: &'static str) -> Result<()> {
    let report = article(program, Workload::Offload, &json!({ "done": 1 }))?;
    for key in ["ticks", "longest_gap_ns"] {
        ensure!(report["outcome"][key].is_u64(), "no {key}: {report}");
    }
    has_completions(&report, 1)
}

/// A hundred images, at most twenty at once.
pub fn download(program: &'static str) -> Result<()> {
    let answers = json!({ "files": 100, "bytes": 12_500_000 });
    let report = article(program, Workload::Download, &answers)?;
    let peak = report["outcome"]["peak_in_flight"].as_u64();
    ensure!(
        peak.is_some_and(|peak| (1..=20).contains(&peak)),
        "{report}"
    );
    has_completions(&report, 100)
}

/// Ten thousand passes.
pub fn ping_pong(program: &'static str) -> Result<()> {
    let answers = json!({ "passes": 10_000, "out_of_order": 0 });
    article(program, Workload::PingPong, &answers)?;
    Ok(())
}

/// A hundred at once; or the reason why not, with exit code 4.
pub fn sleepers(program: &'static str) -> Result<()> {
    let args = ["run", "sleepers", "--json"];
    let ended = paces(program, &args)?;
    if ended.code == Some(runner::UNSUPPORTED.into()) {
        println!("{}", ended.stderr);
        return ended.says("at once");
    }
    let report = ended.with(0)?.report()?;
    for (key, right) in [("woken", 100), ("early", 0), ("alive", 100)] {
        ensure!(report["outcome"][key] == right, "{key}: {report}");
    }
    let standing_ns = report["outcome"]["standing_ns"].as_u64();
    ensure!(
        standing_ns > Some(0) && standing_ns < report["elapsed_ns"].as_u64(),
        "all stand before the job has ended: {report}"
    );
    Ok(())
}

/// Ten units.
pub fn spawn(program: &'static str) -> Result<()> {
    let report = article(program, Workload::Spawn, &json!({ "units": 10, "left": 0 }))?;
    let alive = report["outcome"]["most_alive"].as_u64();
    ensure!(
        alive.is_some_and(|alive| (1..=10).contains(&alive)),
        "{report}"
    );
    Ok(())
}

/// Twenty operations, two of them late.
pub fn deadlines(program: &'static str) -> Result<()> {
    let answers = json!({ "operations": 20, "ended": 20, "early": 0, "wrong": 0 });
    let report = article(program, Workload::Deadlines, &answers)?;
    let count = |key: &str| report["outcome"][key].as_u64();
    let late = count("cut").zip(count("overslept"));
    let is_cut = late.is_some_and(|(cut, overslept)| cut >= 1 && cut + overslept == 2);
    ensure!(is_cut, "one of two late ones has no answer: {report}");
    ensure!(report["outcome"]["seen"]["requests"] == 20, "{report}");
    Ok(())
}

/// A thousand messages over ten connections.
pub fn echo(program: &'static str) -> Result<()> {
    let answers = json!({ "connections": 10, "messages": 1_000, "bytes": 64_000, "wrong": 0 });
    article(program, Workload::Echo, &answers)?;
    Ok(())
}

/// Ten datagrams, one after the other.
pub fn datagram(program: &'static str) -> Result<()> {
    let answers = json!({ "clients": 1, "sent": 10, "wrong": 0 });
    let report = article(program, Workload::Datagram, &answers)?;
    ensure!(report["outcome"]["seen"]["healthy"] == true, "{report}");
    Ok(())
}

/// Two hundred files, always the same.
pub fn files(program: &'static str) -> Result<()> {
    let answers = json!({ "files": 200, "bytes": 8_687_701, "lines": 144_431, "unreadable": [] });
    article(program, Workload::Files, &answers)?;
    Ok(())
}

/// Twenty images.
pub fn thumbnails(program: &'static str) -> Result<()> {
    let answers = json!({ "images": 20, "broken": [] });
    article(program, Workload::Thumbnails, &answers)?;
    Ok(())
}

/// Every workload with every key that can be set.
pub fn the_list_is_complete(program: &'static str) -> Result<()> {
    let list = paces(program, &["list"])?.with(0)?.stdout;
    let json = paces(program, &["list", "--json"])?.with(0)?.report()?;
    for (entry, workload) in Workload::ALL.iter().enumerate() {
        let entry = &json[entry];
        ensure!(entry["workload"] == workload.name(), "{entry}");
        ensure!(entry["about"] == workload.about(), "{entry}");
        ensure!(list.contains(workload.about()), "{list}");
        for preset in Preset::ALL {
            let job = workload.job(preset).to_json();
            ensure!(entry["presets"][preset.name()] == job, "{entry}");
            for key in job.as_object().into_iter().flat_map(|job| job.keys()) {
                ensure!(list.contains(&format!("    {key} ")), "no {key}: {list}");
            }
        }
    }
    Ok(())
}

/// Exit code 2, and what would have been right.
pub fn what_makes_no_sense_is_refused(program: &'static str) -> Result<()> {
    let refused = [
        (&["run", "knitting"] as &[&str], "counter, pipeline, primes"),
        (&["run", "primes", "--preset", "huge"], "article, heavy"),
        (
            &["run", "primes", "--set", "wrkers=1"],
            "start, end, workers",
        ),
        (&["run", "primes", "--set", "workers"], "key=value"),
        (&["run", "primes", "--set", "counter.workers=1"], "primes"),
        (&["run", "counter", "--set", "workers=0"], "from 1 to"),
        (&["run", "counter", "--set", "workers=many"], "whole number"),
        (&["run", "counter", "--set", "guard=luck"], "`lock`"),
        (&["run", "primes", "--set", "end=5"], "from 1000000"),
        (&["run", "pipeline", "--set", "capacity=0"], "from 1"),
        (&["run", "fetch", "--set", "urls=ftp://host/"], "http://"),
        (&["run", "download", "--set", "urls=/no/such"], "/no/such"),
        (&["run", "ping-pong", "--set", "units=0"], "from 1"),
        (&["run", "sleepers", "--set", "wait_ms=-1"], "whole number"),
        (&["run", "spawn", "--set", "tree=1"], "from 2"),
        (&["run", "deadlines", "--set", "deadline_ms=0"], "late_per"),
        (&["run", "echo", "--set", "connections=10001"], "to 10000"),
        (&["run", "datagram", "--set", "bytes=15"], "from 16"),
        (&["run", "serve", "--set", "connections=0"], "from 1"),
        (&["run", "serve", "--set", "burn=1001"], "to 1000"),
        (&["run", "serve", "--set", "rate=fast"], "whole number"),
        (&["run", "serve", "--set", "place=moon"], "`inline`"),
        (&["serve", ".", "--connections", "0"], "1..=10000"),
        (&["serve", ".", "--idle-timeout", "0"], "idle-timeout"),
        (&["serve", ".", "--listen", "here"], "--listen"),
        (&["run", "chat", "--set", "queue=0"], "from 1"),
        (&["run", "chat", "--set", "policy=forget"], "`disconnect`"),
        (&["chat", "--policy", "forget"], "disconnect"),
        (&["chat", "--queue", "0"], "1..=1000000"),
        (&["run", "proxy", "--set", "mode=tunnel"], "`connect`"),
        (&["proxy", "--allow", "example.org"], "HOST:PORT"),
        (&["proxy", "--upstream-timeout", "0"], "upstream-timeout"),
        (&["run", "scan", "--set", "ports=0-9"], "1 to 65535"),
        (&["run", "scan", "--set", "limit=0"], "from 1"),
        (&["scan", "192.0.2.1", "80"], "only this machine"),
        (&["scan", "::", "80"], "only this machine"),
        (&["scan", "example.org", "80"], "only this machine"),
        (&["scan", "127.0.0.1", "80-79"], "80-79"),
        (&["scan", "127.0.0.1", "65536"], "1 to 65535"),
        (&["scan", "127.0.0.1", ""], "22,80,8000-8100"),
        (&["scan", "127.0.0.1", "1", "--limit", "0"], "1..=10000"),
        (&["scan", "127.0.0.1", "1", "--timeout", "0"], "timeout"),
        (&["run", "send", "--set", "streams=0"], "from 1"),
        (&["run", "send", "--set", "cut=3145729"], "to 3145728"),
        (&["send", "a", "--to", "localhost:1"], "PACES_SECRET"),
        (&["send", "--to", "localhost:1"], "FILE"),
        (
            &["send", "a", "--to", "x:1", "--secret-file", "/no/such"],
            "/no/such",
        ),
        (&["receive", "--into", "/x", "--listen", "here"], "--listen"),
        (&["run", "files", "--set", "dir=/no/such"], "/no/such"),
        (&["run", "files", "--set", "count=0"], "from 1"),
        (
            &["run", "thumbnails", "--set", "dir=/proc/self/task"],
            "file in it",
        ),
        (&["run", "thumbnails", "--set", "edge=0"], "from 1"),
        (&["run", "primes", "--threads", "0"], "1..=1024"),
        (&["run", "primes", "--threads", "1025"], "1..=1024"),
        (&["run", "primes", "--blocking-threads", "501"], "1..=500"),
        (&["run", "exchange", "--set", "messages=-1"], "whole number"),
        (&["run", "offload", "--set", "heartbeat_ms=0"], "from 1"),
        (&["fly"], "fly"),
    ];
    for workload in Workload::ALL {
        let tried = refused
            .iter()
            .any(|(args, _)| args.get(1) == Some(&workload.name()));
        ensure!(tried, "nothing that {workload} has to refuse was tried");
    }
    for (args, says) in refused {
        paces(program, args)?.with(runner::INVALID)?.says(says)?;
    }
    Ok(())
}

/// A model does a big job, or says with exit code 4 why not.
pub fn what_is_too_much_is_said_to_be(program: &'static str) -> Result<()> {
    let args = ["run", "counter", "--set", "counter.workers=1000", "--json"];
    let ended = paces(program, &args)?;
    if ended.code == Some(runner::UNSUPPORTED.into()) {
        println!("{}", ended.stderr);
        return ended.says("1000");
    }
    let report = ended.with(0)?.report()?;
    ensure!(report["outcome"]["total"] == 1_000_000, "{report}");
    Ok(())
}

/// Exit code 1, and the thing by its name.
pub fn failures_are_named(program: &'static str) -> Result<()> {
    let refusing = test_server::refusing_url()?;
    let args = ["run", "fetch", "--origin", &refusing];
    paces(program, &args)?
        .with(runner::FAILED)?
        .says(&refusing)?;

    let directory = tempfile::tempdir().context("a temporary directory")?;
    let file = directory.path().join("file");
    fs::write(&file, "not a directory")?;
    let below = file.join("below").display().to_string();
    let args = ["run", "download", "--set", &format!("into={below}")];
    paces(program, &args)?.with(runner::FAILED)?.says(&below)?;
    servers::failures_are_named(program)
}

/// Its own origin or server and its children end with a run, and not before.
pub fn no_process_is_left(program: &'static str) -> Result<()> {
    let fetch = ["fetch", "--set", "delays_ms=1,1"];
    nothing_is_left(program, &fetch, |outcome| outcome["bodies"] == 2)?;
    let echo = ["echo", "--set", "connections=2"];
    nothing_is_left(program, &echo, |outcome| outcome["messages"] == 200)?;
    let datagram = ["datagram", "--set", "clients=2", "--set", "lose=1"];
    nothing_is_left(program, &datagram, |outcome| outcome["sent"] == 20)?;
    let deadlines = ["deadlines", "--set", "operations=4"];
    nothing_is_left(program, &deadlines, |outcome| outcome["ended"] == 4)?;
    let send = ["send", "--set", "bytes=600000"];
    nothing_is_left(program, &send, |outcome| outcome["files"] == 3)?;
    let serve = ["serve", "--set", "requests=20"];
    nothing_is_left(program, &serve, |outcome| outcome["requests"] == 20)
}

/// After a hundred operations in flight have been cancelled, it has as many files, threads and
/// processes as after a hundred that were answered.
pub fn no_unit_is_left_of_a_cancelled_job(program: &'static str) -> Result<()> {
    let hundred = ["deadlines", "--set", "operations=100", "--set", "limit=100"];
    let late = ["--set", "late_per_mille=1000", "--set", "deadline_ms=60000"];
    let cancelled = [&hundred[..], &late, &["--set", "cancel_after=100"]].concat();
    let ended = paces(program, &[&["run"], &cancelled[..]].concat())?;
    if ended.code == Some(runner::UNSUPPORTED.into()) {
        println!("{}", ended.stderr);
        return ended.says("one operation after the other");
    }
    // No busy machine is later than that.
    let none_late = ["--set", "late_per_mille=0", "--set", "deadline_ms=60000"];
    let answered = [&hundred[..], &none_late].concat();
    let (mut first, report) = Held::start(program, &answered)?;
    ensure!(report["outcome"]["answered"] == 100, "{report}");
    let (mut second, report) = Held::start(program, &cancelled)?;
    ensure!(report["outcome"]["cancelled"] == 100, "{report}");
    // A thread that has just ended may still be there.
    let until = Instant::now() + Duration::from_secs(20);
    while first.holdings() != second.holdings() {
        let (first, second) = (first.holdings(), second.holdings());
        ensure!(
            Instant::now() < until,
            "{first:?} after answers, {second:?}"
        );
        thread::yield_now();
    }
    first.end()?;
    second.end()
}

/// A run that has done its job, and is held.
struct Held(Child);

impl Held {
    fn start(program: &str, job: &[&str]) -> Result<(Self, Value)> {
        let mut run = Command::new(program)
            .arg("run")
            .args(job)
            .args(["--json", "--hold"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context(program.to_owned())?;
        let stdout = run.stdout.take().context("a pipe")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let report = serde_json::from_str(&line).with_context(|| line.clone())?;
        Ok((Self(run), report))
    }

    /// Its open files, its threads, and its processes.
    fn holdings(&self) -> (Option<usize>, Option<u64>, usize) {
        let pid = self.0.id();
        let files = fs::read_dir(format!("/proc/{pid}/fd"));
        let mut all = tree::descendants(pid, &[]);
        all.push(pid);
        let files = files.ok().map(Iterator::count);
        (files, tree::threads(&all), all.len())
    }

    fn end(&mut self) -> Result<()> {
        drop(self.0.stdin.take());
        let status = self.0.wait()?;
        ensure!(status.success(), "it ended with {status}");
        Ok(())
    }
}

fn nothing_is_left(program: &str, job: &[&str], right: fn(&Value) -> bool) -> Result<()> {
    let (mut run, report) = Held::start(program, job)?;
    let below = tree::descendants(run.0.id(), &[]);
    run.end()?;

    ensure!(right(&report["outcome"]), "{report}");
    if cfg!(target_os = "linux") {
        ensure!(!below.is_empty(), "no server while the run was held");
    }
    for process in &below {
        let threads = tree::threads(slice::from_ref(process));
        ensure!(threads.is_none(), "process {process} is left, of {below:?}");
    }
    Ok(())
}

/// From any server, into a directory that is created, whose name has a space.
pub fn a_list_of_urls_is_downloaded(program: &'static str) -> Result<()> {
    let origin = Origin::spawn(Path::new(program), &["origin"])?;
    let shape = Shape {
        images: 5,
        image_bytes: 4096,
        ..Shape::default()
    };
    let run = Run::open(origin.url(), &shape)?;
    let files = run.files()?;
    let directory = tempfile::tempdir().context("a temporary directory")?;
    let list = directory.path().join("a list.txt");
    let urls: Vec<_> = files.iter().map(|file| file.url.as_str()).collect();
    fs::write(&list, format!("# five images\n\n{}\n", urls.join("\n")))?;
    let into = directory.path().join("new directory").join("images");

    let args = [
        "run",
        "download",
        "--set",
        &format!("urls={}", list.display()),
        "--set",
        &format!("into={}", into.display()),
        "--json",
    ];
    // Twice: the second time finds the files there.
    for _ in 0..2 {
        let report = paces(program, &args)?.with(0)?.report()?;
        ensure!(report["outcome"]["files"] == 5, "{report}");
        ensure!(report["job"]["into"] == json!(into), "{report}");
        for file in &files {
            let path = into.join(&file.name);
            let metadata = fs::metadata(&path).with_context(|| path.display().to_string())?;
            ensure!(metadata.len() == file.bytes, "{}", path.display());
        }
        // The download's own state has one dot-named place.
        ensure!(fs::read_dir(&into)?.count() == files.len() + 1);
    }
    Ok(())
}
