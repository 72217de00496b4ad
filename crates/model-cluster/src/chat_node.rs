//! A node's part of a chat: it serves the members that the parent connects to it.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chat_room::{Received, Rooms, Seat};
use http_head::LINGER;
use rustix::net::sockopt::set_socket_send_buffer_size;
use suite::Result;
use suite::listening::pause_after;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::chat_inbox::{CutOff, Inbox, PAUSE};
use crate::chat_link::{
    ALIVE, ChatTask, DRAINED, Place, Purpose, SEND_BUFFER_BYTES, Serves, greeted, linger,
    until_late,
};
use crate::chat_outbox::{Outbox, Publisher};
use crate::connection::random_hex;
use crate::node::Node;
use crate::protocol::{self, Answer};

/// State that all members on a node share.
struct Chat {
    task: ChatTask,
    rooms: Rooms,
    publisher: Arc<Publisher>,
    /// Becomes true when all members have left.
    left: watch::Receiver<bool>,
}

impl Chat {
    fn has_left(&self) -> bool {
        *self.left.borrow()
    }
}

/// Serves members until the chat ends. If the node has missed messages, it disconnects its members
/// and serves others.
pub(crate) async fn perform(task: ChatTask, node: &Node) -> Result<Answer> {
    loop {
        match serve(&task, node).await {
            Err(error) if error.is::<CutOff>() => {
                eprintln!(
                    "node {}: its members of the chat are cut: {error}",
                    node.name
                );
            }
            served => return served.map(|()| Answer::Done),
        }
        sleep(PAUSE).await;
    }
}

async fn serve(task: &ChatTask, node: &Node) -> Result<()> {
    let consumer = random_hex()?;
    let served = serve_as(&consumer, task, node).await;
    // Without this, the stream would keep messages for this node and block the others, until the
    // parent deletes the consumer. It may be there even if making it has failed.
    let stream = &task.stream;
    let deleted = node.jetstream.delete_consumer_from_stream(consumer, stream);
    let _ = deleted.await;
    served
}

/// Serves members with this consumer.
async fn serve_as(consumer: &str, task: &ChatTask, node: &Node) -> Result<()> {
    let rooms = Rooms::new(task.settings);
    let mut inbox = Inbox::open(task, consumer, &rooms, node).await?;
    let listener = listen(node).await?;
    let serves = Serves {
        node: node.name.clone(),
        consumer: consumer.to_owned(),
        address: listener.local_addr()?,
    };
    let reply = node
        .request(&task.front, protocol::encode(&serves)?)
        .await?;
    let goes_on = reply.map(|reply| protocol::decode::<bool>(&reply.payload));
    if goes_on.transpose()? != Some(true) {
        // The parent has ended, or needs no more members served.
        return Ok(());
    }
    let (over, is_over) = watch::channel(false);
    let (fail, mut failures) = mpsc::unbounded_channel();
    let (leave, left) = watch::channel(false);
    let chat = Arc::new(Chat {
        task: task.clone(),
        rooms,
        publisher: Arc::new(Publisher::new(task, consumer, node, is_over, fail)?),
        left,
    });
    let mut members = JoinSet::new();
    let serving = async {
        let (last, until_last) = watch::channel(u64::MAX);
        let (give, mut controls) = mpsc::channel(1);
        let mut putting = pin!(inbox.put_all(until_last));
        let mut control = tokio::select! {
            put = &mut putting => return put,
            Some(failure) = failures.recv() => return Err(failure),
            error = accept_all(&listener, &chat, &give, &mut members) => {
                return Err(error).context("accepting a connection");
            }
            control = end(&mut controls, &chat.publisher, node.heartbeat) => control?,
        };
        drop(listener);
        let drained = tokio::select! {
            put = &mut putting => return put,
            drained = timeout(LINGER, chat.publisher.drain()) => drained,
        };
        if drained.is_err() {
            // A room waits for a member, or the server is unavailable: the remaining messages are
            // not published.
            over.send_replace(true);
        }
        control.write_u8(DRAINED).await.map_err(parent_gone)?;
        let sequence = tokio::select! {
            put = &mut putting => return put,
            read = control.read_u64() => read.map_err(parent_gone)?,
        };
        last.send_replace(sequence);
        // A room that waits for a member may accept no more messages.
        let _ = timeout(LINGER, putting).await;
        leave.send_replace(true);
        chat.rooms.leave_all();
        let all = async { while members.join_next().await.is_some() {} };
        let _ = timeout(3 * LINGER, all).await;
        Ok(())
    };
    let served = serving.await;
    over.send_replace(true);
    members.shutdown().await;
    served
}

fn parent_gone(_: io::Error) -> CutOff {
    CutOff("the connection to the parent has ended")
}

