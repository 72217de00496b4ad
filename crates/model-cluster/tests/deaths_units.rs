//! Units that work with each other, some of which are lost with their node: then all begin again.
//! A run checks its own answer: that it succeeds says that the answer is right.

mod support;

use anyhow::ensure;
use procfs::process::Process;
use rustix::process::Signal;
use suite::Result;
use support::{
    Ended, PROGRAM, Running, Server, children, has_server, node, parent, program, signal,
    wait_until, wait_until_busy,
};

/// Runs a test with a timeout, if there is a server program.
fn with_server(test: fn(&'static str) -> Result<()>) -> Result<()> {
    match has_server() {
        true => harness::with_timeout(test, PROGRAM),
        false => Ok(()),
    }
}

fn job(workload: &str, sets: &[&str]) -> Vec<String> {
    let sets = sets.iter().flat_map(|&set| ["--set", set]);
    let words = ["run", workload].into_iter().chain(sets);
    words.map(str::to_owned).collect()
}

/// A pipeline that takes some seconds, for two nodes.
fn pipeline() -> Vec<String> {
    let sets = [
        "producers=2",
        "consumers=2",
        "items=6000",
        "capacity=16",
        "produce_us=500",
    ];
    job("pipeline", &sets)
}

/// Runs a parent with two nodes of its own, and kills one of them once it is `at_work`.
fn killed(job: &[String], at_work: fn(i32) -> Result<()>) -> Result<Ended> {
    let parent = Running(program(job).args(["--nodes", "2"]).spawn()?);
    let node = wait_until("a node", || Ok(children(parent.pid(), "--own")?.pop()))?;
    at_work(node)?;
    signal(node, Signal::KILL)?;
    parent.end()
}

fn was_right(ended: &Ended, says: &str) -> Result<()> {
    let is_right = ended.status.success() && ended.stdout.contains(says);
    ensure!(is_right, "{ended:?}");
    Ok(())
}

/// Checks that the units began again after the node was killed.
fn has_begun_again(ended: &Ended) -> Result<()> {
    ensure!(ended.stderr.contains("all begin again"), "{ended:?}");
    Ok(())
}

#[test]
fn a_node_of_a_pipeline_is_killed() -> Result<()> {
    with_server(|_| {
        let ended = killed(&pipeline(), wait_until_busy)?;
        was_right(&ended, "6000 items, all in order")?;
        has_begun_again(&ended)
    })
}

#[test]
fn a_node_with_operations_in_flight_is_killed() -> Result<()> {
    with_server(|_| {
        let sets = [
            "operations=6000",
            "limit=100",
            "late_per_mille=0",
            "deadline_ms=2000",
        ];
        // Half of the connections, of which it has no more than some before.
        let at_work = |node| {
            wait_until("connections of a node", || {
                let files = Process::new(node)?.fd_count()?;
                Ok((files >= 50).then_some(()))
            })
        };
        let ended = killed(&job("deadlines", &sets), at_work)?;
        was_right(&ended, "6000 operations, 100 at once")?;
        has_begun_again(&ended)
    })
}

#[test]
fn a_node_of_a_tree_is_killed() -> Result<()> {
    with_server(|_| {
        let sets = ["units=9000", "batch=300", "tree=7"];
        let ended = killed(&job("spawn", &sets), wait_until_busy)?;
        was_right(&ended, "9000 units were started and have ended")
    })
}

/// Two nodes that were started by hand, of which one is killed at work.
fn killed_by_hand(server: &Server) -> Result<[Running; 2]> {
    let dies = node(server, "dies", &[])?;
    let stays = node(server, "stays", &[])?;
    let parent = parent(server, 2, &pipeline(), &[])?;
    wait_until_busy(dies.pid())?;
    dies.signal(Signal::KILL)?;
    Ok([parent, stays])
}

#[test]
fn another_node_takes_the_place_of_one_that_is_killed() -> Result<()> {
    with_server(|_| {
        let server = Server::start()?;
        let [parent, _stays] = killed_by_hand(&server)?;
        let _comes = node(&server, "comes", &[])?;
        let ended = parent.end()?;
        was_right(&ended, "6000 items, all in order")?;
        has_begun_again(&ended)
    })
}

#[test]
fn without_another_node_there_is_an_error() -> Result<()> {
    with_server(|_| {
        let server = Server::start()?;
        let [parent, _stays] = killed_by_hand(&server)?;
        let ended = parent.end()?;
        ensure!(ended.status.code() == Some(1), "{ended:?}");
        let says = "1 of 2 nodes have come within 30s";
        ensure!(ended.stderr.contains(says), "{ended:?}");
        Ok(())
    })
}
