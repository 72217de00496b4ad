//! What parts of the page are called in links, and each model's color.

use suite::models::MODELS;

/// Where a job is on the page.
pub fn anchor(workload: &str, label: &str) -> String {
    slug(&format!("{workload}-{label}"))
}

/// A name as an anchor.
pub fn slug(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    name.replace(|c| !fits(c), "-")
}

/// How many colours the page has for lines.
pub(crate) const COLOURS: usize = MODELS.len() + 1;

/// Which of the page's colours a model has; whoever is none of ours has the last.
pub fn colour(model: &str) -> usize {
    let place = MODELS.iter().position(|known| *known == model);
    place.unwrap_or(MODELS.len())
}
