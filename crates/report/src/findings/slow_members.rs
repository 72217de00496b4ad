//! What three well-known chat servers do with a member that does not read, held against what was
//! measured of each policy.

use results::Comparison;
use suite::chat::{Job, Policy};

use crate::findings::{self, JobResults};
use crate::format::{memory, time};

/// What they do, and the policy that does it.
const TREATMENTS: [(Policy, &str); 3] = [
    (
        Policy::Wait,
        "smol's example chat-server writes to one member after the other: when one does not read, \
         all of them wait. With the policy \"wait\" the room waits for it, too; here until the \
         member reads after all.",
    ),
    (
        Policy::Drop,
        "tokio's broadcast channel keeps so many messages, and drops the oldest for a member that \
         is further behind; it is told how many. The policy \"drop\" does this.",
    ),
    (
        Policy::Disconnect,
        "axum's example chat takes such a channel, and ends a member's connection when messages \
         were dropped for it. The policy \"disconnect\" does this.",
    ),
];

/// Paragraphs, with figures; none if no job has members that do not read.
pub(crate) fn story(comparison: &Comparison) -> Vec<String> {
    let jobs = findings::all(comparison);
    let measured = jobs.iter().filter_map(|job| Some((job, parameters(job)?)));
    let measured: Vec<_> = measured.collect();
    let Some((_, first)) = measured.first() else {
        return Vec::new();
    };
    let [unread, kept] = [first.unread_bytes(), first.kept_bytes()].map(memory);
    let unbounded = format!(
        "tokio's example chat has an unbounded channel for each member: no member waits, and \
         nothing is lost, but what a member does not read stays in memory. In a job here that would be \
         {unread}, and more with each message; a room's log is {kept} in all rooms together, \
         however much is sent."
    );
    let treatments = TREATMENTS.iter().filter_map(|(policy, told)| {
        let (job, _) = measured.iter().find(|(_, job)| job.policy == *policy)?;
        Some(format!("{told} {}", figures(job)?))
    });
    [unbounded].into_iter().chain(treatments).collect()
}

/// The job, if it is one of rooms with members that do not read.
fn parameters(job: &JobResults) -> Option<Job> {
    let is_one = job.workload() == "chat" && !job.is_point() && job.on_all_cores();
    let job: Job = serde_json::from_value(job.cells.first()?.job.clone()).ok()?;
    (is_one && job.slow > 0).then_some(job)
}

/// How long members that read have waited, and what the server took.
fn figures(job: &JobResults) -> Option<String> {
    let figure = |model| {
        let latency = job.cell(model)?.latency.as_ref()?;
        let p99 = time(latency.p99_ns.median);
        let took = job.memory(model).map(memory);
        let took = took.map_or_else(String::new, |took| format!(" and {took}"));
        Some(format!("{model} {p99}{took}"))
    };
    let figures: Vec<_> = job.models().into_iter().filter_map(figure).collect();
    (!figures.is_empty()).then(|| {
        format!(
            "In chat {}, 99 of 100 messages to members that read took at most, with this much \
             memory: {}.",
            job.label(),
            figures.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use results::fixture::{Builder, cell, steady};
    use results::{Cell, Latency, Range};
    use serde_json::json;
    use suite::{Preset, Workload};

    use super::*;

    fn measured(policy: &str, p99_ns: f64) -> Cell {
        let mut job = Workload::Chat.job(Preset::Heavy);
        for (key, value) in [("slow", "2"), ("policy", policy)] {
            job.set(key, value).expect("its own key");
        }
        let range = |median| Range {
            median,
            low: median,
            high: median,
        };
        let p99 = range(p99_ns);
        Cell {
            job: job.to_json(),
            time: Some(steady(1e9, 6)),
            latency: Some(Latency {
                runs: 3,
                requests: 100,
                offered_per_s: None,
                achieved_per_s: range(1e6),
                has_kept_up: true,
                late: 0,
                generator_busy: 0.5,
                p50_ns: p99,
                p90_ns: p99,
                p99_ns: p99,
                p999_ns: p99,
                max_ns: p99,
                added_p50_ns: None,
            }),
            ..cell("chat", &format!("heavy-{policy}"), "tokio")
        }
    }

    #[test]
    fn each_policy_is_told_with_its_figures() {
        let cells = [measured("wait", 104e6), measured("drop", 2e6)];
        let comparison = Builder::new().cells(cells).build();
        let told = story(&comparison);
        assert_eq!(told.len(), 3, "{told:#?}");
        assert!(told[1].contains("tokio 104 ms"), "{}", told[1]);
        assert!(told[2].contains("tokio 2.00 ms"), "{}", told[2]);

        let mut none = cell("chat", "heavy", "tokio");
        none.job = json!({});
        assert!(story(&Builder::new().cells([none]).build()).is_empty());
    }
}
