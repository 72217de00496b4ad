//! The front of a chat, in the parent: a load balancer that accepts clients and assigns them to
//! nodes.

use std::collections::HashSet;
use std::future::pending;
use std::io::{self, ErrorKind};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use async_nats::{Client, Message, Subscriber};
use futures_lite::StreamExt;
use http_head::LINGER;
use suite::Result;
use suite::chat::Service;
use suite::listening::pause_after;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::chat_carry::carry;
use crate::chat_directory::{Directory, Serving};
use crate::chat_link::{self, ALIVE, ChatTask, DRAIN, Purpose, Serves, until, until_late};
use crate::protocol;
use crate::session::Session;
use crate::session::silence::LONGEST_SILENCE;

pub(crate) struct Front {
    directory: Arc<Directory>,
    client: Client,
    /// A node without a sign of life for this time is given up.
    longest_silence: Duration,
    /// Nodes announce here that they serve.
    serving: Subscriber,
    /// Nodes that have announced themselves. One that did not receive the reply does so again.
    known: HashSet<String>,
    /// A task for each node. At the end it returns the control connection, if it is still open.
    nodes: JoinSet<Result<Option<Control>>>,
    /// The control connections that these tasks have returned.
    controls: Vec<Control>,
    /// A task for each client.
    clients: JoinSet<()>,
}

/// The control connection to a node, which lasts as long as the chat.
struct Control {
    stream: TcpStream,
    /// When it is dropped, the node's members are cut.
    _gone: watch::Sender<bool>,
}

impl Control {
    /// Waits until the node is gone, or silent for too long. Returns what has happened.
    async fn gone(&mut self, longest_silence: Duration) -> io::Error {
        loop {
            match timeout(longest_silence, self.stream.read_u8()).await {
                Ok(Ok(ALIVE)) => {}
                // The node sends nothing else before the end.
                Ok(Ok(_)) => return ErrorKind::InvalidData.into(),
                Ok(Err(error)) => return error,
                Err(_) => {
                    let text = format!("no sign of life for {longest_silence:?}");
                    return io::Error::new(ErrorKind::TimedOut, text);
                }
            }
        }
    }

    /// Reads the node's answer, which comes after its last sign of life.
    async fn answer(&mut self) -> io::Result<u8> {
        loop {
            match self.stream.read_u8().await? {
                ALIVE => {}
                answer => return Ok(answer),
            }
        }
    }

    /// Waits until the node closes the connection.
    async fn ended(&mut self) {
        while self.stream.read_u8().await.is_ok() {}
    }
}

impl Front {
    /// Listens for nodes that serve this chat.
    pub(crate) async fn open(task: &ChatTask, session: &Session) -> Result<Self> {
        Ok(Self {
            directory: Arc::new(Directory::new(task.clone(), session.jetstream.clone())),
            client: session.client.clone(),
            longest_silence: LONGEST_SILENCE * session.ack_wait,
            serving: session.client.subscribe(task.front.clone()).await?,
            known: HashSet::new(),
            nodes: JoinSet::new(),
            controls: Vec::new(),
            clients: JoinSet::new(),
        })
    }

    /// Assigns clients to nodes, once `nodes` of them serve, until the chat is closed. Then waits
    /// until members have received everything that was said, and all nodes have answered.
    pub(crate) async fn serve(
        &mut self,
        service: &Service,
        nodes: usize,
        have_answered: watch::Receiver<bool>,
    ) -> Result<()> {
        let (close, is_closed) = watch::channel(false);
        let close = move || {
            close.send_replace(true);
        };
        service.listening.on_close(close);
        let listener = service.listening.listener()?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let places = Arc::new(Semaphore::new(service.connections));
        let mut serving = self.directory.nodes.subscribe();
        let mut are_there = false;
        let accepted = loop {
            tokio::select! {
                accepted = accept(&listener, &places), if are_there => match accepted {
                    Ok((stream, place)) => {
                        let carried = carry(stream, self.directory.clone(), is_closed.clone());
                        self.clients.spawn(async move {
                            // The client notices a broken connection itself.
                            let _ = carried.await;
                            drop(place);
                        });
                    }
                    Err(error) => match pause_after(&error) {
                        Some(pause) => sleep(pause).await,
                        None => break Err(error),
                    },
                },
                Some(message) = self.serving.next() => self.register(&message, &is_closed).await?,
                _ = serving.changed(), if !are_there => {
                    are_there = serving.borrow_and_update().len() >= nodes;
                }
                Some(ended) = self.nodes.join_next() => match ended {
                    // A node that cannot be reached. Once all serve, the others do without.
                    Ok(Err(error)) if !are_there => return Err(error),
                    Ok(Ok(control)) => self.controls.extend(control),
                    _ => {}
                },
                () = until(is_closed.clone()) => break Ok(()),
            }
            // Collects ended tasks, so that their results do not pile up.
            while self.clients.try_join_next().is_some() {}
        };
        drop(listener); // or clients that are not accepted would wait for the others
        accepted.context("accepting a connection")?;
        self.end().await;
        // A node that could not be told waits for the end. Without its consumer it announces itself
        // again, and is refused.
        let (directory, known) = (self.directory.clone(), mem::take(&mut self.known));
        let releasing = async {
            for consumer in &known {
                directory.release(consumer).await;
            }
            pending().await
        };
        tokio::select! {
            refused = self.refuse() => refused,
            () = until(have_answered) => Ok(()),
            never = releasing => never,
        }
    }

