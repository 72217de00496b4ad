//! The load generator in the origin's process, where its work is nothing of what is measured.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use load::{Open, Plan, Report, RoomsPlan, RoomsReport, Talk};
use serde::{Deserialize, Serialize};

use crate::client::exchange;
use crate::run::read;
use crate::{lock, refusal::Refusal};

/// How long a load may take: many times what any does.
const PATIENCE: Duration = Duration::from_secs(600);

/// How long a server has to close its connections, after it has been told to end.
const PATIENCE_TO_END: Duration = Duration::from_secs(20);

/// Loads that are done, and whose connections are open.
#[derive(Debug, Default)]
pub(crate) struct Loads {
    last: AtomicU64,
    open: Mutex<HashMap<u64, Open>>,
    /// Members of rooms that have sent everything, and have not finished.
    talks: Mutex<HashMap<u64, Talk>>,
}

/// What came of a load.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Done<R> {
    id: u64,
    report: R,
}

impl Loads {
    /// Does all of a plan.
    pub(crate) fn run(&self, plan: &Plan) -> Result<Done<Report>, Refusal> {
        let (report, open) = load::run(plan).map_err(broken)?;
        let id = self.new_id();
        lock(&self.open).insert(id, open);
        Ok(Done { id, report })
    }

    /// Has members join rooms, and send everything.
    pub(crate) fn talk(&self, plan: &RoomsPlan) -> Result<u64, Refusal> {
        let mut talk = Talk::open(plan).map_err(broken)?;
        talk.send_all().map_err(broken)?;
        let id = self.new_id();
        lock(&self.talks).insert(id, talk);
        Ok(id)
    }

    /// Has slow members read.
    pub(crate) fn finish(&self, id: &str) -> Result<Done<RoomsReport>, Refusal> {
        let id: u64 = id.parse().map_err(|_| unknown())?;
        let talk = lock(&self.talks).remove(&id).ok_or_else(unknown)?;
        let (report, open) = talk.finish().map_err(broken)?;
        lock(&self.open).insert(id, open);
        Ok(Done { id, report })
    }

    fn new_id(&self) -> u64 {
        self.last.fetch_add(1, Relaxed) + 1
    }

    /// Waits until the server has closed the connections of a load.
    pub(crate) fn wait_for_end(&self, id: &str) -> Result<(), Refusal> {
        let id: Option<u64> = id.parse().ok();
        let open = id.and_then(|id| lock(&self.open).remove(&id));
        let ended = open.ok_or_else(unknown)?.wait_for_end(PATIENCE_TO_END);
        ended.map_err(broken)
    }
}

fn broken(error: anyhow::Error) -> Refusal {
    Refusal::new(502, format!("{error:#}"))
}

fn unknown() -> Refusal {
    Refusal::new(404, "there is no such load".to_owned())
}

/// Members of rooms at an origin, which have sent everything. Slow ones among them have read
/// nothing.
#[derive(Debug)]
pub struct Members {
    origin_url: String,
    id: u64,
}

impl Members {
    /// Has the origin at this URL do the first part of a plan: members join, and send everything,
    /// until those that read have it.
    ///
    /// # Errors
    ///
    /// When members cannot join, or the origin is gone; it is named. What is wrong with
    /// messages is in the report.
    pub fn talk(origin_url: &str, plan: &RoomsPlan) -> anyhow::Result<Self> {
        let origin_url = origin_url.trim_end_matches('/').to_owned();
        let rooms = format!("{origin_url}/rooms");
        let body = serde_json::to_vec(plan)?;
        let id = read(&rooms, &exchange("POST", &rooms, &body, PATIENCE)?)?;
        Ok(Self { origin_url, id })
    }

    /// Does the rest of it: slow members read, and two more members join.
    ///
    /// # Errors
    ///
    /// When the origin is gone; it is named.
    pub fn finish(self) -> anyhow::Result<(RoomsReport, Load)> {
        let rooms = format!("{}/rooms/{}", self.origin_url, self.id);
        let Done { id, report } = read(&rooms, &exchange("POST", &rooms, &[], PATIENCE)?)?;
        let url = format!("{}/loads/{id}", self.origin_url);
        Ok((report, Load { url }))
    }
}

/// A load that an origin has put on a server, and whose connections are still open.
#[derive(Debug)]
pub struct Load {
    url: String,
}

impl Load {
    /// Has the origin at this URL do all of a plan.
    ///
    /// # Errors
    ///
    /// When the connections do not come about, or the origin is gone; it is named. Requests
    /// that failed are in the report.
    pub fn run(origin_url: &str, plan: &Plan) -> anyhow::Result<(Report, Self)> {
        let loads = format!("{}/loads", origin_url.trim_end_matches('/'));
        let body = serde_json::to_vec(plan)?;
        let Done { id, report } = read(&loads, &exchange("POST", &loads, &body, PATIENCE)?)?;
        let url = format!("{loads}/{id}");
        Ok((report, Self { url }))
    }

    /// Waits until the server has closed all connections, which it has been told to. The
    /// client closes after it: the port of the end that closes first is of no use for a
    /// minute.
    ///
    /// # Errors
    ///
    /// When it has not in twenty seconds.
    pub fn wait_for_end(self) -> anyhow::Result<()> {
        exchange("DELETE", &self.url, &[], 2 * PATIENCE_TO_END).map(drop)
    }
}
