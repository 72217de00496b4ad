//! Nodes that are silent: one that was started by hand may be dead, and nothing tells so.

use suite::Result;
use tokio::time::Instant;

use super::Session;
use crate::protocol::WANTED;

/// After how many times the wait for an ack a silent node is given up.
const LONGEST_SILENCE: u32 = 6;

impl Session {
    /// Gives nodes up that were started by hand and are silent, so that others can take their
    /// places. Whether any is left.
    pub(crate) async fn give_up_silent(&mut self) -> Result<bool> {
        if self.nodes.is_none() {
            let (now, longest) = (Instant::now(), self.ack_wait * LONGEST_SILENCE);
            self.ready.retain(|_, heard| now - *heard < longest);
            if self.ready.len() < self.places.nodes() {
                self.client.publish(WANTED, "".into()).await?;
            }
        }
        Ok(self.nodes.is_some() || !self.ready.is_empty())
    }

    /// Counts silence from now on: until now nothing was heard.
    pub(crate) fn forgive_silence(&mut self) {
        let now = Instant::now();
        self.ready.values_mut().for_each(|heard| *heard = now);
    }
}
