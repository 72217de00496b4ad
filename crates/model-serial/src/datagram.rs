//! Unit: none. Shares: nothing. Ends: the last client does; the server, when it is told to.
//!
//! All sockets are open at once, and one client after the other sends and receives.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Instant;

use anyhow::Context;
use rustix::event::{PollFd, PollFlags};
use rustix::net::{RecvFlags, recv};
use suite::Result;
use suite::datagram::{Job, Outcome, Step, Window, is_passing};
use suite::echo::Closing;

use crate::both_ways::wait;

pub fn run(job: &Job) -> Result<Outcome> {
    let mut sockets = Vec::with_capacity(job.clients);
    for client in 0..job.clients {
        sockets.push(connect(job).with_context(|| job.named(client))?);
    }
    let mut outcomes = Vec::with_capacity(job.clients);
    for (client, socket) in sockets.iter().enumerate() {
        outcomes.push(talk(job, client, socket).with_context(|| job.named(client))?);
    }
    Ok(Outcome::all(outcomes))
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
        // A read timeout would be rounded up to the kernel's ticks.
        if due <= Instant::now() || !wait(&mut [PollFd::new(socket, PollFlags::IN)], due)? {
            return Ok(None);
        }
    }
}

pub fn serve(socket: &UdpSocket, job: &Job, closing: &Closing) -> Result<()> {
    echo(socket, job, closing).context("receiving")
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
