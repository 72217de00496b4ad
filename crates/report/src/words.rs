//! What was found, in words.

use results::{
    Baseline, Change, Compared, Comparison, Judged, MOST, MOSTLY_CLOCK, SelfCheck, ServerBound,
    Slowed, Verdict,
};

use crate::findings::{claims, machines};
use crate::format::{percent, three_digits};

/// What a comparison says in addition to its tables.
#[derive(Debug)]
pub struct Summary {
    /// What it is about.
    pub title: String,
    /// What it is.
    pub lines: Vec<String>,
}

/// What has changed since an earlier run, and what the comparison found in
/// itself.
pub(crate) fn summaries(comparison: &Comparison) -> Vec<Summary> {
    let baseline = comparison.baseline.as_ref().map(|baseline| Summary {
        title: format!("Against {} ({:.12})", baseline.name, baseline.revision),
        lines: self::baseline(baseline),
    });
    let self_check = comparison.self_check.as_ref().map(|check| Summary {
        title: "Self-check".to_owned(),
        lines: self_check(check),
    });
    baseline.into_iter().chain(self_check).collect()
}

/// The same, and what the page has in other places: what became of the article's claims with
/// Python, and whether another machine pays.
pub fn summaries_with_claims(comparison: &Comparison) -> Vec<Summary> {
    let mut all = summaries(comparison);
    all.extend(claims::summary(comparison));
    all.extend(machines::summary(comparison));
    all
}

/// `1.08 times slower [1.05, 1.11]`.
pub(crate) fn judged(judged: &Judged) -> String {
    let Judged {
        ratio, low, high, ..
    } = *judged;
    let range = |low, high| format!("[{}, {}]", three_digits(low), three_digits(high));
    match judged.verdict {
        Verdict::Slower => {
            format!("{} times slower {}", three_digits(ratio), range(low, high))
        }
        Verdict::Faster => {
            let times = three_digits(1.0 / ratio);
            format!("{times} times faster {}", range(1.0 / high, 1.0 / low))
        }
        Verdict::NoDifference => {
            let ratio = three_digits(ratio);
            format!("no difference, {ratio} {}", range(low, high))
        }
        Verdict::CannotTell => {
            let ratio = three_digits(ratio);
            format!("cannot tell, {ratio} {}", range(low, high))
        }
    }
}

/// `tokio 1.54.0 to 1.55.0`.
pub(crate) fn change(change: &Change) -> String {
    let Change { what, from, to } = change;
    // The compiler says its name with its version.
    let named = format!("{what} ");
    let bare = |version: &str| version.strip_prefix(&named).unwrap_or(version).to_owned();
    format!("{what} {} to {}", bare(from), bare(to))
}

/// `tokio: pipeline heavy 1.08 times slower [1.05, 1.11]`.
pub(crate) fn compared(cell: &Compared) -> String {
    let Compared {
        workload,
        label,
        model,
        judged,
        ..
    } = cell;
    format!("{model}: {workload} {label} {}", self::judged(judged))
}

/// All of it in lines: what is different first.
pub(crate) fn baseline(baseline: &Baseline) -> Vec<String> {
    let mut lines: Vec<_> = baseline.versions.iter().map(change).collect();
    lines.extend(baseline.warnings.iter().cloned());
    let different = |cell: &&Compared| cell.judged.verdict.is_difference();
    let different = baseline.cells.iter().filter(different);
    lines.extend(different.map(compared));
    let number = |verdict| {
        let of = |cell: &&Compared| cell.judged.verdict == verdict;
        baseline.cells.iter().filter(of).count()
    };
    let all = baseline.cells.len();
    lines.push(format!(
        "{} of {all} cells: no difference",
        number(Verdict::NoDifference)
    ));
    let unknown = number(Verdict::CannotTell);
    if unknown > 0 {
        lines.push(format!("{unknown} of {all} cells: cannot tell"));
    }
    lines.extend(baseline.left_out.iter().cloned());
    let vanished = baseline.vanished.iter();
    lines.extend(vanished.map(|cell| format!("{cell} had a time then, and has none now")));
    lines.extend(baseline.broken_limit().map(|broken| broken.to_string()));
    lines
}

