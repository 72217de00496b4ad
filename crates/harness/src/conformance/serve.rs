//! A server of files, as a load generator and clients of all kinds see it.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use suite::serve::Service;
use suite::{Model, Result, Workload};

use super::support::{job, shapes, start};

/// Requests follow the answers.
pub fn serve_in_a_closed_loop<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Serve,
        &[
            "connections=1 requests=1",
            "connections=20 requests=5",
            "connections=5 requests=100 bytes=0",
            // Several pieces.
            "connections=3 requests=40 bytes=300000",
        ],
    )
}

/// Requests are due at a rate.
pub fn serve_at_a_rate<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Serve,
        &[
            "connections=1 requests=20 rate=200",
            "connections=16 requests=100 rate=1000",
        ],
    )
}

/// Connections that say nothing stay open.
pub fn serve_with_idle_connections<M: Model>(program: &'static str) -> Result<()> {
    let shape = "connections=2 requests=5 rate=20 idle=30";
    shapes::<M>(program, Workload::Serve, &[shape])
}

/// CPU work goes on beside the answers, and is done in the end.
pub fn serve_beside_work<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Serve,
        &[
            "connections=4 requests=5 rate=50 burn=100",
            "connections=4 requests=5 rate=50 burn=100 place=inline",
        ],
    )
}

/// Clients that hang up are no end of the server; and at its end, a request that it has is
/// still answered.
pub fn serve_survives_what_clients_do<M: Model>(program: &'static str) -> Result<()> {
    const BYTES: usize = 32 << 20;
    let job = job(Workload::Serve, "connections=2 requests=1")?;
    let model = start::<M>(program, &job)?;
    let directory = tempfile::tempdir().context("a temporary directory")?;
    fs::write(directory.path().join("small"), "small")?;
    fs::write(directory.path().join("large"), vec![b'x'; BYTES])?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let patience = Duration::from_secs(20);
    let service = Arc::new(Service::new(listener, directory.path(), 3, patience, None)?);
    thread::scope(|scope| {
        let clients = scope.spawn(|| {
            let done = clients(&service, BYTES);
            // Whatever fails here, the server has to end.
            service.close();
            done
        });
        let served = model.serve_files(&service);
        let done = clients.join();
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        served
    })
}

fn clients(service: &Service, large: usize) -> Result<()> {
    let ask = |path: &str| {
        let mut client = TcpStream::connect(service.address())?;
        write!(client, "GET {path} HTTP/1.1\r\nHost: a\r\n")?;
        anyhow::Ok(client)
    };
    for round in 1..=3 {
        // In the middle of a head; before it; and without reading the answer.
        drop(ask("/small")?);
        drop(TcpStream::connect(service.address())?);
        write!(ask("/large")?, "\r\n")?;
        let mut client = ask("/small")?;
        write!(client, "Connection: close\r\n\r\n")?;
        let mut answer = String::new();
        let read = client.read_to_string(&mut answer);
        read.with_context(|| format!("an answer, round {round}"))?;
        ensure!(
            answer.ends_with("\r\n\r\nsmall"),
            "{answer:?}, round {round}"
        );
    }
    let mut client = ask("/large")?;
    write!(client, "Connection: close\r\n\r\n")?;
    let mut begun = [0; 1];
    client.read_exact(&mut begun).context("the answer begins")?;
    service.close();
    let mut answer = Vec::new();
    client
        .read_to_end(&mut answer)
        .context("after the end began")?;
    let body = answer
        .iter()
        .rev()
        .take_while(|byte| **byte == b'x')
        .count();
    ensure!(
        body == large,
        "{body} bytes after the end began, of {large}"
    );
    Ok(())
}
