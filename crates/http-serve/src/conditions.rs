//! On what an answer depends: conditions (RFC 9110, 13) and ranges (14).

use std::time::{Duration, SystemTime};

use crate::refusal::Refusal;

/// The values of fields, as they were sent. Several fields of a name are one list (RFC 9110,
/// 5.3); where a list is not allowed, it is a value that means nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    pub(crate) if_match: Option<String>,
    pub(crate) if_none_match: Option<String>,
    pub(crate) if_modified_since: Option<String>,
    pub(crate) if_unmodified_since: Option<String>,
    pub(crate) range: Option<String>,
    pub(crate) if_range: Option<String>,
}

/// Which file there is.
#[derive(Debug)]
pub(crate) struct Validators<'a> {
    pub(crate) tag: &'a str,
    /// In whole seconds.
    pub(crate) modified: SystemTime,
    pub(crate) bytes: u64,
}

/// What is sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// From the first byte to the last.
    Range(u64, u64),
    /// Nothing: the client has it.
    NotModified,
}

impl Conditions {
    /// In the order of RFC 9110, 13.2.2.
    pub(crate) fn part(
        &self,
        file: &Validators,
        now: SystemTime,
        head_only: bool,
    ) -> Result<Part, Refusal> {
        let date = |field: &Option<String>| httpdate::parse_http_date(field.as_deref()?).ok();
        let is_as_wanted = match (&self.if_match, date(&self.if_unmodified_since)) {
            (Some(tags), _) => has_tag(tags, |tag| tag == file.tag),
            (None, Some(since)) => file.modified <= since,
            (None, None) => true,
        };
        if !is_as_wanted {
            return Err(Refusal::PreconditionFailed);
        }
        let is_known = match (&self.if_none_match, date(&self.if_modified_since)) {
            // The weak comparison (8.8.3.2).
            (Some(tags), _) => has_tag(tags, |tag| {
                tag.strip_prefix("W/").unwrap_or(tag) == file.tag
            }),
            (None, Some(since)) => file.modified <= since,
            (None, None) => false,
        };
        if is_known {
            return Ok(Part::NotModified);
        }
        match &self.range {
            // Ranges are of GET alone (14.2).
            Some(field) if !head_only && self.is_same(file, now) => range(field, file.bytes),
            _ => Ok(Part::Whole),
        }
    }

    /// Whether the range is one of the file as it is (13.1.5). A date tells that only if the
    /// file could not have changed again within its second (8.8.2.2).
    fn is_same(&self, file: &Validators, now: SystemTime) -> bool {
        let Some(condition) = self.if_range.as_deref() else {
            return true;
        };
        let is_strong = file.modified + Duration::from_secs(1) <= now;
        let is_date = || httpdate::parse_http_date(condition).is_ok_and(|at| at == file.modified);
        condition == file.tag || is_strong && is_date()
    }
}

fn has_tag(list: &str, is_it: impl Fn(&str) -> bool) -> bool {
    // A comma within a tag would part it: those given out here have none.
    let mut tags = list.split(',').map(str::trim);
    tags.any(|tag| tag == "*" || is_it(tag))
}

