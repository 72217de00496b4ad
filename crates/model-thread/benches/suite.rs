//! Every workload, timed.

harness::benches!(model_thread::Thread);
