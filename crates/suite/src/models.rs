//! The models.

/// Every model, as named on the command line; `model-NAME` is its package.
pub const MODELS: [&str; 6] = ["serial", "thread", "process", "tokio", "async-std", "smol"];

/// The model that ratios are also given against.
pub const BASELINE: &str = "serial";
