//! A file server: `serve`.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use runner::tree;
use suite::generator::PATIENCE;
use suite::serve::Service;
use suite::{Model, Result, Workload};

use super::support::{FORKED, job, open_connections, right_but_for_serial, shapes, start};

/// More than the buffers of two sockets hold.
const LARGE: usize = 32 << 20;

/// One connection and more, small and large files, with both loops, and CPU
/// work in both places.
pub fn serve_shapes<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Serve,
        &[
            "connections=1 requests=1",
            "connections=3 requests=40 bytes=0",
            "connections=3 requests=40 bytes=300000",
            "connections=5 requests=50 rate=500",
            "connections=5 requests=100 rate=500 burn=100 place=pool",
            "connections=5 requests=100 rate=500 burn=100 place=inline",
        ],
    )
}

/// Connections over which nothing goes stay open; only a model with one connection at a time may refuse them,
/// and has to.
pub fn serve_silent_connections<M: Model>(program: &'static str) -> Result<()> {
    for shape in [
        "connections=4 requests=40 idle=20",
        "connections=4 requests=40 idle=20 rate=500",
        "connections=20 requests=5",
    ] {
        let job = job(Workload::Serve, shape)?;
        right_but_for_serial::<M>(program, &job).context(shape)?;
    }
    Ok(())
}

/// Clients that hang up, say nothing, stop in the middle or do not read: the others are
/// answered, and those that take too long are cut.
pub fn serve_survives_what_clients_do<M: Model>(program: &'static str) -> Result<()> {
    // Longer than any good client here takes.
    let patience = Duration::from_secs(3);
    serving::<M>(program, 8, patience, |server| {
        let after = |what: &str| server.is_right().with_context(|| format!("after {what}"));
        drop(server.connect()?);
        after("one that hung up at once")?;
        drop(server.send("GET /sm")?);
        after("one that hung up in the middle of a head")?;
        let mut resets = server.send(&ask("large"))?;
        resets.read_exact(&mut [0; 100])?;
        drop(resets); // with bytes that are not read: a reset
        after("one that broke off an answer")?;

        let mut silent = server.connect()?;
        after("one that says nothing")?;
        let mut stops = server.send("GET /small HTTP/1.1\r\nHos")?;
        after("one that stops in the middle of a head")?;
        let reads_nothing = server.send(&ask("large"))?;
        after("one that reads nothing")?;

        let mut said = Vec::new();
        silent.read_to_end(&mut said).context("the silent one")?;
        ensure!(said.is_empty(), "one that says nothing is told something");
        stops.read_to_end(&mut said).context("half a head")?;
        ensure!(said.starts_with(b"HTTP/1.1 408 "), "half a head");
        drop(reads_nothing);
        Ok(())
    })
}

/// When the end begins, an answer under way becomes whole, and connections that wait for a
/// request are closed.
pub fn serve_answers_what_is_under_way<M: Model>(program: &'static str) -> Result<()> {
    serving::<M>(program, 4, PATIENCE, |server| {
        let mut waits = server.send("GET /small HTTP/1.1\r\nHost: x\r\n\r\n")?;
        let mut answer = vec![0; 12];
        waits.read_exact(&mut answer)?;
        ensure!(answer == b"HTTP/1.1 200");
        let mut under_way = server.send(&ask("large"))?;
        let mut answer = vec![0; 100];
        under_way.read_exact(&mut answer)?;
        server.service.listening.close();
        let read = under_way.read_to_end(&mut answer);
        read.context("the answer under way")?;
        ensure!(body(&answer)? == large(), "the answer under way is wrong");
        let ended = waits.read_to_end(&mut Vec::new());
        ended.context("the connection that waits")?;
        // A model with one thread has the listener until the connection has ended.
        drop(under_way);
        let until = Instant::now() + PATIENCE;
        while server.connect().is_ok() {
            ensure!(Instant::now() < until, "it still accepts");
            thread::yield_now();
        }
        Ok(())
    })
}