/// Listens at the address by which the NATS server sees this node, because the parent can reach it
/// there.
async fn listen(node: &Node) -> Result<TcpListener> {
    let seen = node.client.server_info().client_ip;
    let address = seen.parse::<IpAddr>();
    let address = address.with_context(|| format!("the address of this node: {seen:?}"))?;
    let listener = TcpListener::bind((address, 0)).await;
    let listener = listener.with_context(|| {
        format!("listening at {address}, by which the NATS server sees this node")
    })?;
    // Accepted connections inherit this setting.
    set_socket_send_buffer_size(&listener, SEND_BUFFER_BYTES).context("the send buffer")?;
    Ok(listener)
}

/// Starts a task for each connection, until accepting fails. Returns the error.
async fn accept_all(
    listener: &TcpListener,
    chat: &Arc<Chat>,
    controls: &mpsc::Sender<TcpStream>,
    members: &mut JoinSet<()>,
) -> io::Error {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let conversation = converse(stream, chat.clone(), controls.clone());
                members.spawn(async move {
                    // The client notices a broken connection itself.
                    let _ = conversation.await;
                });
            }
            Err(error) => match pause_after(&error) {
                Some(pause) => sleep(pause).await,
                None => return error,
            },
        }
        // Collects ended tasks, so that their results do not pile up.
        while members.try_join_next().is_some() {}
    }
}

/// Waits until the parent announces the end, and tells it in each heartbeat that this node is
/// alive. Returns the control connection.
async fn end(
    controls: &mut mpsc::Receiver<TcpStream>,
    publisher: &Publisher,
    heartbeat: Duration,
) -> Result<TcpStream> {
    let control = controls.recv().await;
    let mut control = control.context("no connection is accepted any more")?;
    let mut beats = interval(heartbeat);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            read = control.read_u8() => {
                read.map_err(parent_gone)?;
                return Ok(control);
            }
            _ = beats.tick() => {}
        }
        // In this order: the parent's patience must not end before the publisher's.
        publisher.go_on()?;
        control.write_u8(ALIVE).await.map_err(parent_gone)?;
    }
}

/// Handles a connection: the control connection, or that of a member, until either end closes it.
async fn converse(
    mut stream: TcpStream,
    chat: Arc<Chat>,
    controls: mpsc::Sender<TcpStream>,
) -> io::Result<()> {
    match greeted(&mut stream, &chat.task.secret).await? {
        Purpose::Control => controls.send(stream).await.map_err(io::Error::other),
        Purpose::Member(place) => {
            serve_member(&mut stream, place, &chat).await?;
            linger(&mut stream).await
        }
    }
}

async fn serve_member(stream: &mut TcpStream, place: Place, chat: &Chat) -> io::Result<()> {
    let Place {
        room,
        number,
        members,
    } = place;
    let seat = chat.rooms.join_as(room, number, members as usize);
    let seat = seat.ok_or(ErrorKind::AlreadyExists)?;
    if chat.has_left() {
        seat.leave(); // as all others have
    }
    let outbox = chat.publisher.outbox(room);
    let mut received = Received::new(chat.task.settings.format);
    let (mut from, mut to) = stream.split();
    let reading = read(&mut from, number, &outbox, &mut received);
    let writing = write(&mut to, &seat, chat.task.patience, chat.left.clone());
    let (mut reading, mut writing) = (pin!(reading), pin!(writing));
    tokio::select! {
        biased;
        read = &mut reading => {
            match read {
                Err(_) if !chat.has_left() => seat.cut(),
                _ => seat.leave(),
            }
            writing.await
        }
        // The member has left, or was cut.
        written = &mut writing => written,
    }
}

/// Publishes what the client sends, until it closes its end.
async fn read(
    from: &mut ReadHalf<'_>,
    number: u32,
    outbox: &Arc<Outbox>,
    received: &mut Received,
) -> io::Result<()> {
    let mut is_over = false;
    loop {
        outbox.say(number, received).await?;
        if is_over {
            return Ok(());
        }
        let read = from.read(received.room()).await?;
        received.filled(read);
        is_over = read == 0;
    }
}

/// Writes the room's messages to the member, until no more will come.
async fn write(
    to: &mut WriteHalf<'_>,
    seat: &Seat,
    patience: Duration,
    left: watch::Receiver<bool>,
) -> io::Result<()> {
    let cut = poll_fn(|context| seat.poll_cut(context));
    let (mut cut, mut late) = (pin!(cut), pin!(until_late(left)));
    let mut buffer = Vec::new();
    while poll_fn(|context| seat.poll_take(context, &mut buffer)).await {
        let written = tokio::select! {
            biased;
            written = timeout(patience, to.write_all(&buffer)) => written.map_err(io::Error::from).flatten(),
            () = &mut cut => Err(ErrorKind::ConnectionAborted.into()),
            () = &mut late => Err(ErrorKind::TimedOut.into()),
        };
        if written.is_err() {
            seat.cut();
            return written;
        }
    }
    Ok(())
}
