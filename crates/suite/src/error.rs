use std::fmt;

/// What a model's methods return: an answer, or an error that names the thing.
///
/// Two errors are told from all others, with `downcast_ref`: [`Unsupported`] and
/// [`WrongAnswer`].
pub type Result<T> = anyhow::Result<T>;

/// The model does not do this job at this size; the text says why.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Unsupported(pub String);

/// The job ran to its end and its answer is wrong.
#[derive(Debug, Clone, thiserror::Error)]
#[error("wrong answer: {what} is {got}, and {expected} is right")]
pub struct WrongAnswer {
    /// Which part of the outcome, by the name of its key.
    pub what: &'static str,
    /// What the model answered.
    pub got: String,
    /// What a right answer would have been.
    pub expected: String,
}

impl WrongAnswer {
    /// `Ok` when `right`, else an error that says what would have been.
    pub(crate) fn unless(
        right: bool,
        what: &'static str,
        got: impl fmt::Display,
        expected: impl fmt::Display,
    ) -> std::result::Result<(), Self> {
        if right {
            return Ok(());
        }
        Err(Self {
            what,
            got: got.to_string(),
            expected: expected.to_string(),
        })
    }
}

/// A parameter that makes no sense: what was wrong, and what is allowed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{key} = {value}: {allowed}")]
pub struct Invalid {
    /// The key, as `--set` takes it.
    pub key: String,
    /// The value that was refused.
    pub value: String,
    /// What would have been accepted.
    pub allowed: String,
}

impl Invalid {
    /// Refuses `value` for `key`, saying what is `allowed`.
    pub fn new(
        key: impl Into<String>,
        value: impl fmt::Display,
        allowed: impl Into<String>,
    ) -> Self {
        Self {
            key: key.into(),
            value: value.to_string(),
            allowed: allowed.into(),
        }
    }

    /// Refuses `value` for `key` unless it is right, saying what is `allowed`.
    pub(crate) fn unless(
        right: bool,
        key: &str,
        value: impl fmt::Display,
        allowed: &str,
    ) -> std::result::Result<(), Self> {
        if right {
            return Ok(());
        }
        Err(Self::new(key, value, allowed))
    }

    /// Refuses a `value` outside `least..=most`.
    pub(crate) fn unless_within(
        key: &str,
        value: u64,
        least: u64,
        most: u64,
    ) -> std::result::Result<(), Self> {
        if (least..=most).contains(&value) {
            return Ok(());
        }
        Err(Self::new(
            key,
            value,
            format!("has to be from {least} to {most}"),
        ))
    }
}
