//! Work for cores: `counter` and `primes`.

use proptest::strategy::Strategy;
use suite::{Job, Model, Result, Workload, primes};

use super::support::{any, job, shapes};

/// No addition is lost behind a lock.
pub fn counter_lock<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Counter,
        &[
            "guard=lock workers=1 increments=1000",
            "guard=lock workers=10 increments=1000",
            "guard=lock workers=20 increments=1",
            "guard=lock workers=3 increments=0",
        ],
    )
}

/// No addition is lost in an atomic.
pub fn counter_atomic<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Counter,
        &[
            "guard=atomic workers=1 increments=1000",
            "guard=atomic workers=8 increments=20000",
            "guard=atomic workers=20 increments=1",
        ],
    )
}

/// Additions are lost without a guard, and counted as lost.
pub fn counter_racy<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Counter,
        &[
            "guard=racy workers=1 increments=1000",
            "guard=racy workers=8 increments=20000",
            "guard=racy workers=3 increments=0",
        ],
    )
}

/// No addition is lost behind a lock that is held while others run.
pub fn counter_async<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Counter,
        &[
            "guard=async workers=1 increments=100",
            "guard=async workers=10 increments=100",
            "guard=async workers=3 increments=0",
        ],
    )
}

/// Ranges that are empty, small, low and high.
pub fn primes_shapes<M: Model>(program: &'static str) -> Result<()> {
    shapes::<M>(
        program,
        Workload::Primes,
        &[
            "start=1000000 end=1000500 workers=4",
            "start=1000000 end=1000500 workers=1",
            "start=0 end=30 workers=3",
            "start=1000000 end=1000003 workers=8",
            "start=0 end=0 workers=2",
            "start=7 end=8 workers=1",
            "start=900000000000 end=900000000050 workers=2",
            "start=1000000 end=1000050 workers=4 share=1",
            "start=1000000 end=1000500 workers=3 share=7",
            "start=0 end=30 workers=2 share=1000",
            "start=0 end=0 workers=2 share=1",
        ],
    )
}

/// Any range, over any number of workers, in the model's own shares or hundreds of numbers.
pub fn primes_any_range<M: Model>(program: &'static str) -> Result<()> {
    const MOST: usize = 4;
    let all = (0..2_000_000u64, 0..2_000u64, 1..=MOST, 0..4u64);
    let range = all.prop_map(|(start, width, workers, hundreds)| {
        Job::Primes(primes::Job {
            start,
            end: start + width,
            workers,
            share: 100 * hundreds,
        })
    });
    let largest = job(Workload::Primes, &format!("workers={MOST}"))?;
    any::<M>(program, &largest, &range)
}
