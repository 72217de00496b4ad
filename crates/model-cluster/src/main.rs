//! The cluster model's program. It runs as the parent, as a node, and as the process that becomes
//! the server.

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    match env::args().nth(1).as_deref() {
        Some("node") => model_cluster::node(),
        Some("nats-server") => model_cluster::become_server(),
        _ => runner::main_with::<model_cluster::Cluster, _>(model_cluster::Options::choose),
    }
}
