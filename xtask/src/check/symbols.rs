//! No model's program has code of another model's runtime in it.
//!
//! What Cargo says of packages and features is what may be linked; the symbols of a
//! program are what was.

use std::path::Path;

use lab::build::{self, Profile};
use lab::interrupt::Interrupt;
use lab::models;
use lab::progress::Progress;
use lab::symbols;
use lab::workspace;

/// What no model's program may have in it: these are for tests and benches.
const NEVER: [&str; 2] = ["criterion", "harness"];

/// Every model's program has the symbols of its own runtime and of no other's. The
/// programs are built for that, as they are measured.
pub fn check(root: &Path) -> Result<(), String> {
    let problem = |error: anyhow::Error| format!("{error:#}");
    let models = models::models(root).map_err(problem)?;
    let packages: Vec<_> = models
        .iter()
        .map(|model| workspace::package(model.name()))
        .collect();
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    let interrupt = Interrupt::install().map_err(|error| error.to_string())?;
    let progress = Progress::new();
    let built = build::programs(root, &packages, Profile::Release, &interrupt, &progress);
    let mut found = Vec::new();
    for (model, program) in models.iter().zip(built.map_err(problem)?) {
        let program = program.ok_or_else(|| format!("model-{} does not build", model.name()))?;
        let mut forbidden = models::forbidden_symbols(&models, model);
        forbidden.extend(NEVER);
        let own: Vec<&str> = model.symbols.iter().map(String::as_str).collect();
        let wrong = symbols::check(&program, &own, &forbidden).map_err(problem)?;
        found.extend(
            wrong
                .iter()
                .map(|says| format!("model-{} has {says}", model.name())),
        );
    }
    super::outcome(&found)
}
