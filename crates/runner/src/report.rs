//! What `run --json` prints.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use suite::{Preset, Workload};

/// One job that one model did, as one line of JSON: these keys, in this order.
///
/// Together, `launch_ns`, `start_ns` and `elapsed_ns` are what the job takes
/// cold. What the runner does in between, as asking the origin for its list, is
/// in none of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The model's name.
    pub model: String,
    /// The workload.
    pub workload: Workload,
    /// The preset that the job started from.
    pub preset: Preset,
    /// The job: see [`suite::Job::to_json`].
    pub job: Value,
    /// The answer: a [`suite::Outcome`].
    pub outcome: Value,
    /// What the job alone took.
    pub elapsed_ns: u64,
    /// From the process's start to its own first line, if it was told when it
    /// was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch_ns: Option<u64>,
    /// Starting the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_ns: Option<u64>,
    /// The origin's processor time, if the job has an origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_cpu_ns: Option<u64>,
    /// The most memory of the process, or what its tree has at the end; none
    /// where the system does not tell.
    pub peak_memory_bytes: Option<u64>,
    /// Threads of the process tree at the end; none where the system does not
    /// tell.
    pub threads: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_back_and_printed_the_same() {
        for line in [
            r#"{"model":"tokio","workload":"ping-pong","preset":"heavy","job":{"units":2,"passes":3},"outcome":{"passes":3,"out_of_order":0},"elapsed_ns":5,"launch_ns":1,"start_ns":2,"origin_cpu_ns":3,"peak_memory_bytes":4,"threads":6}"#,
            r#"{"model":"serial","workload":"primes","preset":"article","job":{},"outcome":{},"elapsed_ns":18446744073709551615,"start_ns":2,"peak_memory_bytes":null,"threads":null}"#,
        ] {
            let report: Report = serde_json::from_str(line).expect("a report");
            let again = serde_json::to_string(&report).expect("plain numbers and texts");
            assert_eq!(again, line);
        }
    }
}
