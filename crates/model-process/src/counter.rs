//! Unit: child process. Shares: an integer in shared memory, and a lock that
//! outlives its holder. Ends: every child has answered.

use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use suite::counter::{Guard, Job, Outcome};
use suite::{PhaseClock, Result};

use crate::pool::{Answer, Children, Task, WorkerContext};

pub fn run(job: &Job, children: &mut Children) -> Result<Outcome> {
    children.run_all_or_retry(job.workers, |children| {
        children.memory.counter.total.store(0, Relaxed);
        let clock = PhaseClock::begin();
        for worker in 0..job.workers {
            children.send(worker, Task::Counter(job.clone()))?;
        }
        clock.started();
        // The others add on to the end when one dies: not even at the lock do they
        // wait for it. Only then may all start again.
        let answers: Vec<_> = (0..job.workers).map(|_| children.answer()).collect();
        clock.worked();
        answers.into_iter().collect::<Result<Vec<_>>>()?;
        let total = children.memory.counter.total.load(Relaxed);
        Ok(Outcome {
            phases: clock.phases(),
            ..job.outcome(total)
        })
    })
}

pub(crate) fn perform(job: &Job, context: &WorkerContext) -> Answer {
    let counter = &context.memory.counter;
    let total = &counter.total;
    match job.guard {
        Guard::Lock => count(job, || {
            let add = || total.store(total.load(Relaxed) + 1, Relaxed);
            counter.lock.hold(context.pid, add);
        }),
        Guard::Atomic => count(job, || {
            total.fetch_add(1, Relaxed);
        }),
        // What another worker stores between the two is overwritten.
        Guard::Racy => count(job, || {
            total.store(total.load(Relaxed) + 1, Relaxed);
        }),
        // A process may wait anywhere: the lock is the same.
        Guard::Async => count(job, || {
            let add = || {
                thread::yield_now();
                total.store(total.load(Relaxed) + 1, Relaxed);
            };
            counter.lock.hold(context.pid, add);
        }),
    }
    Answer::Done
}

fn count(job: &Job, add: impl Fn()) {
    for _ in 0..job.increments {
        add();
    }
}
