//! Nodes of the parent's own that are held to a part of a core.

mod support;

use std::time::{Duration, Instant};

use anyhow::ensure;
use suite::Result;
use support::{
    PROGRAM, Running, children, has_server, primes, program, ticks, wait_until, wait_until_busy,
};

/// How much CPU time of a node is measured, in hundredths of a second.
const WATCHED: u64 = 80;

/// Runs a parent with one node, whose two threads may use `cpus` of a core together, and checks the
/// limit.
fn held_to(cpus: f64) -> Result<()> {
    let mut command = program(&primes(45_000));
    // The frequent stops must not look like silence.
    command.args(["--nodes", "1", "--ack-wait", "1"]);
    command.args(["--node-cpus", &cpus.to_string()]);
    let parent = Running(command.spawn()?);
    let node = wait_until("a node", || Ok(children(parent.pid(), "--own")?.pop()))?;
    wait_until_busy(node)?;
    let (began, before) = (Instant::now(), ticks(node));
    let used = wait_until("it works", || {
        let used = ticks(node).saturating_sub(before);
        Ok((used >= WATCHED).then_some(used))
    })?;
    // Without being held, its threads take half of this, or less. Both ends are known to a tick,
    // and a limit that is some hundredths of a second late is made up for only afterwards.
    let least = Duration::from_millis((used - 2) * 10).div_f64(cpus);
    let took = began.elapsed();
    ensure!(
        took.mul_f64(1.05) >= least,
        "{used} ticks of {cpus} in {took:?}"
    );
    let ended = parent.end()?;
    ended.was_right()?;
    ensure!(ended.losses("delivered again") == 0, "{ended:?}");
    Ok(())
}

#[test]
fn a_node_has_no_more_than_its_half_of_a_core_and_the_answer_is_right() -> Result<()> {
    match has_server() {
        true => harness::with_timeout(|_| held_to(0.5), PROGRAM),
        false => Ok(()),
    }
}

#[test]
fn a_node_has_no_more_than_its_quarter_of_a_core_and_the_answer_is_right() -> Result<()> {
    match has_server() {
        true => harness::with_timeout(|_| held_to(0.25), PROGRAM),
        false => Ok(()),
    }
}

#[test]
fn a_part_that_makes_no_sense_is_refused() -> Result<()> {
    let job = primes(100);
    for cpus in ["0", "-1", "half", "NaN", "inf"] {
        let says = "has to be a number of cores from 0.01 to 1024";
        let mut command = program(&job);
        command.arg(format!("--node-cpus={cpus}"));
        let ended = Running(command.spawn()?).end()?;
        ensure!(ended.status.code() == Some(2), "{ended:?}");
        ensure!(ended.stderr.contains(says), "{ended:?}");

        let mut command = program(&job);
        command.env("PACES_CLUSTER_NODE_CPUS", cpus);
        let ended = Running(command.spawn()?).end()?;
        ensure!(ended.status.code() == Some(2), "{ended:?}");
        let says = format!("PACES_CLUSTER_NODE_CPUS = {cpus}: {says}");
        ensure!(ended.stderr.contains(&says), "{ended:?}");
    }
    // Nodes that were started by hand cannot be limited.
    let mut command = program(&job);
    command.args(["--node-cpus", "0.5", "--cluster", "nats://localhost:1"]);
    let ended = Running(command.spawn()?).end()?;
    ensure!(ended.status.code() == Some(2), "{ended:?}");
    ensure!(ended.stderr.contains("--cluster"), "{ended:?}");
    Ok(())
}
