//! What parts of the page are called in links, and each model's color.

use suite::models::MODELS;

/// Where a job is on the page.
pub(crate) fn anchor(workload: &str, label: &str) -> String {
    slug(&format!("{workload}-{label}"))
}

/// Where a sweep is on the page.
pub(crate) fn sweep(workload: &str, key: &str, cores: Option<usize>) -> String {
    match cores {
        None => format!("sweep-{workload}.{key}"),
        Some(cores) => format!("sweep-{workload}.{key}-{cores}"),
    }
}

/// A name as an anchor.
pub(crate) fn slug(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    name.replace(|c| !fits(c), "-")
}

/// How many colours the page has for lines.
pub(crate) const COLOURS: usize = MODELS.len() + 1;

/// Which of the page's colours a model has; whoever is none of ours has the last.
pub(crate) fn colour(model: &str) -> usize {
    let place = MODELS.iter().position(|known| *known == model);
    place.unwrap_or(MODELS.len())
}
