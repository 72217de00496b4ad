//! Unit: thread of a rayon pool. Shares: nothing. Ends: the sum is complete.

use rayon::ThreadPool;
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use suite::Result;
use suite::primes::{Job, Outcome, is_prime};

pub fn run(job: &Job, pool: &ThreadPool) -> Result<Outcome> {
    // rayon halves the range as often as there are idle threads to steal from.
    let count = pool.install(|| {
        (job.start..job.end)
            .into_par_iter()
            .filter(|&n| is_prime(n))
            .count()
    });
    Ok(Outcome {
        count: count as u64,
    })
}