/// The part of a file with this many bytes. A field that is none of one range of bytes is
/// passed over (RFC 9110, 14.2).
///
/// # Errors
///
/// When no byte of it is there.
fn range(field: &str, bytes: u64) -> Result<Part, Refusal> {
    let number = |text: &str| -> Option<u64> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // What does not fit is more than any file has.
        is_number.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let spec = match field.split_once('=') {
        Some((unit, spec)) if unit.eq_ignore_ascii_case("bytes") => spec.trim(),
        _ => return Ok(Part::Whole),
    };
    let (first, last) = match spec.split_once('-') {
        Some(("", count)) => match number(count) {
            Some(0) => return Err(Refusal::RangeNotSatisfiable(bytes)),
            // The whole of an empty file cannot be told as a range.
            Some(count) if bytes > 0 => (bytes.saturating_sub(count), bytes - 1),
            _ => return Ok(Part::Whole),
        },
        Some((first, last)) => {
            let last = match last {
                "" => Some(u64::MAX),
                last => number(last),
            };
            match (number(first), last) {
                (Some(first), Some(last)) if first <= last => (first, last),
                _ => return Ok(Part::Whole),
            }
        }
        None => return Ok(Part::Whole),
    };
    match first < bytes {
        true => Ok(Part::Range(first, last.min(bytes - 1))),
        false => Err(Refusal::RangeNotSatisfiable(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_range_is_of_what_is_there() {
        let large = 5_000_000_000;
        for (field, bytes, right) in [
            ("bytes=0-0", 10, Some(Part::Range(0, 0))),
            ("bytes=9-9", 10, Some(Part::Range(9, 9))),
            ("bytes=2-", 10, Some(Part::Range(2, 9))),
            ("Bytes= 2-5 ", 10, Some(Part::Range(2, 5))),
            ("bytes=-3", 10, Some(Part::Range(7, 9))),
            ("bytes=-30", 10, Some(Part::Range(0, 9))),
            ("bytes=2-99999999999999999999", 10, Some(Part::Range(2, 9))),
            (
                "bytes=4294967296-4294967297",
                large,
                Some(Part::Range(1 << 32, (1 << 32) + 1)),
            ),
            ("bytes=10-", 10, None),
            ("bytes=99999999999999999999-", 10, None),
            ("bytes=-0", 10, None),
            ("bytes=0-", 0, None),
            ("bytes=-5", 0, Some(Part::Whole)),
            ("bytes=5-2", 10, Some(Part::Whole)),
            ("bytes=0-1,3-4", 10, Some(Part::Whole)),
            ("bytes=0-1, bytes=3-4", 10, Some(Part::Whole)),
            ("bytes=-", 10, Some(Part::Whole)),
            ("bytes=+1-2", 10, Some(Part::Whole)),
            ("bytes=a-b", 10, Some(Part::Whole)),
            ("bytes 0-1", 10, Some(Part::Whole)),
            ("lines=0-1", 10, Some(Part::Whole)),
        ] {
            let right = right.ok_or(Refusal::RangeNotSatisfiable(bytes));
            assert_eq!(range(field, bytes), right, "{field}");
        }
    }

    #[test]
    fn a_tag_counts_before_a_date() {
        let modified = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let tag = "\"a\"";
        let file = Validators {
            tag,
            modified,
            bytes: 10,
        };
        let (same, before, after) = (
            "Sun, 09 Sep 2001 01:46:40 GMT",
            "Sun, 09 Sep 2001 01:46:39 GMT",
            "Sun, 09 Sep 2001 01:46:41 GMT",
        );
        let part = |set: &dyn Fn(&mut Conditions)| {
            let mut conditions = Conditions::default();
            set(&mut conditions);
            conditions.part(&file, modified + Duration::from_secs(1), false)
        };
        let text = |text: &str| Some(text.to_owned());
        for (tags, date, right) in [
            (Some("\"a\""), None, Part::NotModified),
            (Some("\"b\", W/\"a\""), None, Part::NotModified),
            (Some("*"), None, Part::NotModified),
            (Some("\"b\""), Some(same), Part::Whole),
            (None, Some(same), Part::NotModified),
            (None, Some(after), Part::NotModified),
            (None, Some(before), Part::Whole),
            (None, Some("yesterday"), Part::Whole),
        ] {
            let part = part(&|set| {
                set.if_none_match = tags.map(str::to_owned);
                set.if_modified_since = date.map(str::to_owned);
            });
            assert_eq!(part, Ok(right), "{tags:?} {date:?}");
        }
        for (tags, date, right) in [
            (Some("\"a\""), Some(before), Ok(Part::Whole)),
            (Some("*"), None, Ok(Part::Whole)),
            // The strong comparison (13.1.1).
            (Some("W/\"a\""), None, Err(Refusal::PreconditionFailed)),
            (Some("\"b\""), Some(same), Err(Refusal::PreconditionFailed)),
            (None, Some(same), Ok(Part::Whole)),
            (None, Some(before), Err(Refusal::PreconditionFailed)),
        ] {
            let part = part(&|set| {
                set.if_match = tags.map(str::to_owned);
                set.if_unmodified_since = date.map(str::to_owned);
            });
            assert_eq!(part, right, "{tags:?} {date:?}");
        }
        for (condition, is_same) in [
            ("\"a\"", true),
            ("\"b\"", false),
            ("W/\"a\"", false),
            (same, true),
            (after, false),
            ("\"a\", \"a\"", false),
        ] {
            let part = part(&|set| {
                set.range = text("bytes=1-2");
                set.if_range = text(condition);
            });
            let right = match is_same {
                true => Part::Range(1, 2),
                false => Part::Whole,
            };
            assert_eq!(part, Ok(right), "{condition}");
        }
        // Within its second, a file could change again.
        let conditions = Conditions {
            range: text("bytes=1-2"),
            if_range: text(same),
            ..Conditions::default()
        };
        assert_eq!(conditions.part(&file, modified, false), Ok(Part::Whole));
    }
}
