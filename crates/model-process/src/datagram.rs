//! Unit: child process, one a client; at the server's side one a core. Shares: at the server's
//! side the socket. Ends: every client has answered; the server, when it is told to.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use anyhow::Context;
use rustix::event::{PollFd, PollFlags};
use rustix::net::{RecvFlags, recv};
use suite::Result;
use suite::datagram::{Job, Outcome, Step, Window, is_passing};
use suite::echo::Closing;

use crate::both_ways::wait;
use crate::pool::protocol::DatagramTask;
use crate::pool::{Answer, Children, Task, WorkerContext, fd_passing};
use crate::server;
use crate::shm::futex::Word;

pub fn run(job: &Job, children: &mut Children) -> Result<Outcome> {
    // Each attempt is a run of its own, or echoes of the one before would count.
    let run = Cell::new(job.run);
    children.run_all_or_retry(job.clients, |children| {
        children.memory.connected.store(0, Relaxed);
        for client in 0..job.clients {
            let task = DatagramTask::Talk {
                job: job.clone(),
                client,
                address: job.address(),
                run: run.get(),
            };
            children.send(client, Task::Datagram(task))?;
        }
        run.set(run.get().wrapping_add(1));
        let mut outcomes = Vec::with_capacity(job.clients);
        for _ in 0..job.clients {
            match children.answer()? {
                Answer::Datagram(outcome) => outcomes.push(outcome),
                other => return Err(other.unexpected()),
            }
        }
        Ok(Outcome::all(outcomes))
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
        // A read timeout would be rounded up to the kernel's ticks.
        if due <= Instant::now() || !wait(&mut [PollFd::new(socket, PollFlags::IN)], due)? {
            return Ok(None);
        }
    }
}

pub fn serve(
    socket: &UdpSocket,
    job: &Job,
    closing: &Closing,
    children: &mut Children,
) -> Result<()> {
    let units = job.clients.min(runner::cores());
    let task = || Task::Datagram(DatagramTask::Serve { bytes: job.bytes });
    server::keep_running(socket, units, &task, closing, children)
}

pub(crate) fn perform(task: DatagramTask, context: &WorkerContext) -> Result<Answer> {
    match task {
        DatagramTask::Talk {
            job,
            client,
            address,
            run,
        } => {
            let address = Some(address);
            let job = Job {
                address,
                run,
                ..job
            };
            let socket = connect(&job);
            let socket = socket.with_context(|| job.named(client))?;
            context.memory.connected.meet(job.clients as u32);
            let outcome = talk(&job, client, &socket);
            Ok(Answer::Datagram(
                outcome.with_context(|| job.named(client))?,
            ))
        }
        DatagramTask::Serve { bytes } => {
            let socket = UdpSocket::from(fd_passing::copy().context("no socket")?);
            echo(&socket, bytes).context("receiving")?;
            Ok(Answer::Done)
        }
    }
}

/// Until an empty datagram comes: the parent is told whether the end has begun.
fn echo(socket: &UdpSocket, bytes: usize) -> io::Result<()> {
    let mut room = vec![0; bytes];
    loop {
        match socket.recv_from(&mut room) {
            Ok((0, _)) => return Ok(()),
            // What cannot be sent back is lost.
            Ok((bytes, client)) => drop(socket.send_to(&room[..bytes], client)),
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error),
        }
    }
}
