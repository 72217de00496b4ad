//! Assigns the slots of a session to nodes. There is one place for each node that the session
//! should have.

use std::time::Duration;

use tokio::time::Instant;

/// How long a node may take to become ready after it was given a place.
const LONGEST_COMING: Duration = Duration::from_secs(5);

pub(crate) struct Places {
    /// The number of shares worked on at once, over all nodes.
    units: usize,
    places: Vec<Option<Place>>,
}

#[derive(Clone)]
struct Place {
    node: String,
    given: Instant,
}

impl Places {
    /// Creates one free place for each of `nodes` nodes. `units` slots are spread over them.
    pub(crate) fn new(nodes: usize, units: usize) -> Self {
        Self {
            units,
            places: vec![None; nodes],
        }
    }

    /// The number of nodes that the session should have.
    pub(crate) fn nodes(&self) -> usize {
        self.places.len()
    }

    /// The number of slots over all nodes.
    pub(crate) fn units(&self) -> usize {
        self.units
    }

    /// Gives a node a place: its earlier one, or a free one, or one whose node was not ready in
    /// time. Two nodes that ask at the same moment get different places. Returns the number of
    /// slots of the place, or `None` if there is none.
    pub(crate) fn give(
        &mut self,
        node: &str,
        now: Instant,
        is_ready: impl Fn(&str) -> bool,
    ) -> Option<usize> {
        let is_its_own = |place: &Place| place.node == node;
        let is_left = |place: &Place| now - place.given > LONGEST_COMING && !is_ready(&place.node);
        let place = self
            .position(is_its_own)
            .or_else(|| self.places.iter().position(Option::is_none))
            .or_else(|| self.position(is_left))?;
        self.places[place] = Some(Place {
            node: node.to_owned(),
            given: now,
        });
        let (units, places) = (self.units, self.places.len());
        Some(units / places + usize::from(place < units % places))
    }

    fn position(&self, is_it: impl Fn(&Place) -> bool) -> Option<usize> {
        let mut places = self.places.iter();
        places.position(|place| place.as_ref().is_some_and(&is_it))
    }

    /// Frees the place of a node that has ended.
    pub(crate) fn free(&mut self, node: &str) {
        if let Some(place) = self.position(|place| place.node == node) {
            self.places[place] = None;
        }
    }

    /// Frees all places.
    pub(crate) fn free_all(&mut self) {
        self.places.fill(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_that_ask_at_once_have_all_slots_together() {
        let mut places = Places::new(3, 8);
        let now = Instant::now();
        let none_is_ready = |_: &str| false;
        let slots = ["one", "two", "three"].map(|node| places.give(node, now, none_is_ready));
        assert_eq!(slots, [Some(3), Some(3), Some(2)]);
        assert_eq!(places.give("four", now, none_is_ready), None);
        // It did not receive the answer, and asks again.
        assert_eq!(places.give("three", now, none_is_ready), Some(2));
    }

    #[test]
    fn a_place_is_free_when_its_node_has_ended_or_does_not_come() {
        let mut places = Places::new(2, 3);
        let now = Instant::now();
        let later = now + 2 * LONGEST_COMING;
        let one_is_ready = |node: &str| node == "one";
        assert_eq!(places.give("one", now, one_is_ready), Some(2));
        assert_eq!(places.give("two", now, one_is_ready), Some(1));
        assert_eq!(places.give("three", now, one_is_ready), None);
        assert_eq!(places.give("three", later, one_is_ready), Some(1));
        assert_eq!(places.give("two", later, one_is_ready), None);
        places.free("one");
        assert_eq!(places.give("two", later, one_is_ready), Some(2));
    }
}
