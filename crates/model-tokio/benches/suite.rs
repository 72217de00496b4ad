//! Every workload, timed.

harness::benches!(model_tokio::Tokio);