/// All of it in lines.
pub(crate) fn self_check(check: &SelfCheck) -> Vec<String> {
    let SelfCheck {
        pairs,
        different,
        share,
        ..
    } = check;
    let twins = match pairs {
        0 => "no pair was judged, so nothing is shown".to_owned(),
        _ => format!(
            "{different} of {pairs} pairs of a model and itself came out as a difference: \
             {}, of at most {}",
            percent(*share),
            percent(MOST)
        ),
    };
    let slowed = match &check.slowed {
        Some(Slowed {
            workload,
            label,
            by,
            pair,
        }) => format!(
            "{} with {} more work in {workload} {label}: {}",
            pair.other,
            percent(by - 1.0),
            self::judged(&pair.judged)
        ),
        None => "no copy with more work: primes heavy was not measured in enough rounds".to_owned(),
    };
    let end = if check.passed() {
        "passed"
    } else {
        "not passed"
    };
    vec![twins, slowed, end.to_owned()]
}

/// Why a time has no rank.
pub(crate) fn mostly_clock() -> String {
    let part = MOSTLY_CLOCK * 100.0;
    format!("{part} % or more of this time is the reading of the clock")
}

/// What it means for a time.
pub(crate) fn server_bound(bound: ServerBound) -> &'static str {
    match bound {
        ServerBound::Link => "the link sets the time, as the job asks for",
        ServerBound::Delay => "the delay sets the time, as the job asks for",
        ServerBound::Speed => "the origin could not go faster: this measures it, not the model",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use results::Pair;

    fn estimate(ratio: f64, verdict: Verdict) -> Judged {
        Judged {
            ratio,
            low: ratio - 0.03,
            high: ratio + 0.03,
            verdict,
        }
    }

    #[test]
    fn a_verdict_has_its_ratio_and_interval() {
        for (ratio, verdict, text) in [
            (1.08, Verdict::Slower, "1.08 times slower [1.05, 1.11]"),
            (0.5, Verdict::Faster, "2.00 times faster [1.89, 2.13]"),
            (
                1.0,
                Verdict::NoDifference,
                "no difference, 1.00 [0.97, 1.03]",
            ),
        ] {
            assert_eq!(judged(&estimate(ratio, verdict)), text);
        }
        let cell = Compared {
            workload: "pipeline".to_owned(),
            preset: "heavy".to_owned(),
            label: "heavy".to_owned(),
            model: "tokio".to_owned(),
            judged: estimate(1.08, Verdict::Slower),
        };
        let text = "tokio: pipeline heavy 1.08 times slower [1.05, 1.11]";
        assert_eq!(compared(&cell), text);
    }

    #[test]
    fn a_changed_version_is_named_once() {
        for (what, from, to, text) in [
            ("flume", "none", "0.12.0", "flume none to 0.12.0"),
            (
                "rustc",
                "rustc 1.94.0 (a)",
                "rustc 1.95.0 (b)",
                "rustc 1.94.0 (a) to 1.95.0 (b)",
            ),
        ] {
            let [what, from, to] = [what, from, to].map(str::to_owned);
            assert_eq!(change(&Change { what, from, to }), text);
        }
    }

    #[test]
    fn a_self_check_says_what_it_found() {
        let check = SelfCheck {
            pairs: 40,
            different: 3,
            share: 0.075,
            slowed: Some(Slowed {
                workload: "primes".to_owned(),
                label: "heavy".to_owned(),
                by: 1.05,
                pair: Pair {
                    model: "serial#slowed".to_owned(),
                    other: "serial".to_owned(),
                    judged: estimate(1.05, Verdict::Slower),
                },
            }),
        };
        let words = self_check(&check).join("\n");
        for says in [
            "3 of 40",
            "7.5 %, of at most 5.0 %",
            "serial with 5.0 % more work in primes heavy: 1.05 times slower",
        ] {
            assert!(words.contains(says), "no {says} in {words}");
        }
        assert!(words.ends_with("not passed"), "{words}");
    }
}