    /// Registers a node that serves.
    async fn register(
        &mut self,
        message: &Message,
        is_closed: &watch::Receiver<bool>,
    ) -> Result<()> {
        let serves: Serves = protocol::decode(&message.payload)?;
        if self.known.insert(serves.consumer.clone()) {
            let directory = self.directory.clone();
            let followed = follow(serves, directory, self.longest_silence, is_closed.clone());
            self.nodes.spawn(followed);
        }
        self.reply(message, true).await
    }

    /// Tells nodes that announce themselves that the chat is over.
    async fn refuse(&mut self) -> Result<()> {
        while let Some(message) = self.serving.next().await {
            self.reply(&message, false).await?;
        }
        bail!("the connection to the NATS server has ended")
    }

    async fn reply(&self, message: &Message, goes_on: bool) -> Result<()> {
        if let Some(reply) = message.reply.clone() {
            let goes_on = protocol::encode(&goes_on)?;
            self.client.publish(reply, goes_on.into()).await?;
        }
        Ok(())
    }

    /// Ends the chat: members receive everything that was said until now, and nothing more.
    async fn end(&mut self) {
        let mut controls = mem::take(&mut self.controls);
        while let Some(ended) = self.nodes.join_next().await {
            controls.extend(ended.ok().and_then(Result::ok).flatten());
        }
        // A write fails if the node has just died. The others continue without it.
        for control in &mut controls {
            let _ = control.stream.write_u8(DRAIN).await;
        }
        let deadline = Instant::now() + 3 * LINGER;
        for control in &mut controls {
            let _ = timeout_at(deadline, control.answer()).await;
        }
        // Everything that was said is in the stream by now.
        let last = self.directory.last_sequence().await.unwrap_or_else(|| {
            eprintln!("chat: the NATS server does not answer: members may miss what was said last");
            // Nodes then put what comes within some time.
            u64::MAX
        });
        for control in &mut controls {
            let _ = control.stream.write_u64(last).await;
        }
        // A node needs time to write the last messages, and to close its connections.
        let deadline = Instant::now() + 6 * LINGER;
        for control in &mut controls {
            let _ = timeout_at(deadline, control.ended()).await;
        }
        let clients = async { while self.clients.join_next().await.is_some() {} };
        let _ = timeout(2 * LINGER, clients).await;
    }

    /// Closes all remaining connections.
    pub(crate) async fn close(mut self) {
        self.nodes.shutdown().await;
        self.clients.shutdown().await;
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, impl Drop + use<>)> {
    let place = places.clone().acquire_owned().await;
    let place = place.map_err(io::Error::other)?;
    Ok((listener.accept().await?.0, place))
}

/// Registers a node, and watches it until it is gone or the chat is closed. Returns the control
/// connection if the chat was closed.
///
/// # Errors
///
/// If the node cannot be reached. One that has served and is gone is no error: another takes its
/// place.
async fn follow(
    serves: Serves,
    directory: Arc<Directory>,
    longest_silence: Duration,
    is_closed: watch::Receiver<bool>,
) -> Result<Option<Control>> {
    let Serves {
        node,
        consumer,
        address,
    } = &serves;
    let connecting = chat_link::connect(*address, &directory.task.secret, Purpose::Control);
    let connected = tokio::select! {
        connected = connecting => connected,
        () = until_late(is_closed.clone()) => Err(ErrorKind::TimedOut.into()),
    };
    let (error, has_served) = match connected {
        Ok(stream) => {
            let (gone, is_gone) = watch::channel(false);
            let mut control = Control {
                stream,
                _gone: gone,
            };
            directory.add(Serving {
                consumer: consumer.clone(),
                address: *address,
                members: 0,
                is_gone,
            });
            tokio::select! {
                error = control.gone(longest_silence) => (error, true),
                () = until(is_closed.clone()) => return Ok(Some(control)),
            }
        }
        Err(error) => (error, false),
    };
    eprintln!("chat: node {node} at {address} is gone: {error}");
    directory.remove(consumer);
    // Otherwise the stream would keep messages for this node, and block the others.
    tokio::select! {
        () = directory.release(consumer) => {}
        () = until_late(is_closed) => {}
    }
    match has_served {
        true => Ok(None),
        false => Err(error).with_context(|| format!("node {node} at {address}")),
    }
}
