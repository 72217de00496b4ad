//! The faults, and the cases that put a downloader to each.

mod answers;
mod contradictions;
mod files;
mod heads;
mod hosts;
mod interruptions;
mod lists;
mod surroundings;
mod tls;

use crate::case::Case;

/// What can go wrong, and what is right then.
#[derive(Debug)]
pub(crate) struct Fault {
    /// Its number.
    pub(crate) number: u8,
    /// What it is.
    pub(crate) what: &'static str,
    /// What is right.
    pub(crate) right: &'static str,
}

const fn fault(number: u8, what: &'static str, right: &'static str) -> Fault {
    Fault {
        number,
        what,
        right,
    }
}

/// All of them, in order.
#[rustfmt::skip] // A row each.
pub(crate) const FAULTS: [Fault; 36] = [
    fault(1, "closed or reset in the middle", "continued, exact file"),
    fault(2, "always truncated", "bounded retries, then failed, no file"),
    fault(3, "longer than announced", "what was announced; the next answer is not poisoned"),
    fault(4, "conflicting or negative lengths", "an error, no file"),
    fault(5, "chunks without an end, or of a bad size", "incomplete, no file"),
    fault(6, "empty, chunked, or ended by close", "accepted"),
    fault(7, "a range is ignored", "begun again, never appended"),
    fault(8, "a part that is wrong or does not say which", "refused, begun again"),
    fault(9, "changed between two attempts", "begun again, never spliced"),
    fault(10, "416 with the size that is there", "complete only if the validator agrees"),
    fault(11, "416 with another size", "begun again"),
    fault(12, "half a file from an earlier run", "continued"),
    fault(13, "429 and 503 with Retry-After", "obeyed for the whole host, up to a cap"),
    fault(14, "flapping 5xx", "backoff that doubles, a budget a file"),
    fault(15, "redirects: loops, other schemes, other hosts", "refused; secrets stay at home"),
    fault(16, "a slow drip", "ended by the minimum rate"),
    fault(17, "stalls, no answer, no connection", "timeouts"),
    fault(18, "heads without an end", "a cap"),
    fault(19, "gzip and others that were not asked for", "decoded, or an error"),
    fault(20, "1xx and garbage in place of a status", "skipped; an error"),
    fault(21, "two URLs with one name", "two names, the same on every run"),
    fault(22, "hostile names", "one safe name in the directory"),
    fault(23, "disk full, no permission, too few descriptors", "exit 3; fewer at once"),
    fault(24, "interrupted, killed, journal damaged, links planted", "continued, nothing lost or overwritten"),
    fault(25, "two instances; messy lists", "one is refused; the rest goes on"),
    fault(26, "a checksum that is not met", "failed, kept aside"),
    fault(27, "more than --max-size", "stopped"),
    fault(28, "wrong, expired or foreign certificate", "refused"),
    fault(29, "an answer that contradicts itself or an earlier one", "joined, begun again or failed; never a file"),
    fault(30, "a part is refused, or comes in pieces", "all is asked for, or the rest"),
    fault(31, "one URL with two names or digests", "every name, every digest"),
    fault(32, "redirected to another host", "its limits, and its waits"),
    fault(33, "unreachable addresses and connections closed while kept", "another one is taken"),
    fault(34, "ignored signals, limits, full pipes, slow lists", "kept; exit 3 with its words; names at once"),
    fault(35, "unusual but valid heads and chunks", "read as RFC 9112 says"),
    fault(36, "what is not supported", "an error that says so"),
];

/// Every case.
pub fn all() -> Vec<Case> {
    [
        answers::cases(),
        contradictions::cases(),
        heads::cases(),
        hosts::cases(),
        files::cases(),
        interruptions::cases(),
        lists::cases(),
        surroundings::cases(),
        tls::cases(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_fault_has_cases_and_every_case_its_name() {
        let cases = all();
        for (at, fault) in FAULTS.iter().enumerate() {
            assert_eq!(usize::from(fault.number), at + 1);
            assert!(
                cases.iter().any(|case| case.fault == fault.number),
                "{}",
                fault.what
            );
        }
        let names: HashSet<_> = cases.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), cases.len());
    }

    #[test]
    fn everything_that_the_origin_can_do_is_put_to_use() {
        let texts = format!("{:?}", all());
        for fault in origin::FAULTS {
            let used = [format!("{{{}}}", fault.name), format!(":{}}}", fault.name)];
            assert!(
                used.iter().any(|word| texts.contains(word)),
                "{} is not used",
                fault.name
            );
        }
    }
}
