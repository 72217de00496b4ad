//! Unit: thread, one a client; at the server's side one a core. Shares: at the server's side the
//! socket, borrowed. Ends: the scope joins; the server's, when it is told to end.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::Instant;

use anyhow::Context;
use rustix::net::{RecvFlags, recv};
use suite::Result;
use suite::datagram::{Job, Outcome, Step, Window, is_passing};
use suite::echo::Closing;

use crate::deadlines::is_readable_by;

pub fn run(job: &Job) -> Result<Outcome> {
    let mut sockets = Vec::with_capacity(job.clients);
    for client in 0..job.clients {
        sockets.push(connect(job).with_context(|| job.named(client))?);
    }
    thread::scope(|scope| {
        let workers = sockets
            .into_iter()
            .enumerate()
            .map(|(client, socket)| {
                crate::spawn_small(scope, move || {
                    talk(job, client, &socket).with_context(|| job.named(client))
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let outcomes = workers.into_iter().map(crate::join);
        Ok(Outcome::all(outcomes.collect::<Result<Vec<_>>>()?))
    })
}

fn connect(job: &Job) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(job.address())?;
    Ok(socket)
}

fn talk(job: &Job, client: usize, socket: &UdpSocket) -> io::Result<Outcome> {
    let mut window = Window::new(job, client);
    loop {
        match window.step(Instant::now()) {
            Step::Send(datagram) => {
                socket.send(datagram)?;
            }
            Step::Receive(due) => {
                if let Some(bytes) = receive(socket, window.room(), due)? {
                    window.received(bytes);
                }
            }
            Step::End => return Ok(window.outcome()),
        }
    }
}

/// None if nothing comes until then. What is there is taken without a wait.
fn receive(socket: &UdpSocket, room: &mut [u8], due: Instant) -> io::Result<Option<usize>> {
    loop {
        match recv(socket, &mut *room, RecvFlags::DONTWAIT).map_err(io::Error::from) {
            Ok((bytes, _)) => return Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if due <= Instant::now() || !is_readable_by(socket, due)? {
            return Ok(None);
        }
    }
}

pub fn serve(socket: &UdpSocket, job: &Job, closing: &Closing) -> Result<()> {
    thread::scope(|scope| {
        // This thread is one of them: with fewer than there should be, it only takes longer.
        let workers: Vec<_> = (1..job.clients.min(runner::cores()))
            .filter_map(|_| crate::spawn_small(scope, || echo(socket, job, closing)).ok())
            .collect();
        let served = echo(socket, job, closing);
        let others = workers.into_iter().map(crate::join);
        others.fold(served, io::Result::and).context("receiving")
    })
}

fn echo(socket: &UdpSocket, job: &Job, closing: &Closing) -> io::Result<()> {
    let mut room = vec![0; job.bytes];
    loop {
        match socket.recv_from(&mut room) {
            Ok((0, _)) if closing.has_begun() => return Ok(()),
            Ok((0, _)) => {}
            // What cannot be sent back is lost.
            Ok((bytes, client)) => drop(socket.send_to(&room[..bytes], client)),
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error),
        }
    }
}
