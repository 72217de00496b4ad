//! Completion times: when each item of a job was done.
//!
//! `fetch`, `offload` and `download` have them, and each says what an item's
//! clock starts with. None of them is a latency under a load that comes from
//! outside: all items are there when the job starts, and how many are under way
//! is the model's and the job's doing.

use std::time::Duration;

use crate::WrongAnswer;

/// A time as outcomes have it.
pub fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// One time an item, and none shorter than can be. `least_ms` has what single
/// items take at least, in any order: which time is whose is not known, but the
/// shortest cannot be below the least of these, nor the next below the next.
pub(crate) fn check(
    completion_ns: &[u64],
    items: usize,
    least_ms: impl IntoIterator<Item = u64>,
) -> Result<(), WrongAnswer> {
    let times = completion_ns.len();
    WrongAnswer::unless(times == items, "completion_ns (their number)", times, items)?;
    let mut times = completion_ns.to_vec();
    let mut least: Vec<_> = least_ms.into_iter().collect();
    times.sort_unstable();
    least.sort_unstable();
    for (time, ms) in times.into_iter().zip(least) {
        let least = ms.saturating_mul(1_000_000);
        if time < least {
            let right = format!("at least {least}");
            return WrongAnswer::unless(false, "completion_ns", time, right);
        }
    }
    Ok(())
}

/// No item is done later than the whole job, which took `elapsed`.
pub fn check_within(completion_ns: &[u64], elapsed: Duration) -> Result<(), WrongAnswer> {
    let most = nanoseconds(elapsed);
    let last = completion_ns.iter().copied().max().unwrap_or(0);
    let right = format!("at most {most}, what the job took");
    WrongAnswer::unless(last <= most, "completion_ns", last, right)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(checked: Result<(), WrongAnswer>, text: &str) {
        let found = checked.expect_err(text).to_string();
        assert!(found.contains(text), "{found}");
    }

    #[test]
    fn an_item_has_one_time_and_not_less_than_it_takes() {
        let ms = |ms: u64| ms * 1_000_000;
        assert!(check(&[], 0, []).is_ok());
        // In any order, and more than the least.
        assert!(check(&[ms(30), ms(10), ms(20)], 3, [20, 30, 10]).is_ok());
        assert!(check(&[0], 1, []).is_ok());
        says(check(&[ms(1)], 2, [1, 1]), "(their number) is 1, and 2");
        says(check(&[1, 1, 1], 2, []), "(their number) is 3, and 2");
        // Each long enough for the first, but one of them has to be the second.
        says(check(&[ms(10), ms(10)], 2, [10, 20]), "at least 20000000");
        says(check(&[ms(1) - 1], 1, [1]), "completion_ns is 999999");
    }

    #[test]
    fn no_item_outlasts_its_job() {
        let elapsed = Duration::from_nanos(7);
        assert!(check_within(&[7, 1], elapsed).is_ok());
        assert!(check_within(&[], Duration::ZERO).is_ok());
        says(check_within(&[1, 8], elapsed), "is 8, and at most 7");
    }
}
