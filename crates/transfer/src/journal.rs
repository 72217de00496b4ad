//! The journal's records, a line each.
//!
//! A line begins with the CRC-32 of its rest: what a torn write or a flipped bit
//! leaves is no record, and the line after it is one again. Appended with one
//! `write` each, so that processes can share a journal.

use crate::answer::Validator;
use crate::transfer::Part;
use crate::{Key, Sha};

/// The longest line that is read, in bytes: what `line` writes is shorter.
pub(crate) const LONGEST: u64 = 32 * 1024;

/// What is known about one URL. A later record of a URL takes the place of the
/// earlier ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// Some of it is on the disk, under its key.
    Part {
        /// The URL.
        key: Key,
        /// What the bytes belong to. `bytes` are those that outlast a power cut.
        part: Part,
    },
    /// All of it is on the disk: under its name, or still under its key if
    /// there is nothing of that name yet.
    Whole {
        /// The URL.
        key: Key,
        /// Its length.
        bytes: u64,
        /// The digest, if it was checked.
        sha256: Option<Sha>,
        /// What it is called.
        name: String,
    },
}

impl Record {
    /// Which URL it is about.
    pub fn key(&self) -> Key {
        match self {
            Record::Part { key, .. } | Record::Whole { key, .. } => *key,
        }
    }

    /// The line, with its end.
    pub fn line(&self) -> String {
        let body = match self {
            Record::Part { key, part } => {
                let validator = &part.validator;
                // Without its tag, a file would be known by its date alone.
                let whole = [&validator.etag, &validator.last_modified]
                    .into_iter()
                    .flatten()
                    .all(|value| fits(value));
                let field = |value: &Option<String>| match value {
                    Some(value) if whole => format!("={value}"),
                    _ => "-".to_owned(),
                };
                format!(
                    "part {key} {} {} {}\t{}\t{}",
                    part.bytes,
                    part.total.map_or("-".to_owned(), |total| total.to_string()),
                    if validator.dated { "dated" } else { "-" },
                    field(&validator.etag),
                    field(&validator.last_modified),
                )
            }
            Record::Whole {
                key,
                bytes,
                sha256,
                name,
            } => format!(
                "whole {key} {bytes} {} {name}",
                sha256.map_or("-".to_owned(), |sha256| sha256.to_string()),
            ),
        };
        format!("{:08x} {body}\n", crc32fast::hash(body.as_bytes()))
    }

    /// Reads a line without its end; none if it is damaged.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        let (crc, body) = line.split_at_checked(8)?;
        let body = body.strip_prefix(' ')?;
        if u32::from_str_radix(crc, 16).ok()? != crc32fast::hash(body.as_bytes()) {
            return None;
        }
        let (kind, rest) = body.split_once(' ')?;
        let (key, rest) = rest.split_once(' ')?;
        let key = Key::parse(key)?;
        let (bytes, rest) = rest.split_once(' ')?;
        let bytes = bytes.parse().ok()?;
        match kind {
            "part" => {
                let mut fields = rest.split('\t');
                let (total, dated) = fields.next()?.split_once(' ')?;
                Some(Record::Part {
                    key,
                    part: Part {
                        bytes,
                        total: total.parse().ok(),
                        validator: Validator {
                            etag: unescape(fields.next()?),
                            last_modified: unescape(fields.next()?),
                            dated: dated == "dated",
                        },
                    },
                })
            }
            "whole" => {
                let (sha256, name) = rest.split_once(' ')?;
                // Another program may have written this: no name leads elsewhere.
                let plain =
                    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']);
                plain.then(|| Record::Whole {
                    key,
                    bytes,
                    sha256: Sha::parse(sha256),
                    name: name.to_owned(),
                })
            }
            _ => None,
        }
    }
}

/// Header values hold no tab and no line end worth keeping, and are not long:
/// where one is or does, none is kept, and the file is begun again.
fn fits(value: &str) -> bool {
    value.len() <= 8 * 1024 && !value.contains(['\t', '\n', '\r'])
}

fn unescape(field: &str) -> Option<String> {
    field.strip_prefix('=').map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record() -> impl Strategy<Value = Record> {
        let header = || proptest::option::of("[ -~]{0,40}");
        let part = (
            any::<u128>(),
            any::<u64>(),
            any::<Option<u64>>(),
            header(),
            header(),
            any::<bool>(),
        )
            .prop_map(
                |(key, bytes, total, etag, last_modified, dated)| Record::Part {
                    key: Key(key),
                    part: Part {
                        bytes,
                        total,
                        validator: Validator {
                            etag,
                            last_modified,
                            dated,
                        },
                    },
                },
            );
        let whole = (any::<u128>(), any::<u64>(), any::<Option<[u8; 32]>>(), ".*").prop_map(
            |(key, bytes, sha256, name)| Record::Whole {
                key: Key(key),
                bytes,
                sha256: sha256.map(Sha),
                name: crate::name::safe(&name),
            },
        );
        prop_oneof![part, whole]
    }

    proptest! {
        #[test]
        fn a_record_is_read_back(record in record()) {
            let line = record.line();
            let body = line.strip_suffix('\n').expect("a line");
            prop_assert!(!body.contains('\n'));
            prop_assert_eq!(Record::parse(body.as_bytes()), Some(record));
        }

        #[test]
        fn a_flipped_bit_is_no_record(record in record(), at in any::<proptest::sample::Index>(), bit in 0..8) {
            let mut line = record.line().into_bytes();
            line.pop();
            let at = at.index(line.len());
            line[at] ^= 1u8 << bit;
            // Upper-case digits are the same checksum.
            prop_assume!(!line.eq_ignore_ascii_case(record.line().trim_end_matches('\n').as_bytes()) || at >= 8);
            prop_assert_eq!(Record::parse(&line), None);
        }
    }
}
