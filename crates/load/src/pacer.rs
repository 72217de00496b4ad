//! Which request may be sent when: no sockets and no clock, so that it can be tested.

use crate::schedule::Schedule;

/// A request that is sent later than it could have been by more than this counts as late, in
/// nanoseconds.
pub(crate) const TOLERATED_NS: u64 = 1_000_000;

/// Gives out requests, in a closed or an open loop. All times are in nanoseconds from the
/// beginning.
#[derive(Debug)]
pub(crate) struct Pacer {
    /// `None` in a closed loop.
    schedule: Option<Schedule>,
    /// Requests that have not been given out.
    left: u64,
    /// When the last one that was given out was due.
    last_due_ns: u64,
    /// Those that the generator sent late.
    late: u64,
}

impl Pacer {
    /// Of this number of requests.
    pub(crate) fn new(requests: u64, schedule: Option<Schedule>) -> Self {
        Self {
            schedule,
            left: requests,
            last_due_ns: 0,
            late: 0,
        }
    }

    /// The next request, for a connection that has been free since `free_ns`: when it was
    /// due. `None` if none is due yet, or none is left.
    pub(crate) fn next(&mut self, now_ns: u64, free_ns: u64) -> Option<u64> {
        if self.left == 0 {
            return None;
        }
        let due_ns = match &mut self.schedule {
            None => free_ns,
            Some(schedule) => {
                let due_ns = schedule.next_ns();
                if due_ns > now_ns {
                    return None;
                }
                schedule.advance();
                due_ns
            }
        };
        self.left -= 1;
        self.last_due_ns = due_ns;
        // Before it was due, or while every connection waited for the server, it could not
        // have been sent.
        let could_ns = due_ns.max(free_ns);
        self.late += u64::from(now_ns.saturating_sub(could_ns) > TOLERATED_NS);
        Some(due_ns)
    }

    /// When the next request is due, if that is not now.
    pub(crate) fn next_due(&self) -> Option<u64> {
        let schedule = self.schedule.as_ref().filter(|_| self.left > 0)?;
        Some(schedule.next_ns())
    }

    /// When the last one that was given out was due; none in a closed loop, where all are due
    /// at once.
    pub(crate) fn last_due(&self) -> Option<u64> {
        self.schedule.as_ref().map(|_| self.last_due_ns)
    }

    /// Whether all have been given out.
    pub(crate) fn is_done(&self) -> bool {
        self.left == 0
    }

    /// Requests that the generator sent late.
    pub(crate) fn late(&self) -> u64 {
        self.late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const SERVICE_NS: u64 = 100_000;
    const STALL_NS: u64 = 100 * MS;

    /// Latencies of requests over one connection to a server that takes 0.1 ms for each, and
    /// stalls once from 200 ms on, for 100 ms.
    fn through_a_stall(schedule: Option<Schedule>, requests: u64) -> Vec<u64> {
        let mut pacer = Pacer::new(requests, schedule);
        let (mut now, mut free) = (0, 0);
        let mut latencies = Vec::new();
        while !pacer.is_done() {
            let Some(due) = pacer.next(now, free) else {
                now = pacer.next_due().expect("another request");
                continue;
            };
            let stall = 200 * MS..200 * MS + STALL_NS;
            let begin = if stall.contains(&now) { stall.end } else { now };
            now = begin + SERVICE_NS;
            free = now;
            latencies.push(now - due);
        }
        assert_eq!(pacer.late(), 0);
        latencies.sort_unstable();
        latencies
    }

    /// With 1,000 requests in a second, of which 100 are due in the stall, a tenth wait. Of
    /// those that wait, the first waits for all of the stall, and the others for what is left
    /// of it when they are due: evenly from 0 to 100 ms. So the 95th percentile is about half
    /// a stall, and the 99th nine tenths.
    #[test]
    fn an_open_loop_shows_a_stall_and_a_closed_one_hides_it() {
        let closed = through_a_stall(None, 10_000);
        assert_eq!(closed[9_998], SERVICE_NS);
        assert_eq!(closed[9_999], STALL_NS + SERVICE_NS);

        let open = through_a_stall(Some(Schedule::new(1_000.0, 1)), 1_000);
        let [p50, p95, p99] = [500, 950, 990].map(|at: usize| open[at] as f64 / STALL_NS as f64);
        assert!(p50 < 0.01, "{p50}");
        assert!((0.35..0.7).contains(&p95), "{p95}");
        assert!((0.8..1.05).contains(&p99), "{p99}");
    }

    #[test]
    fn only_what_could_have_been_sent_is_late() {
        let due = Schedule::new(1_000.0, 1).next_ns();
        for (free, now, late) in [
            (0, due + MS, 0),
            (0, due + 2 * MS, 1),
            // All connections were waiting for the server.
            (due + 50 * MS, due + 50 * MS, 0),
            (due + 50 * MS, due + 52 * MS, 1),
        ] {
            let mut pacer = Pacer::new(1, Some(Schedule::new(1_000.0, 1)));
            assert_eq!(pacer.next(due.saturating_sub(1), 0), None);
            assert_eq!(pacer.next(now, free), Some(due));
            assert_eq!(pacer.late(), late, "{free} {now}");
            assert_eq!(pacer.next(now, free), None);
        }
    }
}
