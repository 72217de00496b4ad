//! Unit: task of a node, one a member. Shares: a stream of the server, where each room has a
//! subject; each node has the log of its own members. Ends: members are not listened to any more,
//! nodes write what was said until then, and all of them answer.
//!
//! Clients connect to the parent, which assigns each to the node with the fewest members. Each
//! message is published to the stream, and every node, including the sender's, delivers it to its
//! members from there: so all members of a room get all messages in the same order. The stream
//! holds the messages that some node has not yet put into its log, and refuses more than a log of a
//! room holds. If rooms wait for members, a member that does not read therefore delays the senders
//! on all nodes.
//!
//! When a node dies, only its own members are disconnected.

use std::iter;

use anyhow::{Context, bail, ensure};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy};
use suite::chat::Service;
use suite::{Result, Unsupported};
use tokio::sync::watch;

use crate::chat_front::Front;
use crate::chat_link::{ChatTask, Secret, allow_open_files};
pub(crate) use crate::chat_node::perform;
use crate::chat_outbox::most_batches;
use crate::connection::random_hex;
use crate::options::{Options, Storage};
use crate::protocol::{Answer, Task};
use crate::session::{LONGEST_WAIT, Session};
use crate::shares::Shares;

/// The number of files that the parent has open in addition to the connections of the chat.
const OTHER_FILES: u64 = 128;

pub async fn run(service: &Service, session: &mut Session) -> Result<()> {
    refuse_unsafe()?;
    let needed = 2 * service.connections as u64 + OTHER_FILES;
    if let Some(most) = allow_open_files()?.filter(|most| *most < needed) {
        // Each client has one connection to the parent, and one from there to a node.
        let text = format!(
            "{} members need {needed} open files, and this process may have {most} (ulimit -Hn)",
            service.connections
        );
        return Err(Unsupported(text).into());
    }
    // Late messages of an earlier chat have other subjects, so this stream does not store them.
    let chat = random_hex()?;
    let subjects = &session.subjects;
    let task = ChatTask {
        settings: service.settings,
        patience: service.patience,
        secret: Secret::random()?,
        stream: subjects.rooms_stream.clone(),
        rooms: format!("{}.{chat}", subjects.rooms),
        in_memory: session.storage == Storage::Memory,
        front: format!("{}.{chat}", subjects.parent),
    };
    make_stream(&task, session).await?;
    let served = serve(service, &task, session).await;
    // If this fails, the next chat or the end of the session deletes the stream.
    let _ = session.jetstream.delete_stream(&task.stream).await;
    served
}

/// Refuses a chat with `--cluster-ca`: the connections between the parent and its nodes have no
/// TLS.
fn refuse_unsafe() -> Result<()> {
    let has_tls = Options::chosen().secrets().cluster_ca.is_some();
    let text = "with --cluster-ca nothing is to be read by others on its way, and what members \
                say would travel between the parent and its nodes without TLS";
    ensure!(!has_tls, Unsupported(text.to_owned()));
    Ok(())
}

/// Makes an empty stream.
async fn make_stream(task: &ChatTask, session: &Session) -> Result<()> {
    // There is an old stream only if deleting it has failed.
    let _ = session.jetstream.delete_stream(&task.stream).await;
    let stream = session.jetstream.create_stream(Config {
        name: task.stream.clone(),
        subjects: vec![format!("{}.*", task.rooms)],
        // A message that all nodes have acked is removed.
        retention: RetentionPolicy::Interest,
        discard: DiscardPolicy::New,
        discard_new_per_subject: true,
        max_messages_per_subject: most_batches(task.settings.queue) as i64,
        storage: session.storage.into(),
        max_age: LONGEST_WAIT,
        ..Config::default()
    });
    stream.await.context("a stream of the NATS server")?;
    Ok(())
}

async fn serve(service: &Service, task: &ChatTask, session: &mut Session) -> Result<()> {
    let nodes = session.units();
    let mut front = Front::open(task, session).await?;
    let tasks = iter::repeat_n(Task::Chat(task.clone()), nodes);
    let mut workers = Shares::deal(session, tasks).await?;
    let (all, have_answered) = watch::channel(false);
    let answering = async {
        while let Some(answer) = workers.answer().await? {
            match answer {
                Answer::Done if service.listening.is_closing() => {}
                Answer::Done => bail!("a node has ended before the chat"),
                other => return Err(other.unexpected()),
            }
        }
        all.send_replace(true);
        Ok(())
    };
    let fronting = front.serve(service, nodes, have_answered);
    let served = tokio::try_join!(fronting, answering);
    front.close().await;
    served.map(drop)
}
