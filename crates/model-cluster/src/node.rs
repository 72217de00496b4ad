//! A node: it connects to a parent, pulls shares, works on them, answers and acks.

use std::env;
use std::ops::ControlFlow;
use std::process::{self, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use async_nats::RequestErrorKind;
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::kv::Store;
use async_nats::jetstream::{self, AckKind, Message};
use clap::{Parser, ValueEnum};
use futures_lite::StreamExt;
use http_hyper::Idle;
use rustix::process::{Signal, getpid, kill_process, set_parent_process_death_signal};
use suite::Result;
use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

use crate::chat_link::allow_open_files;
use crate::connection::Access;
use crate::http::Client;
use crate::options::{Secrets, without_secrets};
use crate::protocol::{
    self, Answer, CONSUMER, HELLO, Hello, Piece, REVISION, Said, Share, ShareId, Subjects, Task,
    WANTED, Welcome, What,
};
use crate::{
    chat, counter, deadlines, download, exchange, fetch, files, offload, ping_pong, pipeline,
    primes, scan, spawn, thumbnails,
};

/// How long a pull request waits for a share before the node sends a new one. A server that was
/// restarted does not know earlier requests.
const PULL: Duration = Duration::from_secs(2);

/// How often a node looks for a parent. It also does so when a parent announces that it needs
/// nodes.
const ASK_INTERVAL: Duration = Duration::from_secs(5);

/// How long after `PULL` the node still waits for the server's reply.
const LATE: Duration = Duration::from_secs(1);

/// The pause before the node retries what the server has refused.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a parent may be absent before the node treats its session as ended.
const LONGEST_ABSENCE: Duration = Duration::from_secs(10);

/// A node of the cluster model: works on what a parent deals through a NATS server, for one
/// parent after the other, until it is ended.
#[derive(Parser, Debug)]
#[command(name = "model-cluster node", version)]
struct Args {
    /// The server, such as nats://192.0.2.7:4222
    #[arg(long, value_name = "URL", value_parser = without_secrets)]
    server: String,

    #[command(flatten)]
    secrets: Secrets,

    /// Its name, which no other node has [default: the host's and the process's]
    #[arg(long)]
    name: Option<String>,

    /// End with the parent that has started it
    #[arg(long, hide = true)]
    own: bool,

    /// For tests: be killed there
    #[arg(long, hide = true)]
    die_at: Option<Point>,
}

/// Points where a node can kill itself, for tests.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    BeforeWork,
    AfterAnswer,
    AfterAck,
}

