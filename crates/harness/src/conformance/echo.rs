//! Sockets: `echo`.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use runner::echo::Server;
use suite::echo::{self, Open, Talk};
use suite::{Job, Model, Result, Workload};

use super::support::{
    BLOCKING_THREADS, THREADS, fails_naming, is_right, job, new_fixture, shapes, start,
};
use crate::test_server::{self, EchoFault, TestServer};

/// Messages smaller and larger than what the buffers of sockets hold.
pub fn echo_shapes<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Echo,
        &[
            "connections=1 messages=1 bytes=1",
            "connections=3 messages=5 bytes=100000",
            "connections=20 messages=10 bytes=64",
            "connections=50 messages=1 bytes=16385",
            "connections=1 messages=1 bytes=33554432",
        ],
    )
}

/// A server that is not there or hangs up fails the job; one that says something
/// else is found out; and the next job is none the worse.
pub fn echo_survives_what_servers_do<M: Model>(program: &'static str) -> Result<()> {
    let mut fixture = new_fixture(program);
    let job = job(Workload::Echo, "connections=3 messages=4 bytes=5000")?;
    let mut good = fixture.prepare(&job)?;
    let model = start::<M>(program, good.job())?;
    let with = |address| match good.job() {
        Job::Echo(job) => Ok(echo::Job {
            address: Some(address),
            ..job.clone()
        }),
        _ => bail!("not an echo"),
    };

    let refusing = test_server::refusing_address()?;
    let mut failing = vec![("no server there", Job::Echo(with(refusing)?), None)];
    let mut lying = Vec::new();
    for fault in [
        EchoFault::HangsUp,
        EchoFault::StopsShort,
        EchoFault::ChangesAByte,
        EchoFault::AddsAByte,
    ] {
        let server = TestServer::with_echo(fault, &with(refusing)?)?;
        let job = Job::Echo(with(server.address)?);
        match fault {
            EchoFault::HangsUp => failing.push(("hangs up", job, Some(server))),
            EchoFault::StopsShort => failing.push(("stops short", job, Some(server))),
            EchoFault::ChangesAByte => lying.push(("changes a byte", job, server)),
            EchoFault::AddsAByte => lying.push(("adds a byte", job, server)),
        }
    }
    for (what, job, _server) in &failing {
        let Job::Echo(echo) = job else {
            bail!("not an echo")
        };
        let address = echo.address().to_string();
        fails_naming(&model, job, &[&address]).context(*what)?;
        is_right(&model, &mut good).with_context(|| format!("after it {what}"))?;
    }
    for (what, job, _server) in &lying {
        let outcome = job.run(&model).context(*what)?;
        let found = job.check(&outcome).err().map(|wrong| wrong.to_string());
        let says = "wrong is 3"; // one byte a connection
        ensure!(
            found.as_ref().is_some_and(|found| found.contains(says)),
            "a server that {what}: {found:?}, {outcome:?}"
        );
        is_right(&model, &mut good).with_context(|| format!("after it {what}"))?;
    }
    drop(model);
    good.close()
}

/// Clients that hang up, at once or in the middle, are no end of the server; and
/// when it is told to end, it does.
pub fn echo_server_survives_what_clients_do<M: Model>(program: &'static str) -> Result<()> {
    let job = job(Workload::Echo, "connections=3 messages=4 bytes=5000")?;
    let Job::Echo(job) = job else {
        bail!("not an echo")
    };
    let server = Server::spawn(Path::new(program), &job, THREADS, BLOCKING_THREADS)?;
    let connect = || TcpStream::connect(server.address());
    for said in [0, 1, 5_000, 7_777] {
        let mut client = connect()?;
        client.write_all(&vec![b'!'; said])?;
        client.read_exact(&mut vec![0; said])?;
    }
    // Without reading: what comes back is answered by a reset.
    let mut client = connect()?;
    client.write_all(&[b'!'; 5_000])?;
    drop(client);

    for time in ["first", "second"] {
        let open = Open::default();
        let streams = (0..job.connections)
            .map(|_| connect())
            .collect::<io::Result<Vec<_>>>()?;
        streams.iter().for_each(|_| open.opened());
        let mut talks = Vec::new();
        for (connection, mut stream) in streams.iter().enumerate() {
            let mut talk = Talk::new(&job, connection);
            while let Some(piece) = talk.say() {
                stream.write_all(piece)?;
                let back = stream.read_exact(talk.room());
                back.with_context(|| format!("connection {connection}, the {time} time"))?;
                talk.hear();
            }
            talk.hear_end(stream.read(&mut [0])?);
            talks.push(talk.outcome());
        }
        job.check(&open.outcome(talks)).context(time)?;
    }
    server.end()
}
