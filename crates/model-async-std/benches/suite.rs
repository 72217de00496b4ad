//! Every workload, timed.

harness::benches!(model_async_std::AsyncStd);
