//! What becomes of a file whose node is lost, or whose bytes are lost on their way: what has come
//! of it is written, and another node goes on from there, as far as the server allows that.

use transfer::Next;

use super::Dispatcher;
use super::disk::End;
use super::file::File;
use crate::session::MAX_DEATHS;

impl Dispatcher<'_> {
    /// The share of a file was delivered as often as may be.
    pub(super) fn given_up(&mut self, place: usize) {
        let why = format!("given up: {MAX_DEATHS} times it was dealt, and no node began with it");
        self.lose(place, Next::Failed(why));
    }

    /// A node of ours has died.
    pub(super) fn died(&mut self, node: &str, status: &str) {
        let has = |file: &File| file.holder().is_some_and(|holder| holder.node == node);
        let places = self.places(has);
        self.leave_all_to_others(&places, &format!("died by {status}"));
    }

    /// A node that is silent about a file may be dead, stopped or cut off; or it has begun anew,
    /// and knows nothing of the file.
    pub(super) fn look_for_silence(&mut self) {
        if self.shares.is_connected() {
            let longest = self.shares.ack_wait();
            let places = self.places(|file| file.is_silent(longest));
            self.leave_all_to_others(&places, "fell silent");
        }
    }

    /// Nothing could be heard until now.
    pub(super) fn forgive_silence(&mut self) {
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
        // A server may not notice at once, and go on with what the node had requested; a node that
        // is there again requests other files then. So there are fewer requests at once from now
        // on.
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

    /// Its node is not to go on with a file, which goes on as `next` says.
    pub(super) fn lose(&mut self, place: usize, next: Next) {
        let Some(file) = self.files[place].as_mut().filter(|file| !file.has_ended()) else {
            return;
        };
        file.end(End::Lost(file.transfer.clone(), next));
        self.shares.count_loss();
        self.go_on(place);
    }
}
