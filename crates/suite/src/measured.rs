//! What a comparison has to know of a job beside the job itself.

use std::time::Duration;

use serde_json::Value;

use crate::counter::Guard;
use crate::{Invalid, Job, Preset, Workload, chat, counter, datagram, files, proxy, scan, serve};

/// A second way to do a job that is worth a row of its own in a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variant {
    /// Its name in tables.
    pub name: &'static str,
    /// What to set, on top of a preset.
    pub set: &'static [(&'static str, &'static str)],
    /// By what a preset is [divided](Job::scaled) for it, where each piece of its work
    /// costs so much more.
    pub divisor: u64,
    /// Whether only models of tasks do it.
    pub is_for_tasks: bool,
    /// The only preset that it is a variant of; none if it is one of each.
    pub preset: Option<Preset>,
}

impl Variant {
    const fn new(name: &'static str, set: &'static [(&'static str, &'static str)]) -> Self {
        Self {
            name,
            set,
            divisor: 1,
            is_for_tasks: false,
            preset: None,
        }
    }

    const fn divided(self, divisor: u64) -> Self {
        Self { divisor, ..self }
    }

    const fn for_tasks(self) -> Self {
        Self {
            is_for_tasks: true,
            ..self
        }
    }

    const fn heavy(self) -> Self {
        let preset = Some(Preset::Heavy);
        Self { preset, ..self }
    }

    /// This variant of a preset's job.
    pub fn of(&self, preset: &Job) -> Result<Job, Invalid> {
        let mut job = preset.scaled(self.divisor);
        for (key, value) in self.set {
            job.set(key, value)?;
        }
        Ok(job)
    }
}

