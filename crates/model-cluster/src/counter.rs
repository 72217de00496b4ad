//! Unit: slot of a node. Shares: a key of the server's store, or a unit that owns the counter.
//! Ends: every unit has answered.

use anyhow::{Context, ensure};
use async_nats::jetstream::kv::{Store, UpdateErrorKind};
use suite::counter::{Guard, Job, Outcome};
use suite::{PhaseClock, Result, Unsupported};

use crate::node::Node;
use crate::peers::{self, Lost, Peers};
use crate::protocol::{Answer, ShareId, Task};
use crate::session::Session;

/// Additions are made one after the other, and each takes some tenths of a millisecond.
const MOST_ADDITIONS: u64 = 10_000;

/// The counter's key.
const KEY: &str = "counter";

/// The unit that owns the counter, if the job has an owner.
const OWNER: usize = usize::MAX;

pub async fn run(job: &Job, session: &mut Session) -> Result<Outcome> {
    if job.additions() > MOST_ADDITIONS {
        let text = format!("{MOST_ADDITIONS} additions at most: each goes over the network");
        return Err(Unsupported(text).into());
    }
    let clock = PhaseClock::begin();
    let mut units: Vec<_> = (0..job.workers).collect();
    if job.guard == Guard::Atomic {
        units.push(OWNER);
    }
    let tasks = || {
        let units = units.iter();
        units
            .map(|&unit| Task::Counter(job.clone(), unit))
            .collect()
    };
    let prepare = async |session: &Session| session.bucket().await.map(drop);
    let answers = peers::all_or_retry_with(session, prepare, tasks).await?;
    clock.worked();
    let mut owned = 0;
    for answer in answers {
        owned += answer.number()?;
    }
    let total = match job.guard {
        Guard::Atomic => owned,
        _ => {
            let store = session.bucket().await?;
            let (total, revision) = read(&store, &key(session.run())).await?;
            let is_there = revision > 0 || job.additions() == 0;
            ensure!(is_there, "the NATS server has lost the counter");
            total
        }
    };
    Ok(Outcome {
        phases: clock.phases(),
        ..job.outcome(total)
    })
}

/// The key of the counter. Each attempt has its own.
fn key(run: u64) -> String {
    format!("{KEY}-{run}")
}

pub(crate) async fn perform(job: &Job, unit: usize, id: ShareId, node: &Node) -> Result<Answer> {
    match job.guard {
        Guard::Atomic if unit == OWNER => own(job, id, node).await,
        Guard::Atomic => ask(job, id, node).await,
        Guard::Lock | Guard::Async | Guard::Racy => add(job, id, node).await,
    }
}

/// Owns the counter, and adds 1 for each request.
async fn own(job: &Job, id: ShareId, node: &Node) -> Result<Answer> {
    let subject = node.subjects.unit(id.run, OWNER);
    let mut additions = node.client.subscribe(subject).await?;
    let Some(mut peers) = Peers::gather(node, id).await? else {
        return Ok(Answer::PeerGone);
    };
    let mut total = 0u64;
    while total < job.additions() {
        let Some(addition) = peers.next(&mut additions).await else {
            return Ok(Answer::PeerGone);
        };
        total += 1;
        let reply = addition
            .reply
            .context("an addition that is not asked for")?;
        node.client.publish(reply, "".into()).await?;
    }
    Ok(Answer::Number(total))
}

/// Asks the owner for each addition.
async fn ask(job: &Job, id: ShareId, node: &Node) -> Result<Answer> {
    let Some(mut peers) = Peers::gather(node, id).await? else {
        return Ok(Answer::PeerGone);
    };
    for _ in 0..job.increments {
        let asking = node
            .client
            .request(node.subjects.unit(id.run, OWNER), "".into());
        // An unconfirmed addition may or may not have been made.
        let Some(Ok(_)) = peers.unless_lost(asking).await else {
            return Ok(Answer::PeerGone);
        };
    }
    Ok(Answer::Number(0))
}

/// Adds to the counter in the server's store.
async fn add(job: &Job, id: ShareId, node: &Node) -> Result<Answer> {
    let key = key(id.run);
    let Some(mut peers) = Peers::gather(node, id).await? else {
        return Ok(Answer::PeerGone);
    };
    let adding = async {
        let store = node.bucket().await.map_err(Lost::by)?;
        for _ in 0..job.increments {
            match job.guard {
                Guard::Racy => add_racy(&store, &key).await?,
                _ => add_alone(&store, &key).await?,
            }
        }
        anyhow::Ok(Answer::Number(0))
    };
    peers.answer(adding).await
}

/// The counter's value and its revision; 0 and 0 before the first addition.
async fn read(store: &Store, key: &str) -> Result<(u64, u64)> {
    let Some(entry) = store.entry(key).await? else {
        return Ok((0, 0));
    };
    let value = (*entry.value).try_into().context("the counter's value")?;
    Ok((u64::from_le_bytes(value), entry.revision))
}

/// Adds 1 with compare-and-set, and retries if another value was stored in between. If the server
/// does not answer, the addition may or may not have been made: then all units begin again.
async fn add_alone(store: &Store, key: &str) -> std::result::Result<(), Lost> {
    loop {
        let (value, revision) = read(store, key).await.map_err(Lost::by)?;
        let next = (value + 1).to_le_bytes().to_vec();
        match store.update(key, next.into(), revision).await {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {}
            Err(error) => return Err(Lost::by(error)),
        }
    }
}

/// Adds 1 and stores it, even if another value was stored in between.
async fn add_racy(store: &Store, key: &str) -> std::result::Result<(), Lost> {
    let (value, _) = read(store, key).await.map_err(Lost::by)?;
    let next = (value + 1).to_le_bytes().to_vec();
    store.put(key, next.into()).await.map_err(Lost::by)?;
    Ok(())
}
