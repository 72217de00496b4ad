//! Unit: task, one a client; at the server's side one a thread. Shares: at the server's side the
//! socket. Ends: the `JoinSet` drains; the server's, when it is told to end.

use std::io;
use std::net::{self, Ipv4Addr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use suite::Result;
use suite::datagram::{Job, Outcome, Step, Window, is_passing};
use suite::echo::Closing;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep_until};

pub async fn run(job: Job) -> Result<Outcome> {
    let mut sockets = Vec::with_capacity(job.clients);
    for client in 0..job.clients {
        let socket = connect(&job).await;
        sockets.push(socket.with_context(|| job.named(client))?);
    }
    let mut workers = JoinSet::new();
    for (client, socket) in sockets.into_iter().enumerate() {
        let job = job.clone();
        workers.spawn(async move {
            let outcome = talk(&job, client, &socket).await;
            outcome.with_context(|| job.named(client))
        });
    }
    let outcomes = workers.join_all().await;
    let outcomes: Vec<_> = outcomes.into_iter().collect::<Result<_>>()?;
    Ok(Outcome::all(outcomes))
}

async fn connect(job: &Job) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    socket.connect(job.address()).await?;
    Ok(socket)
}

async fn talk(job: &Job, client: usize, socket: &UdpSocket) -> io::Result<Outcome> {
    let mut window = Window::new(job, client);
    let mut timer = pin!(sleep_until(Instant::now().into()));
    loop {
        match window.step(Instant::now()) {
            Step::Send(datagram) => {
                socket.send(datagram).await?;
            }
            Step::Receive(due) => {
                let received = receive(socket, window.room(), due, timer.as_mut()).await?;
                if let Some(bytes) = received {
                    window.received(bytes);
                }
            }
            Step::End => return Ok(window.outcome()),
        }
    }
}

/// None if nothing comes until then. What is there is taken without a wait.
///
/// The timer is set again only when it has gone off: one for each datagram would be a lock each.
async fn receive(
    socket: &UdpSocket,
    room: &mut [u8],
    due: Instant,
    mut timer: Pin<&mut Sleep>,
) -> io::Result<Option<usize>> {
    loop {
        tokio::select! {
            biased;
            received = socket.recv(room) => return received.map(Some),
            () = &mut timer => {}
        }
        if due <= Instant::now() {
            return Ok(None);
        }
        timer.as_mut().reset(due.into());
    }
}

pub async fn serve(socket: net::UdpSocket, job: Job, closing: Closing) -> Result<()> {
    socket.set_nonblocking(true)?;
    let socket = Arc::new(UdpSocket::from_std(socket)?);
    let mut workers = JoinSet::new();
    for _ in 0..job.clients.min(runner::cores()) {
        workers.spawn(echo(socket.clone(), job.bytes, closing.clone()));
    }
    let served = workers.join_all().await;
    let served: io::Result<()> = served.into_iter().collect();
    served.context("receiving")
}

async fn echo(socket: Arc<UdpSocket>, bytes: usize, closing: Closing) -> io::Result<()> {
    let mut room = vec![0; bytes];
    loop {
        match socket.recv_from(&mut room).await {
            Ok((0, _)) if closing.has_begun() => return Ok(()),
            Ok((0, _)) => {}
            // What cannot be sent back is lost.
            Ok((bytes, client)) => drop(socket.send_to(&room[..bytes], client).await),
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error),
        }
    }
}
