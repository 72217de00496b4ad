use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Invalid, Model, Result, WrongAnswer, chat, counter, datagram, deadlines, download, echo,
    exchange, fetch, files, offload, ping_pong, pipeline, primes, proxy, scan, send, serve,
    sleepers, spawn, thumbnails,
};

/// Which numbers a job starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Those of the article that the suite comes from.
    Article,
    /// Sized so that the serial model takes tens of milliseconds or more; or, of
    /// what only units can do, so that they do.
    Heavy,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Preset; 2] = [Preset::Article, Preset::Heavy];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Preset::Article => "article",
            Preset::Heavy => "heavy",
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Preset {
    type Err = Invalid;

    fn from_str(name: &str) -> std::result::Result<Self, Invalid> {
        Preset::ALL
            .into_iter()
            .find(|preset| preset.name() == name)
            .ok_or_else(|| {
                let all = Preset::ALL.map(Preset::name).join(", ");
                Invalid::new("preset", name, format!("has to be one of {all}"))
            })
    }
}

/// Writes the enums over all workloads, and the matches over them, once.
macro_rules! workloads {
    ($($(#[doc = $about:literal])+ $name:literal $module:ident $Workload:ident,)+) => {
        /// One of the jobs that every model does.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
        )]
        pub enum Workload {
            $($(#[doc = $about])+ #[serde(rename = $name)] $Workload,)+
        }

        /// A workload with its parameters.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        #[serde(untagged)]
        pub enum Job {
            $($(#[doc = $about])+ $Workload($module::Job),)+
        }

        /// What came of a [`Job`].
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        #[serde(untagged)]
        pub enum Outcome {
            $($(#[doc = $about])+ $Workload($module::Outcome),)+
        }

        impl Workload {
            /// Every workload, in the order of the tables.
            pub const ALL: &[Workload] = &[$(Workload::$Workload,)+];

            /// The name on the command line and in every table.
            pub fn name(self) -> &'static str {
                match self { $(Workload::$Workload => $name,)+ }
            }

            /// What the job is, in one line.
            pub fn about(self) -> &'static str {
                match self { $(Workload::$Workload => concat!($($about),+).trim_ascii(),)+ }
            }

            /// The job with a preset's numbers.
            pub fn job(self, preset: Preset) -> Job {
                match self { $(Workload::$Workload => Job::$Workload($module::Job::preset(preset)),)+ }
            }

            /// Reads a job back from what [`Job::to_json`] gave.
            pub fn job_from_json(self, job: Value) -> std::result::Result<Job, serde_json::Error> {
                Ok(match self {
                    $(Workload::$Workload => Job::$Workload(serde_json::from_value(job)?),)+
                })
            }

            /// Reads an outcome from JSON, as `outcome` of a run has it.
            pub fn outcome_from_json(
                self,
                outcome: Value,
            ) -> std::result::Result<Outcome, serde_json::Error> {
                Ok(match self {
                    $(Workload::$Workload => Outcome::$Workload(serde_json::from_value(outcome)?),)+
                })
            }
        }

        impl Job {
            /// Which workload this is a job of.
            pub fn workload(&self) -> Workload {
                match self { $(Job::$Workload(_) => Workload::$Workload,)+ }
            }

            /// Has `model` do it.
            pub fn run(&self, model: &dyn Model) -> Result<Outcome> {
                Ok(match self {
                    $(Job::$Workload(job) => Outcome::$Workload(model.$module(job)?),)+
                })
            }

            /// Accepts only a right answer.
            pub fn check(&self, outcome: &Outcome) -> std::result::Result<(), WrongAnswer> {
                match (self, outcome) {
                    $((Job::$Workload(job), Outcome::$Workload(outcome)) => job.check(outcome),)+
                    _ => Err(WrongAnswer {
                        what: "outcome",
                        got: format!("{outcome:?}"),
                        expected: format!("one of {}", self.workload()),
                    }),
                }
            }

            /// What came of it, for people: a line, or a few. The job took `elapsed`.
            pub fn summary(&self, outcome: &Outcome, elapsed: Duration) -> String {
                match (self, outcome) {
                    $((Job::$Workload(job), Outcome::$Workload(outcome)) => {
                        job.summary(outcome, elapsed)
                    })+
                    // Another workload's outcome: no check would have let it pass.
                    _ => format!("{outcome:?}"),
                }
            }

            /// Refuses parameters that make no sense.
            pub fn validate(&self) -> std::result::Result<(), Invalid> {
                match self { $(Job::$Workload(job) => job.validate(),)+ }
                    .map_err(|invalid| Invalid {
                        key: format!("{}.{}", self.workload(), invalid.key),
                        ..invalid
                    })
            }

            /// How many of a model's own units it keeps busy at once.
            pub fn units(&self) -> usize {
                match self { $(Job::$Workload(job) => job.units(),)+ }
            }

            /// The same job, about `divisor` times less of it.
            pub fn scaled(&self, divisor: u64) -> Job {
                match self {
                    $(Job::$Workload(job) => Job::$Workload(job.scaled(divisor.max(1))),)+
                }
            }
        }
    };
}

workloads! {
    /// Workers add to one shared counter behind a guard
    "counter" counter Counter,
    /// Producers and consumers share a queue of limited capacity
    "pipeline" pipeline Pipeline,
    /// A pool counts the primes of a range by trial division
    "primes" primes Primes,
    /// A writer and a reader share a queue and an integer
    "exchange" exchange Exchange,
    /// URLs that answer after different delays are fetched all at once
    "fetch" fetch Fetch,
    /// Blocking calls are made while a heartbeat has to go on
    "offload" offload Offload,
    /// Images are downloaded into a directory, a limited number at once
    "download" download Download,
    /// A token goes round a ring of units, each of which waits for it
    "ping-pong" ping_pong PingPong,
    /// Many units wait at once
    "sleepers" sleepers Sleepers,
    /// Units are started, answer with one number, and end
    "spawn" spawn Spawn,
    /// Operations wait for an answer, and are cut at a deadline or cancelled
    "deadlines" deadlines Deadlines,
    /// A TCP server sends back what its clients send
    "echo" echo Echo,
    /// UDP datagrams go to a server and come back, and some may be lost
    "datagram" datagram Datagram,
    /// Files are served over HTTP/1.1, as a load generator asks for them
    "serve" serve Serve,
    /// HTTP/1.1 requests are passed on to a server, which answers them
    "proxy" proxy Proxy,
    /// Which ports of a host are open, as connecting to each of them tells
    "scan" scan Scan,
    /// Members of chat rooms send each other messages
    "chat" chat Chat,
    /// Files go to another process over TCP, and have to arrive whole
    "send" send Send,
    /// Local files are hashed, and their lines and bytes counted
    "files" files Files,
    /// JPEG images are decoded, made small and encoded again
    "thumbnails" thumbnails Thumbnails,
}

// No arm for all others in these: a new workload has to be looked at here.

impl Outcome {
    /// The completion time of each item, in nanoseconds, in any order; empty for
    /// jobs whose items have none.
    pub fn completion_ns(&self) -> &[u64] {
        match self {
            Outcome::Fetch(fetch::Outcome { completion_ns, .. })
            | Outcome::Offload(offload::Outcome { completion_ns, .. })
            | Outcome::Download(download::Outcome { completion_ns, .. }) => completion_ns,
            Outcome::Counter(_)
            | Outcome::Pipeline(_)
            | Outcome::Primes(_)
            | Outcome::Exchange(_)
            | Outcome::PingPong(_)
            | Outcome::Sleepers(_)
            | Outcome::Spawn(_)
            | Outcome::Deadlines(_)
            | Outcome::Echo(_)
            | Outcome::Datagram(_)
            | Outcome::Serve(_)
            | Outcome::Proxy(_)
            | Outcome::Scan(_)
            | Outcome::Chat(_)
            | Outcome::Send(_)
            | Outcome::Files(_)
            | Outcome::Thumbnails(_) => &[],
        }
    }

    /// The same outcome without these.
    pub fn without_completions(mut self) -> Self {
        if let Outcome::Fetch(fetch::Outcome { completion_ns, .. })
        | Outcome::Offload(offload::Outcome { completion_ns, .. })
        | Outcome::Download(download::Outcome { completion_ns, .. }) = &mut self
        {
            *completion_ns = Vec::new();
        }
        debug_assert!(self.completion_ns().is_empty(), "{self:?}");
        self
    }
}

impl Workload {
    /// From when to when the clock of an item runs; none where
    /// [`Outcome::completion_ns`] is empty.
    pub fn completion_clock(self) -> Option<&'static str> {
        match self {
            Workload::Fetch => {
                Some("from the job's start, when all are asked, until the body is whole")
            }
            Workload::Offload => {
                Some("from the job's start, when all are handed over, until the call is done")
            }
            Workload::Download => Some(
                "from when the model takes a file up, at most as many at once as the limit, \
                 until it is written",
            ),
            Workload::Counter
            | Workload::Pipeline
            | Workload::Primes
            | Workload::Exchange
            | Workload::PingPong
            | Workload::Sleepers
            | Workload::Spawn
            | Workload::Deadlines
            | Workload::Echo
            | Workload::Datagram
            | Workload::Serve
            | Workload::Proxy
            | Workload::Scan
            | Workload::Chat
            | Workload::Send
            | Workload::Files
            | Workload::Thumbnails => None,
        }
    }

    /// What a job does many of, if the price of one is worth telling: the key of its
    /// outcome that has their number, and what one is called.
    pub fn each(self) -> Option<(&'static str, &'static str)> {
        match self {
            Workload::PingPong => Some(("passes", "a pass")),
            Workload::Spawn => Some(("units", "a unit")),
            Workload::Deadlines => Some(("operations", "an operation")),
            Workload::Echo => Some(("messages", "a message")),
            Workload::Datagram => Some(("answered", "a datagram")),
            Workload::Serve | Workload::Proxy => Some(("requests", "a request")),
            Workload::Scan => Some(("ports", "a port")),
            Workload::Chat => Some(("deliveries", "a delivery")),
            Workload::Send => Some(("files", "a file")),
            Workload::Counter
            | Workload::Pipeline
            | Workload::Primes
            | Workload::Exchange
            | Workload::Fetch
            | Workload::Offload
            | Workload::Download
            | Workload::Sleepers
            | Workload::Files
            | Workload::Thumbnails => None,
        }
    }

    /// Whether the job needs the origin's process (or URLs of one's own): its HTTP server, its
    /// load generator, or one of the servers that jobs have there.
    pub fn needs_origin(self) -> bool {
        match self {
            // The load generator, the responder and the relay are in the origin's process.
            Workload::Fetch
            | Workload::Download
            | Workload::Deadlines
            | Workload::Datagram
            | Workload::Serve
            | Workload::Proxy
            | Workload::Scan
            | Workload::Chat => true,
            Workload::Send => true,
            Workload::Counter
            | Workload::Pipeline
            | Workload::Primes
            | Workload::Exchange
            | Workload::Offload
            | Workload::PingPong
            | Workload::Sleepers
            | Workload::Spawn
            | Workload::Echo
            | Workload::Files
            | Workload::Thumbnails => false,
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Workload {
    type Err = Invalid;

    fn from_str(name: &str) -> std::result::Result<Self, Invalid> {
        Workload::ALL
            .iter()
            .copied()
            .find(|workload| workload.name() == name)
            .ok_or_else(|| {
                let all: Vec<_> = Workload::ALL.iter().map(|w| w.name()).collect();
                Invalid::new(
                    "workload",
                    name,
                    format!("has to be one of {}", all.join(", ")),
                )
            })
    }
}

impl Job {
    /// The parameters as a JSON object: the keys that [`Job::set`] takes.
    ///
    /// # Panics
    ///
    /// Never: a job is plain numbers and texts, which JSON can hold.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).expect("a job is plain numbers and texts")
    }

    /// Sets one parameter from text, as `--set key=value` does: a number, a
    /// word, or a list with commas.
    pub fn set(&mut self, key: &str, text: &str) -> std::result::Result<(), Invalid> {
        let name = format!("{}.{key}", self.workload());
        let mut job = self.to_json();
        let keys = job.as_object_mut().expect("a job is an object");
        let Some(slot) = keys.get_mut(key) else {
            let known: Vec<_> = keys.keys().map(String::as_str).collect();
            return Err(Invalid::new(
                name,
                text,
                format!("there is no such key; there are {}", known.join(", ")),
            ));
        };
        let number = |text: &str| text.parse::<u64>().map(Value::from);
        *slot = match slot {
            Value::Number(_) => number(text)
                .map_err(|_| Invalid::new(&name, text, "has to be a whole number, 0 or more"))?,
            Value::Bool(_) => text
                .parse::<bool>()
                .map(Value::from)
                .map_err(|_| Invalid::new(&name, text, "has to be `true` or `false`"))?,
            Value::Array(_) => text
                .split(',')
                .filter(|part| !part.is_empty())
                .map(|part| number(part).unwrap_or_else(|_| Value::from(part)))
                .collect(),
            _ => Value::from(text),
        };
        *self = self
            .workload()
            .job_from_json(job)
            .map_err(|wrong| Invalid::new(name, text, wrong.to_string()))?;
        Ok(())
    }
}

/// A job's value as [`Job::set`] takes it: bare text, lists with commas.
pub fn setting_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(setting_text).collect::<Vec<_>>().join(","),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_valid_and_survive_json() {
        for &workload in Workload::ALL {
            for preset in Preset::ALL {
                let job = workload.job(preset);
                job.validate().expect("a preset makes sense");
                let again = workload.job_from_json(job.to_json()).expect("its own JSON");
                assert_eq!(again, job);
                job.scaled(1_000_000).validate().expect("however small");
            }
        }
    }

    #[test]
    fn keys_are_set_from_text() {
        let mut job = Workload::Fetch.job(Preset::Article);
        job.set("delays_ms", "5,6").expect("a list");
        assert_eq!(job.units(), 2);
        job.set("urls", "http://localhost/a")
            .expect("a list of one");
        assert_eq!(job.units(), 1);
        let mut job = Workload::Download.job(Preset::Article);
        job.set("into", "a directory").expect("a path");
        assert_eq!(job.to_json()["into"], "a directory");
        let mut job = Workload::Files.job(Preset::Article);
        job.set("dir", "a directory").expect("a path");
        assert_eq!(job.to_json()["dir"], "a directory");
        let mut job = Workload::Counter.job(Preset::Article);
        job.set("guard", "racy").expect("a guard");
        assert_eq!(job.to_json()["guard"], "racy");
    }

    #[test]
    fn a_job_is_set_from_its_own_values() {
        for &workload in Workload::ALL {
            let job = workload.job(Preset::Heavy);
            let mut again = workload.job(Preset::Article);
            for (key, value) in job.to_json().as_object().expect("an object") {
                if !value.is_null() {
                    again.set(key, &setting_text(value)).expect("its own value");
                }
            }
            assert_eq!(again, job);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let refused = |workload: Workload, key: &str, value: &str| {
            let mut job = workload.job(Preset::Article);
            job.set(key, value)
                .and_then(|()| job.validate())
                .expect_err("it makes no sense")
                .to_string()
        };
        let cases = [
            (Workload::Counter, "workers", "0", "counter.workers = 0"),
            (
                Workload::Counter,
                "wrkers",
                "1",
                "workers, increments, guard",
            ),
            (Workload::Counter, "workers", "-1", "whole number"),
            (
                Workload::Counter,
                "workers",
                "18446744073709551615",
                "10000",
            ),
            (
                Workload::Counter,
                "guard",
                "luck",
                "`lock`, `atomic`, `racy`",
            ),
            (Workload::Pipeline, "capacity", "0", "from 1"),
            (Workload::Primes, "end", "5", "from 1000000"),
            (Workload::Exchange, "messages", "-1", "whole number"),
            (Workload::Fetch, "delays_ms", "", "from 1"),
            (Workload::Fetch, "delays_ms", "soon", "delays_ms"),
            (Workload::Fetch, "urls", "ftp://x/", "http://"),
            (Workload::Offload, "heartbeat_ms", "0", "from 1"),
            (Workload::Download, "limit", "0", "from 1"),
            (Workload::Download, "image_bytes", "3", "from 2048"),
            (Workload::PingPong, "units", "0", "ping-pong.units = 0"),
            (Workload::Sleepers, "units", "0", "from 1"),
            (Workload::Sleepers, "wait_ms", "1.5", "whole number"),
            (Workload::Spawn, "batch", "0", "from 1"),
            (Workload::Spawn, "tree", "1", "number from 2"),
            (Workload::Spawn, "tree", "oak", "`flat`"),
            (Workload::Deadlines, "limit", "0", "from 1"),
            (Workload::Deadlines, "cancel_after", "21", "to 20"),
            (
                Workload::Deadlines,
                "deadline_ms",
                "0",
                "late_per_mille = 100",
            ),
            (Workload::Echo, "connections", "10001", "to 10000"),
            (Workload::Echo, "bytes", "0", "from 1"),
            (Workload::Datagram, "bytes", "15", "from 16 to 65507"),
            (Workload::Datagram, "lose", "1001", "to 1000"),
            (Workload::Serve, "connections", "0", "from 1"),
            (Workload::Serve, "burn", "1001", "to 1000"),
            (Workload::Serve, "place", "moon", "`inline`"),
            (Workload::Proxy, "mode", "tunnel", "`connect`"),
            (Workload::Proxy, "reuse", "1", "`true` or `false`"),
            (Workload::Proxy, "bytes", "67108865", "to 67108864"),
            (Workload::Scan, "ports", "0-9", "from 1 to 65535"),
            (Workload::Scan, "ports", "", "22,80,8000-8100"),
            (Workload::Scan, "open", "1025", "to 1024"),
            (Workload::Scan, "filtered", "1015", "to 1014"),
            (Workload::Scan, "retries", "11", "to 10"),
            (Workload::Chat, "policy", "forget", "`disconnect`"),
            (Workload::Chat, "slow", "10", "to 9"),
            (Workload::Chat, "queue", "0", "from 1"),
            (Workload::Chat, "rooms", "1001", "to 1000"),
            (Workload::Send, "streams", "0", "from 1"),
            (Workload::Send, "cut", "3145729", "to 3145728"),
            (Workload::Send, "path", "mail", "`sendfile`"),
            (Workload::Files, "count", "0", "from 1"),
            (Workload::Thumbnails, "edge", "0", "from 1"),
        ];
        for workload in Workload::ALL {
            let tried = cases.iter().any(|(tried, ..)| tried == workload);
            assert!(tried, "nothing that {workload} has to refuse was tried");
        }
        for (workload, key, value, says) in cases {
            let text = refused(workload, key, value);
            assert!(text.contains(says), "{text}");
        }
    }
}
