//! Every workload, timed.

harness::benches!(model_process::Process);
