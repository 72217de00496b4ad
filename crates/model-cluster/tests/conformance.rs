//! What every model is held to.

harness::conformance!(model_cluster::Cluster);
