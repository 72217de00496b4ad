//! Counts losses of shares that did not change the answer.

/// The losses of one job.
#[derive(Default)]
pub(crate) struct Losses {
    /// Shares delivered to another node because the first had not acked in time.
    pub(crate) redelivered: usize,
    /// Shares published again because a node had died or the server had lost them.
    pub(crate) republished: usize,
    /// Shares that were answered a second time.
    pub(crate) repeated: usize,
    /// Answers to shares of an earlier job.
    pub(crate) late: usize,
}

impl Losses {
    /// An upper limit of the number of shares that were begun more than once.
    pub(crate) fn restarts(&self) -> usize {
        self.redelivered + self.republished
    }

    /// Prints the losses to standard error, if there were any.
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
