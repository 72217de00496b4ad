//! How long every workload takes this model: `cargo bench -p model-cluster`.

harness::benches!(model_cluster::Cluster);
