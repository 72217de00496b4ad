//! Datagrams: `datagram`.

use std::net::UdpSocket;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use origin::{DatagramRelay, Origin};
use runner::datagram::{Network, Server};
use suite::datagram::{self, Outcome, Seen};
use suite::{Model, Result, Workload};

use super::support::{
    BLOCKING_THREADS, THREADS, fails_naming, is_right, job, new_fixture, shapes, start,
};
use crate::datagrams::{self, Fault};

fn shape(shape: &str) -> Result<datagram::Job> {
    match job(Workload::Datagram, shape)? {
        suite::Job::Datagram(job) => Ok(job),
        _ => bail!("not of datagram"),
    }
}

fn server(program: &str, job: &datagram::Job) -> Result<Server> {
    Server::spawn(Path::new(program), job, THREADS, BLOCKING_THREADS)
}

/// One client and more, the least and the most bytes, windows of one, of all and none.
pub fn datagram_shapes<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Datagram,
        &[
            "clients=1 datagrams=1 bytes=16",
            "clients=1 datagrams=10 window=1000",
            "clients=2 datagrams=20 bytes=65507",
            "clients=3 datagrams=5 bytes=17 window=2",
            "clients=20 datagrams=50 window=4",
            "clients=4 datagrams=100 window=0",
        ],
    )
}

/// Some are lost and sent again; some or all are lost for good.
pub fn datagram_lossy<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Datagram,
        &[
            "clients=4 datagrams=40 window=8 lose=200 retries=40 timeout_ms=10",
            "clients=2 datagrams=30 window=4 lose=500 retries=0 timeout_ms=10",
            "clients=1 datagrams=5 window=2 lose=1000 retries=2 timeout_ms=5",
            "clients=2 datagrams=50 window=0 lose=100",
        ],
    )
}

/// A relay that drops, doubles and reorders.
pub fn datagram_doubled_and_reordered<M: Model>(program: &'static str) -> Result<()> {
    let mut job = shape("clients=3 datagrams=60 window=8 lose=50 retries=100 timeout_ms=20")?;
    let server = server(program, &job)?;
    let origin = Origin::spawn(Path::new(program), &["origin"])?;
    let mut shape = Network::relay_shape(&job, &server);
    (shape.double, shape.reorder) = (200, 200);
    let network = Network::new(server, Some(DatagramRelay::open(origin.url(), &shape)?));
    job.address = Some(network.address());
    let model = start::<M>(program, &suite::Job::Datagram(job.clone()))?;
    for time in ["first", "second"] {
        let (_, outcome) = network.run(&mut job, &model)?;
        job.check(&outcome).context(time)?;
        let Outcome {
            copies, lost, seen, ..
        } = &outcome;
        ensure!(*copies > 0 && *lost == 0, "{outcome:?}");
        ensure!(
            seen.relay.doubled > 0 && seen.relay.reordered > 0,
            "{outcome:?}"
        );
    }
    drop(model);
    network.end()
}

/// No server there fails the job; one that answers something else is found out; and the next job
/// is none the worse.
pub fn datagram_survives_what_servers_do<M: Model>(program: &'static str) -> Result<()> {
    let asked = "clients=1 datagrams=6 window=2 timeout_ms=20 retries=1";
    let mut good = new_fixture(program).prepare(&job(Workload::Datagram, asked)?)?;
    let model = start::<M>(program, good.job())?;
    let with = |address| datagram::Job {
        address: Some(address),
        run: 7,
        ..shape(asked).unwrap_or_else(|error| panic!("{error:#}"))
    };
    let refusing = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
    let job = suite::Job::Datagram(with(refusing));
    fails_naming(&model, &job, &[&refusing.to_string(), "refused"]).context("no server there")?;
    is_right(&model, &mut good).context("after there was no server")?;

    for (fault, says) in [
        (Fault::Silent, "lost and not dropped is 6"),
        (Fault::ChangesAByte, "wrong is "),
        (Fault::StopsShort, "wrong is "),
        (Fault::AddsAByte, "wrong is "),
        (Fault::Empty, "wrong is "),
        (Fault::AnotherClient, "wrong is "),
        (Fault::AnotherNumber, "wrong is "),
        (Fault::AnotherRun, ""),
    ] {
        let server = datagrams::Server::with(fault)?;
        let mut job = with(server.address);
        if fault == Fault::AnotherRun {
            // Its right answers come after others, and soon enough on a busy machine.
            job.timeout_ms = 5_000;
        }
        let outcome = model.datagram(&job).with_context(|| format!("{fault:?}"))?;
        let healthy = Seen {
            healthy: true,
            ..Seen::default()
        };
        let outcome = Outcome {
            seen: healthy,
            ..outcome
        };
        let found = job.check(&outcome).err().map(|wrong| wrong.to_string());
        let found = found.unwrap_or_default();
        ensure!(
            found.contains(says) && found.is_empty() == says.is_empty(),
            "{fault:?}: {found}, {outcome:?}"
        );
        if fault == Fault::AnotherRun {
            ensure!(outcome.stale >= 6 && outcome.lost == 0, "{outcome:?}");
        }
        is_right(&model, &mut good).with_context(|| format!("after {fault:?}"))?;
    }
    drop(model);
    good.close()
}

/// Clients that are gone, and datagrams that are no client's, are no end of the server; and when
/// it is told to end, it does.
pub fn datagram_server_survives_what_clients_do<M: Model>(program: &'static str) -> Result<()> {
    let mut job = shape("clients=3 datagrams=20 bytes=100 window=4 timeout_ms=5000")?;
    let server = server(program, &job)?;
    job.address = Some(server.address());
    for bytes in [0, 1, 15, 100, 101, 65_507] {
        for _ in 0..5 {
            let gone = datagrams::client(&job, 0)?;
            gone.send(&vec![b'!'; bytes])?;
        }
    }
    for time in ["first", "second"] {
        job.run += 1;
        let mut outcomes = Vec::new();
        for client in 0..job.clients {
            let socket = datagrams::client(&job, client)?;
            let outcome = datagrams::talk(&job, client, &socket, datagram::Window::received);
            let named = || format!("{}, the {time} time", job.named(client));
            outcomes.push(outcome.with_context(named)?);
        }
        let outcome = Outcome::all(outcomes);
        let right = outcome.answered == 60 && outcome.wrong == 0;
        ensure!(right, "the {time} time: {outcome:?}");
    }
    server.end()
}
