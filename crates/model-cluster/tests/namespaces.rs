//! Nodes that have their own network and files, as on separate machines. One of them is cut off for
//! three seconds in the middle of a job. A run checks its own answer: if it succeeds, the answer is
//! right.

mod support;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{bail, ensure};
use suite::Result;
use support::network::Network;
use support::{Ended, PROGRAM, Running, Server, has_server, ticks, wait_until};

const NODES: usize = 3;

/// For how long the first node's link is down.
const CUT: Duration = Duration::from_secs(3);

/// Each test needs the processors: three nodes are at work in it.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs a test with a timeout, if there is a server program.
fn with_server(test: fn(&'static str) -> Result<()>) -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    match has_server() {
        true => harness::with_timeout(test, PROGRAM),
        false => Ok(()),
    }
}

/// The command line of a job with these settings.
fn job(workload: &str, sets: &[&str]) -> Vec<String> {
    let sets = sets.iter().flat_map(|&set| ["--set", set]);
    let words = ["run", workload].into_iter().chain(sets);
    words.map(str::to_owned).collect()
}

/// A measurement that increases when a node works.
type Gauge = fn(&Network, &Running) -> Result<u64>;

/// Bytes that have come to the first node.
fn received(network: &Network, _: &Running) -> Result<u64> {
    network.received(0)
}

/// Hundredths of a second that the first node has had a processor.
fn worked(_: &Network, node: &Running) -> Result<u64> {
    Ok(ticks(node.pid()))
}

/// Runs a job on three nodes, and cuts off the first when `gauge` has increased by `enough`.
/// Returns whether the job was still running when the link was up again.
fn cut_off(
    network: &Network,
    server: &Server,
    job: &[String],
    more: &[&str],
    gauge: Gauge,
    enough: u64,
) -> Result<(Ended, bool)> {
    let mut nodes = Vec::new();
    for number in 0..NODES {
        nodes.push(network.node(server, number)?);
    }
    let before = gauge(network, &nodes[0])?;
    let mut parent = network.parent(server, job, more)?;
    let is_in_the_middle = wait_until("the first node is at work", || {
        if parent.0.try_wait()?.is_some() {
            return Ok(Some(false));
        }
        let is_enough = gauge(network, &nodes[0])? >= before + enough;
        Ok(is_enough.then_some(true))
    })?;
    if !is_in_the_middle {
        bail!("it ended before: {:?}", parent.end()?);
    }
    network.cut(0, CUT)?;
    let goes_on = parent.0.try_wait()?.is_none();
    let ended = parent.end()?;
    ensure!(ended.status.success(), "{ended:?}");
    for mut node in nodes {
        ensure!(node.0.try_wait()?.is_none(), "{:?}", node.end()?);
    }
    Ok((ended, goes_on))
}

/// Checks that the node had a share when it was cut off. The job then had to go on until another
/// node was given that share, however fast the machine is.
fn had_a_share(ended: &Ended) -> Result<()> {
    ensure!(ended.losses("delivered again") >= 1, "{ended:?}");
    Ok(())
}

#[test]
fn primes_with_a_node_cut_off() -> Result<()> {
    with_server(|_| {
        let Some(network) = Network::of(NODES)? else {
            return Ok(());
        };
        let server = network.server()?;
        let sets = ["start=1000000000000", "end=1000000150000", "workers=3"];
        let job = job("primes", &sets);
        // Much more than the start of a node takes.
        let (ended, _) = cut_off(&network, &server, &job, &[], worked, 40)?;
        had_a_share(&ended)
    })
}

/// The images travel: no node sees the parent's files.
#[test]
fn thumbnails_with_a_node_cut_off() -> Result<()> {
    with_server(|_| {
        let Some(network) = Network::of(NODES)? else {
            return Ok(());
        };
        let server = network.server()?;
        let job = job("thumbnails", &["count=400"]);
        let (ended, _) = cut_off(&network, &server, &job, &[], received, 1 << 20)?;
        had_a_share(&ended)
    })
}

/// 12.5 MB, which the origin sends in six seconds at best.
#[test]
fn download_with_a_node_cut_off() -> Result<()> {
    with_server(|_| {
        let Some(network) = Network::of(NODES)? else {
            return Ok(());
        };
        let server = network.server()?;
        let (_origin, url) = network.origin()?;
        let job = job("download", &["limit=6", "mbit_per_s=16"]);
        let more = ["--origin", &url];
        let (ended, goes_on) = cut_off(&network, &server, &job, &more, received, 1 << 18)?;
        ensure!(goes_on, "it was faster than the origin: {ended:?}");
        Ok(())
    })
}

/// 1,200 messages, of which the last is due after eight seconds.
#[test]
fn chat_with_a_node_cut_off() -> Result<()> {
    with_server(|_| {
        let Some(network) = Network::of(NODES)? else {
            return Ok(());
        };
        let server = network.server()?;
        let sets = ["rooms=3", "members=4", "messages=100", "rate=150"];
        let job = job("chat", &sets);
        let (ended, goes_on) = cut_off(&network, &server, &job, &[], received, 1 << 14)?;
        ensure!(
            goes_on,
            "its last message came before it was due: {ended:?}"
        );
        Ok(())
    })
}
