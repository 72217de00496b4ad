//! Every workload, timed.

harness::benches!(model_smol::Smol);
