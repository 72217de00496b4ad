//! Unit: thread of a rayon pool. Shares: nothing. Ends: the sum is complete.

use rayon::ThreadPool;
use rayon::iter::{IntoParallelIterator, ParallelBridge, ParallelIterator};
use suite::Result;
use suite::primes::{Job, Outcome, count, is_prime};

pub fn run(job: &Job, pool: &ThreadPool) -> Result<Outcome> {
    let count = pool.install(|| match job.share {
        // rayon halves the range as often as there are idle threads to steal from.
        0 => (job.start..job.end)
            .into_par_iter()
            .filter(|&n| is_prime(n))
            .count() as u64,
        // How large each share is, the job says: the threads take one after the other.
        _ => job.chunks().par_bridge().map(count).sum::<u64>(),
    });
    Ok(Outcome { count })
}
