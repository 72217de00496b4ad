//! Unit: none. Shares: nothing. Ends: at once, with the reason.

/// Why this model does not do it.
pub(crate) const REFUSAL: &str = "its listener belongs to one machine";
