//! The load generator in the origin's process, where its work is nothing of what is measured.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use load::{Open, Plan, Report};
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
}

/// What came of a load.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Done {
    id: u64,
    report: Report,
}

impl Loads {
    /// Does all of a plan.
    pub(crate) fn run(&self, plan: &Plan) -> Result<Done, Refusal> {
        let (report, open) =
            load::run(plan).map_err(|error| Refusal::new(502, format!("{error:#}")))?;
        let id = self.last.fetch_add(1, Relaxed) + 1;
        lock(&self.open).insert(id, open);
        Ok(Done { id, report })
    }

    /// Waits until the server has closed the connections of a load.
    pub(crate) fn wait_for_end(&self, id: &str) -> Result<(), Refusal> {
        let id: Option<u64> = id.parse().ok();
        let open = id.and_then(|id| lock(&self.open).remove(&id));
        let open = open.ok_or_else(|| Refusal::new(404, "there is no such load".to_owned()))?;
        let ended = open.wait_for_end(PATIENCE_TO_END);
        ended.map_err(|error| Refusal::new(502, format!("{error:#}")))
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
