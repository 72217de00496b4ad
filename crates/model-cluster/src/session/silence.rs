//! Detects silent nodes: the end of a node that was started by hand is not reported.

use async_nats::connection::State;
use suite::Result;
use tokio::time::Instant;

use super::Session;
use crate::protocol::WANTED;

/// A silent node is given up after this many ack timeouts. In a chat, the stream keeps what the node
/// has not acked until then.
pub(crate) const LONGEST_SILENCE: u32 = 6;

impl Session {
    /// Gives up silent nodes that were started by hand, so that others can take their places.
    /// Returns whether any node is left.
    pub(crate) async fn give_up_silent(&mut self) -> Result<bool> {
        if self.client.connection_state() != State::Connected {
            // No node can be heard.
            self.reset_silence();
        } else if self.nodes.is_none() {
            let (now, longest) = (Instant::now(), self.ack_wait * LONGEST_SILENCE);
            self.ready.retain(|_, heard| now - *heard < longest);
            if self.ready.len() < self.places.nodes() {
                self.client.publish(WANTED, "".into()).await?;
            }
        }
        Ok(self.nodes.is_some() || !self.ready.is_empty())
    }

    /// Restarts the measurement of silence, after a time in which no node could be heard.
    pub(crate) fn reset_silence(&mut self) {
        let now = Instant::now();
        self.ready.values_mut().for_each(|heard| *heard = now);
    }
}
