//! What was lost on the way of shares, and changed no answer.

/// Of one job.
#[derive(Default)]
pub(crate) struct Losses {
    /// Delivered to another node, as the first had not acked in time.
    pub(crate) redelivered: usize,
    /// Published again, as a node had died or the server had lost them.
    pub(crate) republished: usize,
    /// Answered for a second time.
    pub(crate) repeated: usize,
    /// Answers to shares of an earlier job.
    pub(crate) late: usize,
}

impl Losses {
    /// How many shares have been begun more than once, at most.
    pub(crate) fn restarts(&self) -> usize {
        self.redelivered + self.republished
    }

    /// Says so on standard error, if there were any.
    pub(crate) fn report(&self) {
        let Self {
            redelivered,
            republished,
            repeated,
            late,
        } = self;
        if redelivered + republished + repeated + late > 0 {
            eprintln!(
                "shares: {redelivered} delivered again, {republished} published again, \
                 {repeated} answered twice, {late} late answers to an earlier job"
            );
        }
    }
}
