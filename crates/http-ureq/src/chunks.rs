//! Takes the extensions of chunks out before ureq sees them: it refuses a line of
//! more than 20 bytes (ureq-proto 0.7.1).

/// The most bytes of extensions that a body may have: as in hyper.
const MOST: usize = 16 * 1024;

/// Where in a chunked body (RFC 9112, 7.1) it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chunks {
    place: Place,
    /// Bytes of extensions so far.
    extensions: usize,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    /// In a line with a size: the digits read so far give this number.
    Size(u64),
    /// In such a line, after its size.
    Extension(u64),
    /// Bytes of data, with the line end after them, until the next size.
    Data(u64),
    /// After the last chunk, or in something that is no chunk: passed to ureq as it is.
    Rest,
}

impl Chunks {
    pub(crate) fn new() -> Self {
        Self {
            place: Place::Size(0),
            extensions: 0,
        }
    }

    /// Removes extensions from `bytes`, in place. Returns how many bytes are left, or
    /// `None` if the body has more than [`MOST`] bytes of extensions.
    pub(crate) fn strip(&mut self, bytes: &mut [u8]) -> Option<usize> {
        let (mut from, mut to) = (0, 0);
        while from < bytes.len() {
            let rest = bytes.len() - from;
            let kept = match self.place {
                Place::Rest => rest,
                Place::Data(left) => {
                    let here = usize::try_from(left).map_or(rest, |left| left.min(rest));
                    self.place = match left - here as u64 {
                        0 => Place::Size(0),
                        left => Place::Data(left),
                    };
                    here
                }
                Place::Size(size) | Place::Extension(size) => {
                    let byte = bytes[from];
                    let extension = matches!(self.place, Place::Extension(_)) || byte == b';';
                    self.place = match (byte, char::from(byte).to_digit(16)) {
                        (b'\n', _) if size == 0 => Place::Rest,
                        (b'\n', _) => Place::Data(size.saturating_add(2)),
                        _ if extension => Place::Extension(size),
                        (_, Some(digit)) if size >> 60 == 0 => {
                            Place::Size(size << 4 | u64::from(digit))
                        }
                        (b'\r' | b' ' | b'\t', _) => Place::Size(size),
                        _ => Place::Rest,
                    };
                    match extension && !matches!(byte, b'\r' | b'\n') {
                        true => {
                            self.extensions += 1;
                            from += 1;
                            0
                        }
                        false => 1,
                    }
                }
            };
            if self.extensions > MOST {
                return None;
            }
            if from != to {
                bytes.copy_within(from..from + kept, to);
            }
            (from, to) = (from + kept, to + kept);
        }
        Some(to)
    }
}

/// Whether a body comes in chunks.
pub(crate) fn is_chunked(head: &[u8]) -> bool {
    head.split(|&byte| byte == b'\n').any(|line| {
        let mut parts = line.splitn(2, |&byte| byte == b':');
        let name = parts.next().unwrap_or_default();
        let value = parts.next().unwrap_or_default().trim_ascii();
        name.eq_ignore_ascii_case(b"transfer-encoding") && value.eq_ignore_ascii_case(b"chunked")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_go_and_all_else_stays_however_it_is_cut() {
        let came = b"3;a=b\r\na;b\r\n2 \r\n;\r\r\n000B ; c=\"d;e\"\r\n01234567890\r\n0;x\r\nT: a;b\r\n\r\n";
        let right = b"3\r\na;b\r\n2 \r\n;\r\r\n000B \r\n01234567890\r\n0\r\nT: a;b\r\n\r\n";
        for cut in 0..came.len() {
            let (mut chunks, mut stripped) = (Chunks::new(), Vec::new());
            for piece in [&came[..cut], &came[cut..]] {
                let mut piece = piece.to_vec();
                let bytes = chunks.strip(&mut piece).expect("not too many");
                stripped.extend_from_slice(&piece[..bytes]);
            }
            assert_eq!(
                stripped.as_slice().escape_ascii().to_string(),
                right.escape_ascii().to_string()
            );
        }
    }

    #[test]
    fn what_is_no_chunk_stays_as_it_is_and_extensions_have_an_end() {
        let mut none = *b"zz\r\n;;;";
        assert_eq!(Chunks::new().strip(&mut none), Some(none.len()));
        let mut long = format!("1;{}", "x".repeat(MOST)).into_bytes();
        assert_eq!(Chunks::new().strip(&mut long), None);
    }
}
