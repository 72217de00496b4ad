use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What a URL is known by on the disk: the first 128 bits of its SHA-256. The
/// chance that two of a million are alike is below 1 in 10^26.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Key(pub u128);

impl Key {
    /// The key of a URL.
    pub fn from_url(url: &str) -> Self {
        Self::digest("url", url)
    }

    /// The key of a file's name, as disks that fold case see it.
    pub(crate) fn from_name(name: &str) -> Self {
        Self::digest("name", &name.to_lowercase())
    }

    fn digest(kind: &str, text: &str) -> Self {
        let digest = Sha256::new()
            .chain_update(kind)
            .chain_update([0])
            .chain_update(text)
            .finalize();
        let (first, _) = digest.split_at(16);
        Self(u128::from_be_bytes(first.try_into().expect("16 bytes")))
    }

    /// Reads back what `Display` wrote.
    pub fn parse(hex: &str) -> Option<Self> {
        let plain = hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit());
        plain
            .then(|| u128::from_str_radix(hex, 16).ok())
            .flatten()
            .map(Self)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sha(pub [u8; 32]);

impl Sha {
    /// Reads 64 hexadecimal digits, of either case.
    pub fn parse(hex: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let digits = hex.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).ok()?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Sha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
