//! Nodes, servers and parents that are killed or stopped, and what comes of the job. A run
//! checks its own answer: that it succeeds says that the answer is right.

mod support;

use anyhow::ensure;
use async_nats::jetstream;
use futures_lite::StreamExt;
use rustix::process::Signal;
use std::os::unix::process::ExitStatusExt;
use std::thread;
use std::time::Duration;
use suite::Result;
use support::{
    PROGRAM, Running, Server, TOKEN, children, has_server, is_gone, node, parent, primes, program,
    signal, wait_until, wait_until_busy,
};

/// Runs a test with a timeout, if there is a server program.
fn with_server(test: fn(&'static str) -> Result<()>) -> Result<()> {
    match has_server() {
        true => harness::with_timeout(test, PROGRAM),
        false => Ok(()),
    }
}

/// Runs a job with a node that kills itself at this point, and another node. The job takes a few
/// times as long as the ack timeout.
fn killed_at(point: &str, numbers: u64, more: &[&str]) -> Result<support::Ended> {
    let server = Server::start()?;
    let dies = node(&server, "dies", &["--die-at", point])?;
    let _works = node(&server, "works", &[])?;
    let ended = parent(&server, 2, &primes(numbers), more)?.end()?;
    ended.was_right()?;
    let died = dies.end()?;
    ensure!(
        died.status.signal() == Some(Signal::KILL.as_raw()),
        "{died:?}"
    );
    Ok(ended)
}

#[test]
fn a_node_is_killed_before_it_works() -> Result<()> {
    with_server(|_| {
        let ended = killed_at("before-work", 60_000, &[])?;
        ensure!(ended.losses("delivered again") >= 1, "{ended:?}");
        Ok(())
    })
}

#[test]
fn a_node_is_killed_between_answer_and_ack() -> Result<()> {
    with_server(|_| {
        let ended = killed_at("after-answer", 120_000, &[])?;
        ensure!(ended.losses("answered twice") >= 1, "{ended:?}");
        Ok(())
    })
}

#[test]
fn a_node_is_killed_after_the_ack() -> Result<()> {
    with_server(|_| {
        // A node that gets no processor for long is not taken for silent.
        let ended = killed_at("after-ack", 60_000, &["--ack-wait", "10"])?;
        ensure!(ended.losses("answered twice") == 0, "{ended:?}");
        Ok(())
    })
}

#[test]
fn a_node_is_stopped_for_longer_than_an_ack_is_waited_for() -> Result<()> {
    with_server(|_| {
        let server = Server::start()?;
        let stops = node(&server, "stops", &[])?;
        let _works = node(&server, "works", &[])?;
        let parent = parent(&server, 2, &primes(60_000), &[])?;
        wait_until_busy(stops.pid())?;
        stops.signal(Signal::STOP)?;
        wait_until("a share is delivered again", || {
            Ok(delivered_again(&server)?.then_some(()))
        })?;
        stops.signal(Signal::CONT)?;
        let ended = parent.end()?;
        ended.was_right()?;
        ensure!(ended.losses("delivered again") >= 1, "{ended:?}");
        ensure!(ended.losses("answered twice") >= 1, "{ended:?}");
        Ok(())
    })
}

/// Whether the server has delivered a share for a second time.
#[tokio::main(flavor = "current_thread")]
async fn delivered_again(server: &Server) -> Result<bool> {
    let options = async_nats::ConnectOptions::with_token(TOKEN.to_owned());
    let jetstream = jetstream::new(options.connect(server.url()).await?);
    let mut streams = jetstream.stream_names();
    while let Some(name) = streams.next().await {
        let consumer: jetstream::consumer::PullConsumer =
            jetstream.get_consumer_from_stream("nodes", name?).await?;
        let delivered = &consumer.cached_info().delivered;
        if delivered.consumer_sequence > delivered.stream_sequence {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The server is killed in the middle of a job, and started again.
fn restarted(storage: &str) -> Result<support::Ended> {
    let mut server = Server::start()?;
    let one = node(&server, "one", &[])?;
    let _other = node(&server, "other", &[])?;
    let parent = parent(&server, 2, &primes(60_000), &["--cluster-storage", storage])?;
    wait_until_busy(one.pid())?;
    server.restart()?;
    let ended = parent.end()?;
    ended.was_right()?;
    Ok(ended)
}

#[test]
fn a_server_is_restarted_on_its_store() -> Result<()> {
    with_server(|_| restarted("disk").map(drop))
}

#[test]
fn a_server_is_restarted_without_what_it_had_in_memory() -> Result<()> {
    with_server(|_| {
        let ended = restarted("memory")?;
        ensure!(ended.losses("published again") >= 1, "{ended:?}");
        Ok(())
    })
}

#[test]
fn a_server_that_stays_away_is_an_error() -> Result<()> {
    with_server(|_| {
        let mut server = Server::start()?;
        let node = node(&server, "one", &[])?;
        let parent = parent(&server, 1, &primes(60_000), &[])?;
        wait_until_busy(node.pid())?;
        server.kill()?;
        let ended = parent.end()?;
        ensure!(ended.status.code() == Some(1), "{ended:?}");
        ensure!(ended.stderr.contains("has not answered for"), "{ended:?}");
        Ok(())
    })
}

/// One share, which takes no time.
fn one_share() -> Vec<String> {
    let sets = ["start=1", "end=60", "workers=5"].map(|set| ["--set".to_owned(), set.to_owned()]);
    let run = ["run".to_owned(), "primes".to_owned()];
    run.into_iter().chain(sets.into_iter().flatten()).collect()
}

#[test]
fn a_share_that_kills_five_nodes_is_given_up_and_named() -> Result<()> {
    with_server(|_| {
        let server = Server::start()?;
        let dies = |number| {
            let name = format!("node {number}");
            node(&server, &name, &["--die-at", "before-work"])
        };
        let nodes = (0..5).map(dies).collect::<Result<Vec<_>>>()?;
        let parent = parent(&server, 5, &one_share(), &[])?;
        for node in nodes {
            node.end()?;
        }
        let _late = node(&server, "late", &[])?;
        let ended = parent.end()?;
        ensure!(ended.status.code() == Some(1), "{ended:?}");
        let says = "primes in 1..60: given up after it was delivered 5 times";
        ensure!(ended.stderr.contains(says), "{ended:?}");
        Ok(())
    })
}

#[test]
fn without_nodes_there_is_an_error() -> Result<()> {
    with_server(|_| {
        let server = Server::start()?;
        let _dies = node(&server, "dies", &["--die-at", "before-work"])?;
        let ended = parent(&server, 1, &one_share(), &[])?.end()?;
        ensure!(ended.status.code() == Some(1), "{ended:?}");
        ensure!(
            ended.stderr.contains("the first: primes in 1..60"),
            "{ended:?}"
        );
        Ok(())
    })
}

/// A parent with a server and nodes of its own, at work: with the number of such a node.
fn own(numbers: u64) -> Result<(Running, i32)> {
    let parent = Running(program(&primes(numbers)).args(["--nodes", "2"]).spawn()?);
    let node = wait_until("a node", || Ok(children(parent.pid(), "--own")?.pop()))?;
    wait_until_busy(node)?;
    Ok((parent, node))
}

#[test]
fn a_node_of_the_parent_is_killed() -> Result<()> {
    with_server(|_| {
        let (parent, node) = own(30_000)?;
        signal(node, Signal::KILL)?;
        let ended = parent.end()?;
        ended.was_right()?;
        ensure!(ended.losses("published again") >= 1, "{ended:?}");
        Ok(())
    })
}

#[test]
fn the_server_of_the_parent_is_killed() -> Result<()> {
    with_server(|_| {
        let (parent, _) = own(30_000)?;
        for server in children(parent.pid(), "nats-server")? {
            signal(server, Signal::KILL)?;
        }
        let ended = parent.end()?;
        ended.was_right()?;
        ensure!(ended.losses("published again") >= 1, "{ended:?}");
        Ok(())
    })
}

#[test]
fn a_share_that_kills_every_node_of_the_parent_is_named() -> Result<()> {
    with_server(|_| {
        // Two shares of many seconds each: one that is published again comes after the other.
        let mut job = primes(4_000_000);
        job.extend(["--set".to_owned(), "share=2000000".to_owned()]);
        let mut parent = Running(program(&job).args(["--nodes", "2"]).spawn()?);
        while parent.0.try_wait()?.is_none() {
            // The nodes need the processors.
            thread::sleep(Duration::from_millis(5));
            for node in children(parent.pid(), "--own")? {
                // Those that work have had a processor for some time.
                if support::ticks(node) > 20 {
                    // It may be gone by now.
                    let _ = signal(node, Signal::KILL);
                }
            }
        }
        let ended = parent.end()?;
        ensure!(ended.status.code() == Some(1), "{ended:?}");
        ensure!(
            ended.stderr.contains("given up after 6 nodes died of it"),
            "{ended:?}"
        );
        ensure!(ended.stderr.contains("primes in 10000"), "{ended:?}");
        Ok(())
    })
}

#[test]
fn nothing_is_left_of_a_parent_that_is_killed() -> Result<()> {
    with_server(|_| {
        let (mut parent, _) = own(60_000)?;
        let mut left = children(parent.pid(), "--own")?;
        left.extend(children(parent.pid(), "nats-server")?);
        ensure!(left.len() == 3, "two nodes and a server: {left:?}");
        parent.kill()?;
        wait_until("all are gone", || {
            Ok(left.iter().all(|&pid| is_gone(pid)).then_some(()))
        })
    })
}
