//! Unit: child process. Shares: an integer in shared memory, and a lock that
//! outlives its holder. Ends: every child has answered.

use std::sync::atomic::Ordering::Relaxed;

use serde::{Deserialize, Serialize};
use suite::Result;
use suite::counter::{Guard, Job, Outcome};

use crate::children::Children;
use crate::worker::{self, Answer, Worker};

pub fn run(job: &Job, children: &mut Children) -> Result<Outcome> {
    children.together(job.workers, |children| {
        children.shared().counter.total.store(0, Relaxed);
        for worker in 0..job.workers {
            children.send(worker, worker::Task::Counter(Task(job.clone())))?;
        }
        // Whoever lives adds on to the end: not even at the lock does anybody wait
        // for one that has died. Only then may all start again.
        let answers: Vec<_> = (0..job.workers).map(|_| children.answer()).collect();
        answers.into_iter().collect::<Result<Vec<_>>>()?;
        let total = children.shared().counter.total.load(Relaxed);
        Ok(job.outcome(total))
    })
}

/// Be one of this job's workers.
#[derive(Debug, Serialize, Deserialize)]
pub struct Task(Job);

impl Task {
    pub fn perform(self, worker: &Worker) -> Result<Answer> {
        let Self(job) = self;
        let counter = &worker.memory.counter;
        let total = &counter.total;
        match job.guard {
            Guard::Lock => count(&job, || {
                let add = || total.store(total.load(Relaxed) + 1, Relaxed);
                counter.lock.hold(worker.id, add);
            }),
            Guard::Atomic => count(&job, || {
                total.fetch_add(1, Relaxed);
            }),
            // What another worker stores between the two is overwritten.
            Guard::Racy => count(&job, || {
                total.store(total.load(Relaxed) + 1, Relaxed);
            }),
        }
        Ok(Answer::Done)
    }
}

fn count(job: &Job, add: impl Fn()) {
    for _ in 0..job.increments {
        add();
    }
}
