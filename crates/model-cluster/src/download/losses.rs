//! Handles a file whose node or bytes are lost: the received bytes are written, and another node
//! continues from there, if the web server allows it.

use transfer::Next;

use super::Dispatcher;
use super::disk::End;
use super::file::File;
use crate::session::MAX_DEATHS;

impl Dispatcher<'_> {
    /// The share of a file was delivered as often as allowed.
    pub(super) fn given_up(&mut self, place: usize) {
        let why = format!("given up: {MAX_DEATHS} times it was dealt, and no node began with it");
        self.lose(place, Next::Failed(why));
    }

    /// A node that this parent started has died.
    pub(super) fn died(&mut self, node: &str, status: &str) {
        let has = |file: &File| file.holder().is_some_and(|holder| holder.node == node);
        let places = self.places(has);
        self.leave_all_to_others(&places, &format!("died by {status}"));
    }

    /// Assigns files of silent nodes to others. Such a node may be dead, stopped or cut off; or it
    /// was restarted and does not know the file.
    pub(super) fn check_silence(&mut self) {
        if self.shares.is_connected() {
            let longest = self.shares.ack_wait();
            let places = self.places(|file| file.is_silent(longest));
            self.leave_all_to_others(&places, "fell silent");
        }
    }

    /// Restarts the measurement of silence, after a time in which no node could be heard.
    pub(super) fn reset_silence(&mut self) {
        for file in self.files.iter_mut().flatten() {
            file.hear();
        }
    }

    fn places(&self, is_one: impl Fn(&File) -> bool) -> Vec<usize> {
        let places = 0..self.files.len();
        places
            .filter(|&place| self.files[place].as_ref().is_some_and(&is_one))
            .collect()
    }

    fn leave_all_to_others(&mut self, places: &[usize], how: &str) {
        // A web server may not notice the loss at once, and may continue to answer the node's
        // requests; a node that comes back also makes new requests. So there are fewer requests at
        // once from now on.
        let left = self.in_use.saturating_sub(places.len()).max(1);
        if left < self.in_use {
            self.in_use = left;
            let note = format!("a node {how}: {left} at once from now on");
            self.download.note(&note);
        }
        for &place in places {
            self.leave_to_others(place, how);
        }
    }

    fn leave_to_others(&mut self, place: usize, how: &str) {
        let Some(file) = &self.files[place] else {
            return;
        };
        let deaths = self.deaths.entry(file.transfer.key).or_default();
        *deaths += 1;
        let next = if *deaths > MAX_DEATHS {
            let why = format!("given up after {deaths} nodes were lost with it: the last {how}");
            Next::Failed(why)
        } else {
            Next::Now
        };
        self.lose(place, next);
    }

    /// Takes a file from its node. The file continues as `next` says.
    pub(super) fn lose(&mut self, place: usize, next: Next) {
        let Some(file) = self.files[place].as_mut().filter(|file| !file.has_ended()) else {
            return;
        };
        file.end(End::Lost(file.transfer.clone(), next));
        self.shares.count_loss();
        self.go_on(place);
    }
}
