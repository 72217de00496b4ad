//! Every workload, timed.

harness::benches!(model_serial::Serial);