/// Runs as a node until it ends. Errors are printed to standard error.
pub fn main() -> ExitCode {
    let args = Args::parse_from(env::args_os().skip(1));
    match start(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("node: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(args: Args) -> Result<()> {
    if args.own {
        // If the parent has already ended, so has its server, and the connection below fails.
        set_parent_process_death_signal(Some(Signal::KILL))?;
    }
    // Each connection of a job needs one, and each member of a chat.
    allow_open_files()?;
    // Work that needs a core runs on other threads. This one handles the connection and the
    // heartbeats.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(args))
}

async fn serve(args: Args) -> Result<()> {
    let access = Access::given(&args.server, &args.secrets)?;
    let (connected, connections) = watch::channel(());
    let connected = move || connected.send_replace(());
    let client = access.connect("paces node", connected).await?;
    let name = args.name.unwrap_or_else(|| {
        let host = rustix::system::uname();
        let host = host.nodename().to_string_lossy().into_owned();
        format!("{host}:{}", process::id())
    });
    loop {
        let (session, slots, heartbeat) = find(&client, &name, args.own).await?;
        let node = Node {
            name: name.clone(),
            client: client.clone(),
            jetstream: jetstream::new(client.clone()),
            connections: connections.clone(),
            subjects: Subjects::of(&session),
            heartbeat,
            die_at: args.die_at,
            http: Client {
                idle: Idle::new(slots),
            },
            downloads: download::node::Downloads::default(),
        };
        let worked = node.work(slots).await;
        if args.own {
            return worked;
        }
        if let Err(error) = worked {
            eprintln!("node: {error:#}");
        }
    }
}

/// Looks for a parent until one answers. Returns the session's name, the number of slots, and the
/// heartbeat interval.
async fn find(
    client: &async_nats::Client,
    name: &str,
    own: bool,
) -> Result<(String, usize, Duration)> {
    let mut wanted = client.subscribe(WANTED).await?;
    let hello = serde_json::to_vec(&Hello {
        node: name.to_owned(),
        revision: REVISION.to_owned(),
    })?;
    loop {
        if let Ok(reply) = client.request(HELLO, hello.clone().into()).await {
            match serde_json::from_slice(&reply.payload).context("a parent's welcome")? {
                Welcome::Session {
                    name,
                    slots,
                    heartbeat_ms,
                } => return Ok((name, slots, Duration::from_millis(heartbeat_ms))),
                Welcome::Refused { revision } => {
                    let refused = anyhow!(
                        "the parent is of revision {revision}, and this node of {REVISION}: refused"
                    );
                    if own {
                        return Err(refused);
                    }
                    eprintln!("node: {refused}");
                }
            }
        }
        // The announcement that nodes are needed can be lost, so the node also asks regularly.
        let _ = timeout(ASK_INTERVAL, wanted.next()).await;
    }
}

/// A node in a session.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) client: async_nats::Client,
    pub(crate) jetstream: jetstream::Context,
    pub(crate) subjects: Subjects,
    /// Changes whenever the connection has been made again.
    pub(crate) connections: watch::Receiver<()>,
    pub(crate) heartbeat: Duration,
    die_at: Option<Point>,
    pub(crate) http: Client,
    pub(crate) downloads: download::node::Downloads,
}

impl Node {
    /// Works on the session's shares until the session ends.
    async fn work(self, slots: usize) -> Result<()> {
        let mut end = self.client.subscribe(self.subjects.end.clone()).await?;
        let stream = &self.subjects.stream;
        let consumer = self
            .jetstream
            .get_consumer_from_stream(CONSUMER, stream)
            .await;
        let consumer: PullConsumer = consumer.context("the session's consumer")?;
        let node = Arc::new(self);
        if !node.tell(What::Ready).await? {
            return Ok(());
        }
        let mut working = JoinSet::new();
        for _ in 0..slots {
            let (node, consumer) = (node.clone(), consumer.clone());
            working.spawn(async move { node.pull_all(&consumer).await });
        }
        working.spawn(async move { node.stay_in_touch().await });
        let ended = tokio::select! {
            _ = end.next() => Ok(()),
            Some(ended) = working.join_next() => ended.context("a slot has ended early")?,
        };
        working.shutdown().await;
        ended
    }

    /// Tells the parent regularly that the node is ready, until there is no parent.
    async fn stay_in_touch(&self) -> Result<()> {
        while self.tell(What::Ready).await? {
            sleep(self.heartbeat).await;
        }
        Ok(())
    }

    /// Runs a slot: one share after the other, until the session has ended.
    async fn pull_all(self: Arc<Self>, consumer: &PullConsumer) -> Result<()> {
        let mut connections = self.connections.clone();
        loop {
            connections.mark_unchanged();
            let pulled = tokio::select! {
                pulled = pull(consumer) => pulled,
                // The server may have lost the pull request.
                _ = connections.changed() => continue,
            };
            match pulled {
                Ok(Some(message)) => match self.perform(message).await? {
                    // The server confirms it while the next share is pulled.
                    ControlFlow::Continue(Some(message)) => {
                        tokio::spawn(self.clone().ack(message));
                    }
                    ControlFlow::Continue(None) => {}
                    ControlFlow::Break(()) => return Ok(()),
                },
                Ok(None) => {}
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    /// Acks a share, and waits until the server confirms the ack. If the ack is lost, the share is
    /// delivered and answered again, and that answer is not counted.
    async fn ack(self: Arc<Self>, answered: Message) {
        if let Some(reply) = answered.message.reply {
            let _ = self.client.request(reply, AckKind::Ack.into()).await;
            self.die_at(Point::AfterAck);
        }
    }

    /// Works on a share and answers it. Returns the message if it still has to be acked. Breaks if
    /// there is no parent any more.
    async fn perform(&self, message: Message) -> Result<ControlFlow<(), Option<Message>>> {
        let deliveries = message.info().map_err(protocol::boxed)?.delivered;
        let Share { id, task } = protocol::decode(&message.payload)?;
        if let Task::Download(_) = task {
            self.die_at(Point::BeforeWork);
            return Ok(match download::node::perform(&message, id, self).await? {
                true => ControlFlow::Continue(None),
                false => ControlFlow::Break(()),
            });
        }
        let taken = protocol::encode(&self.says(What::Taken(id)))?;
        let parent = self.subjects.parent.clone();
        self.client.publish(parent, taken.into()).await?;
        self.die_at(Point::BeforeWork);
        let answering = async {
            let result = self.carry_out(task, id).await;
            self.tell(What::Answered {
                id,
                deliveries: deliveries.unsigned_abs(),
                result: result.map_err(|error| format!("{error:#}")),
            })
            .await
        };
        let heard = self.beat(&message, answering).await?;
        self.die_at(Point::AfterAnswer);
        Ok(match heard {
            true => ControlFlow::Continue(Some(message)),
            // No ack: if the parent comes back, it does not have the answer.
            false => ControlFlow::Break(()),
        })
    }

    /// Sends regular heartbeats to the server while a share is being worked on.
    async fn beat<T>(&self, message: &Message, working: impl Future<Output = T>) -> T {
        let mut beats = interval_at(Instant::now() + self.heartbeat, self.heartbeat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(working);
        loop {
            tokio::select! {
                done = &mut working => return done,
                // If heartbeats are lost, the share is also delivered to another node.
                _ = beats.tick() => drop(message.ack_with(AckKind::Progress).await),
            }
        }
    }

    pub(crate) fn says(&self, what: What) -> Said {
        Said {
            node: self.name.clone(),
            what,
        }
    }

    /// Sends a message to the parent until it confirms. Returns `false` if there is no parent and
    /// none comes back in time: the session has ended.
    pub(crate) async fn tell(&self, what: What) -> Result<bool> {
        Ok(self.ask(what).await?.is_some())
    }

    /// Like [`tell`](Self::tell), but returns the parent's reply, or `None` if there is no parent.
    pub(crate) async fn ask(&self, what: What) -> Result<Option<async_nats::Message>> {
        let said = protocol::encode(&self.says(what))?;
        self.request(&self.subjects.parent, said).await
    }

    /// Like [`ask`](Self::ask), at another subject of the parent.
    pub(crate) async fn request(
        &self,
        subject: &str,
        said: Vec<u8>,
    ) -> Result<Option<async_nats::Message>> {
        let mut gone_since = None;
        loop {
            let subject = subject.to_owned();
            match self.client.request(subject, said.clone().into()).await {
                Ok(reply) => return Ok(Some(reply)),
                Err(error) if error.kind() == RequestErrorKind::NoResponders => {
                    let now = Instant::now();
                    if now - *gone_since.get_or_insert(now) > LONGEST_ABSENCE {
                        return Ok(None);
                    }
                    sleep(PAUSE).await;
                }
                // The connection is down, or the parent process is stopped.
                Err(error) if error.kind() == RequestErrorKind::TimedOut => gone_since = None,
                Err(error) => return Err(error).context("a message to the parent"),
            }
        }
    }

    /// Performs the task of a share.
    async fn carry_out(&self, task: Task, id: ShareId) -> Result<Answer> {
        match task {
            Task::Primes(range) => unblock(move || primes::perform(range)).await,
            Task::Fetch(url) => fetch::perform(&url, &self.http).await,
            Task::Offload(job) => unblock(move || offload::perform(&job)).await,
            Task::Spawn(unit) => Ok(spawn::perform(unit)),
            Task::Branch(branch) => spawn::perform_branch(branch, id, self).await,
            Task::Files(files) => files::perform(files, self).await,
            Task::Thumbnail { file, edge } => thumbnails::perform(file, edge, self).await,
            Task::Scan(task) => scan::perform(task).await,
            Task::PingPong(job, unit) => ping_pong::perform(&job, unit, id, self).await,
            Task::Counter(job, unit) => counter::perform(&job, unit, id, self).await,
            Task::Chat(task) => chat::perform(task, self).await,
            Task::Write(job) => exchange::write(&job, id, self).await,
            Task::Read => exchange::read(id, self).await,
            Task::Download(name) => Err(anyhow!("{name} is not downloaded in one go")),
            Task::Produce(job, producer) => pipeline::produce(&job, producer, id, self).await,
            Task::Consume(job) => pipeline::consume(&job, id, self).await,
            Task::Deadlines(part) => deadlines::perform(&part, id, self).await,
        }
    }

    /// The key-value bucket where units keep shared data on the server.
    pub(crate) async fn bucket(&self) -> Result<Store> {
        let bucket = &self.subjects.bucket;
        Ok(self.jetstream.get_key_value(bucket).await?)
    }

    /// Asks the parent for a piece of a file in its list.
    pub(crate) async fn piece(&self, place: usize, offset: u64) -> Result<Piece> {
        let piece = self.ask(What::NeedsPiece { place, offset }).await?;
        let piece = piece.context("the parent is gone, which has the file")?;
        protocol::decode(&piece.payload)
    }

    pub(crate) fn die_at(&self, point: Point) {
        if self.die_at == Some(point) {
            let _ = kill_process(getpid(), Signal::KILL);
        }
    }
}

/// Pulls the next share; `None` if there is none within the waiting time.
async fn pull(consumer: &PullConsumer) -> Result<Option<Message>> {
    let pulling = consumer.batch().max_messages(1).expires(PULL).messages();
    let mut pulled = pulling.await?;
    match timeout(PULL + LATE, pulled.next()).await {
        Ok(pulled) => pulled.transpose().map_err(protocol::boxed),
        Err(_) => Ok(None),
    }
}

/// Runs a blocking or compute-intensive call on another thread.
pub(crate) async fn unblock<T: Send + 'static>(
    call: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let called = tokio::task::spawn_blocking(call).await;
    called.context("the work has panicked")
}
