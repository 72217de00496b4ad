//! Requests that are refused.

/// A request that is not served, and why.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub status: u16,
    pub reason: String,
    /// The methods that the path has, where the request's is none of them.
    pub allow: Option<&'static str>,
}

impl Refusal {
    pub(crate) fn new(status: u16, reason: String) -> Refusal {
        Refusal {
            status,
            reason,
            allow: None,
        }
    }

    pub(crate) fn method(allow: &'static str) -> Refusal {
        Refusal {
            allow: Some(allow),
            ..Refusal::new(405, format!("this path takes {allow}"))
        }
    }
}
