//! Connections to upstreams that wait for another request.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::Authority;

/// Connections to upstreams that wait for another request.
#[derive(Debug)]
pub struct Kept<C> {
    waiting: Mutex<Waiting<C>>,
    most: usize,
    longest: Duration,
}

#[derive(Debug)]
struct Waiting<C> {
    of: HashMap<Authority, Vec<(C, Instant)>>,
    count: usize,
}

impl<C> Kept<C> {
    /// At most this number of connections, each for at most this time.
    pub fn new(most: usize, longest: Duration) -> Self {
        let waiting = Waiting {
            of: HashMap::new(),
            count: 0,
        };
        Self {
            waiting: Mutex::new(waiting),
            most,
            longest,
        }
    }

    /// The one that was used last: the upstream will have closed the others sooner.
    pub fn take(&self, upstream: &Authority) -> Option<C> {
        let mut waiting = self.lock();
        let (connection, since) = waiting.of.get_mut(upstream)?.pop()?;
        waiting.count -= 1;
        if since.elapsed() < self.longest {
            return Some(connection);
        }
        // The others have waited longer.
        let old = waiting.of.remove(upstream);
        waiting.count -= old.as_ref().map_or(0, Vec::len);
        drop((waiting, old));
        None
    }

    /// Keeps one. If there are too many, those that have waited too long are closed, or else
    /// this one is.
    pub fn put(&self, upstream: &Authority, connection: C) {
        let mut waiting = self.lock();
        if waiting.count >= self.most || waiting.of.len() > self.most {
            waiting.of.retain(|_, connections| {
                connections.retain(|(_, since)| since.elapsed() < self.longest);
                !connections.is_empty()
            });
            waiting.count = waiting.of.values().map(Vec::len).sum();
        }
        if waiting.count >= self.most {
            return;
        }
        waiting.count += 1;
        let now = (connection, Instant::now());
        match waiting.of.get_mut(upstream) {
            Some(connections) => connections.push(now),
            None => drop(waiting.of.insert(upstream.clone(), vec![now])),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<C>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_no_more_than_allowed() {
        let kept = Kept::new(2, Duration::from_secs(60));
        let [a, b] = ["a:1", "b:1"].map(|text| text.parse::<Authority>().expect(text));
        for number in 0..3 {
            kept.put(&a, number);
        }
        kept.put(&b, 3);
        assert_eq!(kept.take(&b), None);
        assert_eq!(
            [kept.take(&a), kept.take(&a), kept.take(&a)],
            [Some(1), Some(0), None]
        );
        kept.put(&b, 4);
        assert_eq!(kept.take(&b), Some(4));
    }

    #[test]
    fn what_has_waited_too_long_is_closed() {
        let kept = Kept::new(2, Duration::ZERO);
        let [a, b] = ["a:1", "b:1"].map(|text| text.parse::<Authority>().expect(text));
        kept.put(&a, 1);
        kept.put(&a, 2);
        // Makes room.
        kept.put(&b, 3);
        assert_eq!([kept.take(&a), kept.take(&b), kept.take(&b)], [None; 3]);
        assert_eq!(kept.lock().count, 0);
    }
}