impl Workload {
    /// Second ways to do a preset's job that a comparison measures as well.
    pub fn variants(self, preset: Preset) -> impl Iterator<Item = &'static Variant> {
        let all: &'static [Variant] = match self {
            Workload::Counter => {
                const {
                    &[
                        Variant::new("racy", &[("guard", "racy")]),
                        Variant::new("async", &[("guard", "async")]).divided(10),
                    ]
                }
            }
            Workload::Files => {
                const { &[Variant::new("runtime", &[("place", "runtime")]).for_tasks()] }
            }
            Workload::Offload => const { &[Variant::new("inline", &[("place", "inline")])] },
            Workload::Pipeline => {
                const { &[Variant::new("common", &[("channel", "common")]).for_tasks()] }
            }
            Workload::Exchange => const { &[Variant::new("text", &[("payload", "text")])] },
            Workload::Spawn => {
                const {
                    &[
                        Variant::new("channel", &[("reply", "channel")]),
                        Variant::new("tree", &[("tree", "10")]),
                    ]
                }
            }
            Workload::Serve => {
                const {
                    &[
                        Variant::new("rate", &[("rate", "4000"), ("requests", "2000")]).heavy(),
                        Variant::new(
                            "idle",
                            &[
                                ("idle", "4000"),
                                ("connections", "40"),
                                ("requests", "4000"),
                            ],
                        )
                        .heavy(),
                        Variant::new(
                            "burn",
                            &[("rate", "2000"), ("requests", "1000"), ("burn", "100")],
                        )
                        .heavy(),
                        Variant::new(
                            "burn-inline",
                            &[
                                ("rate", "2000"),
                                ("requests", "1000"),
                                ("burn", "100"),
                                ("place", "inline"),
                            ],
                        )
                        .heavy(),
                    ]
                }
            }
            Workload::Proxy => {
                const {
                    &[
                        Variant::new("rate", &[("rate", "2000"), ("requests", "1000")]).heavy(),
                        Variant::new(
                            "tunnel",
                            &[
                                ("mode", "connect"),
                                ("requests", "64"),
                                ("bytes", "8388608"),
                            ],
                        )
                        .heavy(),
                        Variant::new(
                            "idle",
                            &[
                                ("mode", "connect"),
                                ("idle", "4000"),
                                ("connections", "100"),
                                ("requests", "4000"),
                            ],
                        )
                        .heavy(),
                    ]
                }
            }
            Workload::Chat => {
                const {
                    &[
                        // Longer messages, or the kernel would hold them all.
                        Variant::new(
                            "slow",
                            &[("slow", "2"), ("bytes", "1024"), ("policy", "drop")],
                        )
                        .heavy(),
                        Variant::new("slow-wait", &[("slow", "2"), ("bytes", "1024")]).heavy(),
                        Variant::new(
                            "slow-disconnect",
                            &[("slow", "2"), ("bytes", "1024"), ("policy", "disconnect")],
                        )
                        .heavy(),
                        Variant::new(
                            "wide",
                            &[
                                ("rooms", "1"),
                                ("members", "4000"),
                                ("senders", "1"),
                                ("messages", "20"),
                            ],
                        )
                        .heavy(),
                        Variant::new("rate", &[("rate", "2000"), ("messages", "10")]).heavy(),
                    ]
                }
            }
            Workload::Deadlines => {
                const {
                    &[
                        Variant::new("in-time", &[("late_per_mille", "0")]).heavy(),
                        Variant::new("without", &[("late_per_mille", "0"), ("deadline_ms", "0")])
                            .heavy(),
                        Variant::new(
                            "cancel",
                            &[
                                ("operations", "2000"),
                                ("limit", "2000"),
                                ("late_per_mille", "1000"),
                                ("deadline_ms", "60000"),
                                ("cancel_after", "2000"),
                            ],
                        )
                        .heavy(),
                    ]
                }
            }
            Workload::Datagram => {
                const {
                    &[
                        Variant::new(
                            "lossy",
                            &[("lose", "10"), ("retries", "3"), ("timeout_ms", "20")],
                        )
                        .divided(2)
                        .heavy(),
                        Variant::new("flood", &[("window", "0")]).heavy(),
                    ]
                }
            }
            Workload::Scan => {
                const {
                    &[Variant::new(
                        "filtered",
                        &[
                            // Above those that take a privilege, and below those that
                            // connections come from.
                            ("ports", "20001-24096"),
                            ("filtered", "256"),
                            ("limit", "128"),
                            ("timeout_ms", "200"),
                            ("retries", "0"),
                        ],
                    )
                    .heavy()]
                }
            }
            Workload::Send => {
                const {
                    &[
                        Variant::new("small", &[("files", "4000"), ("bytes", "4096")]).heavy(),
                        Variant::new("sendfile", &[("path", "sendfile")]).heavy(),
                    ]
                }
            }
            Workload::Primes
            | Workload::Fetch
            | Workload::Download
            | Workload::PingPong
            | Workload::Sleepers
            | Workload::Echo
            | Workload::Thumbnails => &[],
        };
        let is_of = move |variant: &&Variant| variant.preset.is_none_or(|only| only == preset);
        all.iter().filter(is_of)
    }
}

/// Why no model may be ranked by a job, if so: of this workload, and with these
/// parameters, as results have them.
pub fn unranked(workload: &str, job: &Value) -> Option<&'static str> {
    let workload: Workload = workload.parse().ok()?;
    workload.job_from_json(job.clone()).ok()?.unranked()
}

impl Job {
    /// The same job as it is timed: without what only its check needs, and what would
    /// be measured along.
    pub fn timed(mut self) -> Self {
        match &mut self {
            Job::Pipeline(job) => job.unwatched = true,
            Job::Spawn(job) => job.unwatched = true,
            Job::Scan(job) => job.unwatched = true,
            Job::Chat(job) => job.unwatched = true,
            _ => {}
        }
        self
    }

    /// By what the preset's job can be [divided](Self::scaled) at most without becoming
    /// another one, on which models rank differently: with three thumbnails for two cores,
    /// say, or fewer calls than a pool has threads.
    pub fn most_divisor(&self) -> u64 {
        match self {
            Job::Fetch(_) => 1,
            // Each of its slots has ten operations.
            Job::Deadlines(_) => 4,
            Job::Offload(_) => 2,
            Job::Thumbnails(_) => 4,
            Job::Primes(_)
            | Job::Download(_)
            | Job::Sleepers(_)
            | Job::Echo(_)
            | Job::Datagram(_)
            | Job::Send(_)
            | Job::Files(_) => 8,
            Job::Counter(_) | Job::Pipeline(_) | Job::Exchange(_) | Job::PingPong(_) => 16,
            // Three batches are left.
            Job::Spawn(_) => 32,
            // Fewer have no 99th percentile.
            Job::Serve(serve::Job { rate: 1.., .. })
            | Job::Proxy(proxy::Job { rate: 1.., .. })
            | Job::Chat(chat::Job { rate: 1.., .. }) => 2,
            // Fewer would be in the kernel's buffers, whatever the policy is.
            Job::Chat(chat::Job { slow: 1.., .. }) => 1,
            // One a connection.
            Job::Proxy(proxy::Job {
                requests: ..1000, ..
            }) => 1,
            // Each of its slots waits once.
            Job::Scan(scan::Job { filtered: 1.., .. }) => 2,
            Job::Chat(_) => 8,
            Job::Serve(_) | Job::Proxy(_) | Job::Scan(_) => 16,
        }
    }

