//! The front of a chat, in the parent: clients connect to it, and it gives them to nodes, as a load
//! balancer does.

use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::sync::Arc;

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
use crate::chat_link::{self, ChatTask, DRAIN, Purpose, Serves, until, until_late};
use crate::protocol;
use crate::session::Session;

pub(crate) struct Front {
    directory: Arc<Directory>,
    client: Client,
    /// Nodes say here that they serve.
    serving: Subscriber,
    /// Those that have said so: one that has not heard the reply says it again.
    known: HashSet<String>,
    /// A task for each, which gives the connection to it, if that is still there at the end.
    nodes: JoinSet<Result<Option<Control>>>,
    /// A task for each client.
    clients: JoinSet<()>,
}

/// The connection to a node that lasts as long as the chat.
struct Control {
    stream: TcpStream,
    /// When it is dropped, the node's members are cut.
    _gone: watch::Sender<bool>,
}

impl Front {
    /// Lets nodes say that they serve this.
    pub(crate) async fn open(task: &ChatTask, session: &Session) -> Result<Self> {
        Ok(Self {
            directory: Arc::new(Directory::new(task.clone(), session.jetstream.clone())),
            client: session.client.clone(),
            serving: session.client.subscribe(task.front.clone()).await?,
            known: HashSet::new(),
            nodes: JoinSet::new(),
            clients: JoinSet::new(),
        })
    }

    /// Gives clients to nodes, once so many of these serve, until the end begins. Then waits until
    /// members have what was said, and all nodes have answered.
    pub(crate) async fn serve(
        &mut self,
        service: &Service,
        nodes: usize,
        have_answered: watch::Receiver<bool>,
    ) -> Result<()> {
        let (close, is_closed) = watch::channel(false);
        let close = move || drop(close.send(true));
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
                            // What breaks is the client's to tell.
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
                    // Later, the others go on without it.
                    Ok(Err(error)) if !are_there => return Err(error),
                    _ => {}
                },
                () = until(is_closed.clone()) => break Ok(()),
            }
            // Or what is left of those that have ended would pile up.
            while self.clients.try_join_next().is_some() {}
        };
        drop(listener); // or clients that are not accepted would wait for the others
        accepted.context("accepting a connection")?;
        self.end().await;
        tokio::select! {
            refused = self.refuse() => refused,
            () = until(have_answered) => Ok(()),
        }
    }

    /// A node says that it serves.
    async fn register(
        &mut self,
        message: &Message,
        is_closed: &watch::Receiver<bool>,
    ) -> Result<()> {
        let serves: Serves = protocol::decode(&message.payload)?;
        if self.known.insert(serves.consumer.clone()) {
            let followed = follow(serves, self.directory.clone(), is_closed.clone());
            self.nodes.spawn(followed);
        }
        self.reply(message, true).await
    }

    /// Tells nodes that say they serve that it is over.
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

    /// Has members get what was said, and no more.
    async fn end(&mut self) {
        let mut controls = Vec::new();
        while let Some(ended) = self.nodes.join_next().await {
            controls.extend(ended.ok().and_then(Result::ok).flatten());
        }
        // One that fails is of a node that has just died: the others go on without it.
        for control in &mut controls {
            let _ = control.stream.write_u8(DRAIN).await;
        }
        let deadline = Instant::now() + 3 * LINGER;
        for control in &mut controls {
            let _ = timeout_at(deadline, control.stream.read_u8()).await;
        }
        // All that is to be said is in the stream by now. If the server is away, nothing can come.
        let last = self.directory.last_sequence().await.unwrap_or_default();
        for control in &mut controls {
            let _ = control.stream.write_u64(last).await;
        }
        // A node takes some time to write this, and some to end its connections.
        let deadline = Instant::now() + 6 * LINGER;
        for control in &mut controls {
            let _ = timeout_at(deadline, control.stream.read_u8()).await;
        }
        let clients = async { while self.clients.join_next().await.is_some() {} };
        let _ = timeout(2 * LINGER, clients).await;
    }

    /// Ends all connections that are left.
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

/// Has a node serve members until it is gone, or the end begins: then gives the connection to it.
async fn follow(
    serves: Serves,
    directory: Arc<Directory>,
    is_closed: watch::Receiver<bool>,
) -> Result<Option<Control>> {
    let Serves {
        node,
        consumer,
        address,
    } = &serves;
    let serving = async {
        let (gone, is_gone) = watch::channel(false);
        let secret = &directory.task.secret;
        let mut stream = chat_link::connect(*address, secret, Purpose::Control).await?;
        directory.add(Serving {
            consumer: consumer.clone(),
            address: *address,
            members: 0,
            is_gone,
        });
        tokio::select! {
            // It says nothing before the end.
            read = stream.read_u8() => Err(read.err().unwrap_or(ErrorKind::InvalidData.into())),
            () = until(is_closed.clone()) => Ok(Control {
                stream,
                _gone: gone,
            }),
        }
    };
    let error = tokio::select! {
        served = serving => match served {
            Ok(control) => return Ok(Some(control)),
            Err(error) => error,
        },
        // It is still to be connected to.
        () = until_late(is_closed.clone()) => return Ok(None),
    };
    eprintln!("chat: node {node} at {address} is gone: {error}");
    directory.remove(consumer);
    // Or the others would wait until it has what they say.
    tokio::select! {
        () = directory.release(consumer) => {}
        () = until(is_closed) => {}
    }
    Err(error).with_context(|| format!("node {node} at {address}"))
}
