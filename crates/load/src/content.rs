//! What is served in jobs: bytes that follow from a number.

/// How many different bodies a job has: those of the numbers below this.
pub const FILES: u64 = 16;

/// The body of this number, of this many bytes: words of 64 bits, little-endian, that look
/// random.
pub fn content(number: u64, bytes: u64) -> Vec<u8> {
    let words = (0..bytes.div_ceil(8)).map(|word| splitmix64(number << 40 | word));
    let mut content: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
    content.truncate(bytes as usize);
    content
}

/// A number that looks random and follows from `seed` alone, today as in years: a
/// library's generator may change with its version. (S. Vigna's SplitMix64.)
pub fn splitmix64(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shorter_body_is_the_beginning_of_a_longer_one() {
        let long = content(3, 1_000);
        assert_eq!(long.len(), 1_000);
        for bytes in [0, 1, 7, 8, 9, 999] {
            assert_eq!(content(3, bytes), long[..bytes as usize]);
        }
        assert_eq!(long[8..16], splitmix64(3 << 40 | 1).to_le_bytes());
        assert_ne!(content(4, 1_000), long);
    }
}