/// After its end it has no connection, file, listener or unit of the service any more.
pub fn serve_leaves_nothing<M: Model>(program: &'static str) -> Result<()> {
    // A model with one connection at a time waits for the silent one.
    serving::<M>(program, 5, PATIENCE / 10, |server| {
        let waiting = server.connect()?;
        server.is_right()?;
        drop(waiting);
        server.is_right()
    })
}

/// A server while it serves, to its clients.
struct Running<'a> {
    service: &'a Service,
}

impl Running<'_> {
    fn connect(&self) -> Result<TcpStream> {
        let stream = TcpStream::connect(self.service.listening.address())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    fn send(&self, bytes: &str) -> Result<TcpStream> {
        let mut stream = self.connect()?;
        stream.write_all(bytes.as_bytes())?;
        Ok(stream)
    }

    /// It has to answer.
    fn is_right(&self) -> Result<()> {
        let mut answer = Vec::new();
        self.send(&ask("small"))?.read_to_end(&mut answer)?;
        ensure!(body(&answer)? == b"small", "a wrong body");
        Ok(())
    }
}

/// A request after which the server closes.
fn ask(file: &str) -> String {
    format!("GET /{file} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
}

fn large() -> Vec<u8> {
    (0..LARGE).map(|at| (at % 251) as u8).collect()
}

/// The body of a whole answer.
fn body(answer: &[u8]) -> Result<&[u8]> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let (head, body) = answer.split_at(end.context("no head")? + 4);
    ensure!(
        head.starts_with(b"HTTP/1.1 200 "),
        "the head is {}",
        String::from_utf8_lossy(head)
    );
    Ok(body)
}

/// Has a model serve a small file and a large one while `act` asks for them; and looks at
/// what is left.
fn serving<M: Model>(
    program: &str,
    connections: usize,
    patience: Duration,
    act: impl FnOnce(&Running<'_>) -> Result<()> + Send,
) -> Result<()> {
    let directory = tempfile::tempdir().context("a temporary directory")?;
    fs::write(directory.path().join("small"), "small")?;
    fs::write(directory.path().join("large"), large())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a free port")?;
    let descriptor = format!("/proc/self/fd/{}", listener.as_raw_fd());
    let listening = fs::read_link(descriptor).ok();
    let service = Service::new(listener, directory.path(), connections, patience, None)?;
    let service = Arc::new(service);
    let model = start::<M>(
        program,
        &job(Workload::Serve, &format!("connections={connections}"))?,
    )?;
    let (served, acted) = thread::scope(|scope| {
        let acting = scope.spawn(|| {
            let acted = act(&Running { service: &service });
            service.listening.close();
            acted
        });
        let served = model.serve_files(&service);
        drop(service.listening.listener()); // if it failed before: its clients would wait
        (served, acting.join())
    });
    let acted = acted.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    served.context("the server")?;
    acted?;

    let units = Arc::strong_count(&service) - 1;
    ensure!(units == 0, "{units} of its units have the service still");
    let (address, until) = (service.listening.address(), Instant::now() + FORKED);
    drop(service);
    loop {
        let mut left = open_connections(address);
        left.extend(open_files(directory.path(), listening.as_deref()));
        if left.is_empty() {
            break;
        }
        ensure!(Instant::now() < until, "left open: {left:?}");
        thread::yield_now();
    }
    drop(model);
    Ok(())
}

/// What this process and those below it have open of a directory, and the listener.
fn open_files(directory: &Path, listener: Option<&Path>) -> Vec<String> {
    let own = process::id();
    let mut processes = tree::descendants(own, &[]);
    processes.push(own);
    let links = processes.into_iter().flat_map(|pid| {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"));
        let descriptors = descriptors.into_iter().flatten().flatten();
        descriptors.filter_map(|descriptor| fs::read_link(descriptor.path()).ok())
    });
    let is_left = |link: &PathBuf| link.starts_with(directory) || Some(&**link) == listener;
    links
        .filter(is_left)
        .map(|link| link.display().to_string())
        .collect()
}