    /// Why no model may be ranked by this job, if so.
    pub fn unranked(&self) -> Option<&'static str> {
        match self {
            Job::Counter(counter::Job {
                guard: Guard::Racy, ..
            }) => Some("whether workers overlap, and so what they lose and pay, is chance"),
            Job::Serve(serve::Job { rate: 1.., .. }) | Job::Proxy(proxy::Job { rate: 1.., .. }) => {
                Some("its requests are due at a rate: what differs is their latency")
            }
            Job::Datagram(datagram::Job { window: 0, .. }) => {
                Some("its clients do not wait: what differs is how many datagrams come back")
            }
            Job::Chat(chat::Job { rate: 1.., .. }) => {
                Some("its messages are due at a rate: what differs is their latency")
            }
            _ => None,
        }
    }

    /// Whether the job is a control: the models of tasks do it with the same code of std, so
    /// they should not differ. Where they do, the cause is the machine.
    pub fn is_control(&self) -> bool {
        match self {
            Job::Counter(job) => matches!(job.guard, Guard::Lock | Guard::Atomic),
            Job::Files(job) => job.place == files::Place::Pool,
            Job::Primes(_) | Job::Thumbnails(_) => true,
            Job::Pipeline(_)
            | Job::Exchange(_)
            | Job::Fetch(_)
            | Job::Offload(_)
            | Job::Download(_)
            | Job::PingPong(_)
            | Job::Sleepers(_)
            | Job::Spawn(_)
            | Job::Deadlines(_)
            | Job::Echo(_)
            | Job::Datagram(_)
            | Job::Serve(_)
            | Job::Proxy(_)
            | Job::Scan(_)
            | Job::Chat(_) => false,
            Job::Send(_) => false,
        }
    }

    /// Why the job's times vary from round to round by more than the machine's usual noise,
    /// if they do.
    pub fn scatter(&self) -> Option<&'static str> {
        match self {
            Job::Counter(_) | Job::Pipeline(_) | Job::Exchange(_) | Job::PingPong(_) => Some(
                "its time varies by itself: cache lines and wake-ups pass between cores, whose \
                 cost changes from minute to minute on a virtual machine",
            ),
            Job::Primes(_)
            | Job::Fetch(_)
            | Job::Offload(_)
            | Job::Download(_)
            | Job::Sleepers(_)
            | Job::Spawn(_)
            | Job::Deadlines(_)
            | Job::Echo(_)
            | Job::Datagram(_)
            | Job::Serve(_)
            | Job::Proxy(_)
            | Job::Scan(_)
            | Job::Chat(_)
            | Job::Send(_)
            | Job::Files(_)
            | Job::Thumbnails(_) => None,
        }
    }

    /// How long the job waits on purpose, the same in every model: no part of its time.
    pub fn wait(&self) -> Duration {
        match self {
            Job::Sleepers(job) => job.wait(),
            Job::Counter(_)
            | Job::Pipeline(_)
            | Job::Primes(_)
            | Job::Exchange(_)
            | Job::Fetch(_)
            | Job::Offload(_)
            | Job::Download(_)
            | Job::PingPong(_)
            | Job::Spawn(_)
            | Job::Deadlines(_)
            | Job::Echo(_)
            | Job::Datagram(_)
            | Job::Serve(_)
            | Job::Proxy(_)
            | Job::Scan(_)
            | Job::Chat(_)
            | Job::Send(_)
            | Job::Files(_)
            | Job::Thumbnails(_) => Duration::ZERO,
        }
    }
}
