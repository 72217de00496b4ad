//! Unit: task, one a client; at the server's side one a thread. Shares: at the server's side the
//! socket. Ends: every task is awaited; the server's, when it is told to end.

use std::net::{self, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use async_std::net::UdpSocket;
use async_std::{io, task};
use futures_lite::future::or;
use suite::Result;
use suite::datagram::{Job, Outcome, Step, Window, is_passing};
use suite::echo::Closing;

/// A timer that is put in the place of another when that has gone off.
type Timer = Pin<Box<dyn Future<Output = ()> + Send>>;

pub async fn run(job: Job) -> Result<Outcome> {
    let mut sockets = Vec::with_capacity(job.clients);
    for client in 0..job.clients {
        let socket = connect(&job).await;
        sockets.push(socket.with_context(|| job.named(client))?);
    }
    let workers: Vec<_> = sockets
        .into_iter()
        .enumerate()
        .map(|(client, socket)| {
            let job = job.clone();
            task::spawn(async move {
                let outcome = talk(&job, client, &socket).await;
                outcome.with_context(|| job.named(client))
            })
        })
        .collect();
    let outcomes = crate::join_all(workers).await;
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
    let mut timer: Timer = Box::pin(task::sleep(Duration::ZERO));
    loop {
        match window.step(Instant::now()) {
            Step::Send(datagram) => {
                socket.send(datagram).await?;
            }
            Step::Receive(due) => {
                let received = receive(socket, window.room(), due, &mut timer).await?;
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
/// The timer is set again only when it has gone off: one for each datagram would wake the reactor
/// each time.
async fn receive(
    socket: &UdpSocket,
    room: &mut [u8],
    due: Instant,
    timer: &mut Timer,
) -> io::Result<Option<usize>> {
    let received = async { socket.recv(room).await.map(Some) };
    let late = async {
        loop {
            timer.as_mut().await;
            let left = due.saturating_duration_since(Instant::now());
            *timer = Box::pin(task::sleep(left));
            if left.is_zero() {
                return Ok(None);
            }
        }
    };
    or(received, late).await
}

pub async fn serve(socket: net::UdpSocket, job: Job, closing: Closing) -> Result<()> {
    let socket = Arc::new(UdpSocket::from(socket));
    let workers = (0..job.clients.min(runner::cores()))
        .map(|_| task::spawn(echo(socket.clone(), job.bytes, closing.clone())))
        .collect();
    let served = crate::join_all(workers).await;
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
