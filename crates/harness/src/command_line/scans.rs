//! The program `scan`, and the workload.

use std::net::{Ipv6Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use origin::{Host, HostCounts, HostShape, Origin, waiting_for};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use suite::{Result, Workload};

use super::{article, paces};

/// A thousand ports, always the same.
pub fn scan(program: &'static str) -> Result<()> {
    let answers = json!({ "ports": 1_024, "filtered": "", "failed": [], "lowered": 0 });
    article(program, Workload::Scan, &answers)?;
    Ok(())
}

/// An origin with a host, of which some ports are open and some filtered.
fn host(program: &str, open: usize, filtered: usize) -> Result<(Origin, Host, HostCounts)> {
    let origin = Origin::spawn(Path::new(program), &["origin"])?;
    let shape = HostShape {
        ports: vec![20_001..=20_200],
        open,
        filtered,
        seed: 7,
    };
    let host = Host::open(origin.url(), &shape)?;
    let mut counts = host.counts()?;
    counts.open.sort_unstable();
    counts.filtered.sort_unstable();
    Ok((origin, host, counts))
}

/// As text, and as JSON.
pub fn ports_are_scanned(program: &'static str) -> Result<()> {
    let (_origin, host, counts) = host(program, 5, 2)?;
    let address = host.address().to_string();
    let args = ["scan", &address, "20001-20200", "--timeout", "0.2"];
    let text = paces(program, &args)?.with(0)?.stdout;
    let report = paces(program, &[&args[..], &["--json"]].concat())?;
    let report = report.with(0)?.report()?;
    let others = host.counts()?.open_everywhere;
    if others.iter().any(|port| (20_001..=20_200).contains(port)) {
        println!("SKIPPED: another program listens on ports from 20001 to 20200");
        return Ok(());
    }
    for (ports, state) in [(&counts.open, "open"), (&counts.filtered, "filtered")] {
        ensure!(report[state] == json!(ports), "{counts:?}: {report}");
        for port in ports {
            ensure!(text.contains(&port.to_string()), "{port}: {text}");
        }
    }
    ensure!(
        report["closed"] == 193 && report["scanned"] == 200,
        "{report}"
    );
    let end = "200 of 200 ports: 5 open, 193 closed, 2 filtered, 0 failed; ";
    ensure!(text.contains(end), "{text}");
    Ok(())
}

/// Exit code 130, in less than the time of an attempt.
pub fn an_interrupted_scan_says_what_it_has(program: &'static str) -> Result<()> {
    let (_origin, host, counts) = host(program, 5, 20)?;
    let address = host.address().to_string();
    let scan = Command::new(program)
        .args(["scan", &address, "20001-20200", "--json"])
        .args(["--timeout", "600", "--retries", "0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context(program)?;
    let until = Instant::now() + Duration::from_secs(20);
    while waiting_for(host.address())?.is_empty() {
        ensure!(
            Instant::now() < until,
            "it does not come to a filtered port"
        );
        thread::yield_now();
    }
    kill_process(Pid::from_child(&scan), Signal::INT)?;
    let ended = scan.wait_with_output()?;
    let report: Value = serde_json::from_slice(&ended.stdout)?;
    ensure!(
        ended.status.code() == Some(runner::INTERRUPTED.into()),
        "{report}"
    );
    ensure!(report["interrupted"] == true, "{report}");
    ensure!(report["filtered"] == json!([]), "{report}");
    ensure!(report["scanned"].as_u64() < Some(200), "{report}");
    let open: Vec<u16> = serde_json::from_value(report["open"].clone())?;
    let others = host.counts()?.open_everywhere;
    let is_right = |port: &u16| counts.open.contains(port) || others.contains(port);
    ensure!(open.iter().all(is_right), "{report}");
    Ok(())
}

/// At an address that connections to it come from, closed ports among those that the system gives
/// to connections can connect to themselves: of this range, about one in a scan does.
pub fn a_port_that_connects_to_itself_is_closed(program: &'static str) -> Result<()> {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        println!("skipped: there is no IPv6 here");
        return Ok(());
    }
    let args = ["scan", "::1", "32768-60999", "--json"];
    let report = paces(program, &args)?.with(0)?.report()?;
    ensure!(report["scanned"] == 28_232, "{report}");
    let open: Vec<u16> = serde_json::from_value(report["open"].clone())?;
    for port in open {
        // A listener is still there.
        let stream = TcpStream::connect((Ipv6Addr::LOCALHOST, port));
        let stream = stream.with_context(|| format!("port {port} is not open"))?;
        ensure!(
            stream.local_addr()? != stream.peer_addr()?,
            "{port} connects to itself"
        );
    }
    Ok(())
}

/// With fewer files than the limit, fewer attempts are under way; and every state is right.
pub fn too_few_files_lower_the_limit(program: &'static str) -> Result<()> {
    let origin = Origin::spawn(Path::new(program), &["origin"])?;
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 80 && exec \"$0\" \"$@\"", program])
        .args(["run", "scan", "--json", "--origin", origin.url()])
        .args(["--threads", "2", "--set", "ports=20001-20500"])
        .args(["--set", "open=5", "--set", "filtered=200"])
        .args(["--set", "limit=200", "--set", "timeout_ms=200"])
        .stdin(Stdio::null())
        .output()
        .context("sh")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(runner::UNSUPPORTED.into()) {
        ensure!(stderr.contains("one port after the other"), "{stderr}");
        return Ok(());
    }
    ensure!(output.status.success(), "{stderr}");
    let report: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(report["outcome"]["lowered"].as_u64() > Some(0), "{report}");
    Ok(())
}
