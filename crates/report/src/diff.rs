//! What is the same in two texts, and what differs.

use similar::{DiffOp, TextDiff};

/// A step on the way through two texts, in whole lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The number of lines that are the same in both.
    Same(usize),
    /// How many are only in the one, and how many stand in their place.
    Other(usize, usize),
}

/// What is the same in two texts, and what differs. The page marks the same lines
/// as the terminal: both go by these.
pub fn steps(left: &str, right: &str) -> Vec<Step> {
    let diff = TextDiff::from_lines(left, right);
    let step = |op: &DiffOp| match *op {
        DiffOp::Equal { len, .. } => Step::Same(len),
        DiffOp::Delete { old_len, .. } => Step::Other(old_len, 0),
        DiffOp::Insert { new_len, .. } => Step::Other(0, new_len),
        DiffOp::Replace {
            old_len, new_len, ..
        } => Step::Other(old_len, new_len),
    };
    diff.ops().iter().map(step).collect()
}
