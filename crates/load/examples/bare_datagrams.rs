//! What a datagram costs at the least: the system calls of `datagram` at its preset `heavy`, and
//! nothing else. It prints datagrams a second.
//!
//! ```console
//! $ cargo run --release -p load --example bare_datagrams
//! ```
//!
//! Clients are threads with a connected socket each, and send the next datagram when an echo has
//! come. The server is a process of its own with a thread a core, which share its socket. Nothing
//! is checked but the number that came back, and nothing is sent again: if the kernel drops one,
//! it fails.

use std::io::{self, BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::net::sockopt::set_socket_recv_buffer_size;

const CLIENTS: usize = 16;
const DATAGRAMS: u64 = 2_000;
const BYTES: usize = 200;
const WINDOW: u64 = 8;
/// As the job has it: see `suite::datagram`.
const RECEIVE_BUFFER_BYTES: usize = 212_992;
const PATIENCE: Duration = Duration::from_secs(5);
const RUNS: usize = 20;

fn main() -> anyhow::Result<()> {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        return serve();
    }
    let mut server = Command::new(std::env::current_exe()?)
        .arg("serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("the server")?;
    let mut line = String::new();
    let output = server.stdout.take().context("its output")?;
    BufReader::new(output).read_line(&mut line)?;
    let address: SocketAddr = line.trim_end().parse().context("its address")?;
    let mut rates = Vec::new();
    for _ in 0..RUNS {
        let elapsed = run(address)?;
        rates.push(CLIENTS as f64 * DATAGRAMS as f64 / elapsed.as_secs_f64());
    }
    // Its standard input closes, which ends it.
    drop(server.stdin.take());
    server.wait()?;
    rates.sort_by(f64::total_cmp);
    let [least, median, most] = [0, RUNS / 2, RUNS - 1].map(|run| rates[run]);
    println!("{median:.0} datagrams a second (median of {RUNS} runs; {least:.0} to {most:.0})");
    Ok(())
}

/// How long all clients take.
fn run(server: SocketAddr) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let mut sockets = Vec::new();
    for _ in 0..CLIENTS {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("a port")?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        sockets.push(socket);
    }
    thread::scope(|scope| {
        let clients: Vec<_> = sockets
            .iter()
            .map(|socket| scope.spawn(move || talk(socket)))
            .collect();
        for client in clients {
            match client.join() {
                Ok(talked) => talked.context("a datagram is lost, or the server gone")?,
                Err(_) => bail!("a client panicked"),
            }
        }
        Ok(begun.elapsed())
    })
}

fn talk(socket: &UdpSocket) -> io::Result<()> {
    let datagram = [0; BYTES];
    let mut room = [0; BYTES + 1];
    let (mut sent, mut answered) = (0, 0);
    while answered < DATAGRAMS {
        if sent < DATAGRAMS && sent - answered < WINDOW {
            socket.send(&datagram)?;
            sent += 1;
        } else {
            socket.recv(&mut room)?;
            answered += 1;
        }
    }
    Ok(())
}

/// Sends back what comes until standard input ends, and prints its address first.
fn serve() -> anyhow::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("a port")?;
    set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER_BYTES)?;
    println!("{}", socket.local_addr()?);
    for _ in 0..thread::available_parallelism()?.get() {
        let socket = socket.try_clone()?;
        // They end with the process.
        thread::spawn(move || {
            let mut room = [0; BYTES];
            while let Ok((bytes, from)) = socket.recv_from(&mut room) {
                let _ = socket.send_to(&room[..bytes], from);
            }
        });
    }
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
