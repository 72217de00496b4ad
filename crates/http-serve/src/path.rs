//! The path of a request, as one below the directory that is served.

use percent_encoding::percent_decode_str;

use crate::refusal::Refusal;

/// The path of a target in its origin form, without its query, decoded once, and without its
/// first slash.
///
/// # Errors
///
/// [`Refusal::BadRequest`] for what is no path, and [`Refusal::NotFound`] for one that could
/// lead out of a directory, or name no file: a segment `.` or `..`, a slash or a NUL that was
/// encoded.
pub(crate) fn relative(target: &str) -> Result<String, Refusal> {
    let path = target.split('?').next().unwrap_or_default();
    if target.contains('#') {
        return Err(Refusal::BadRequest);
    }
    let mut segments = Vec::new();
    for segment in path.split('/').skip(1) {
        let is_encoded = |at: usize| {
            let digits = segment.as_bytes().get(at + 1..at + 3);
            digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        };
        if segment.match_indices('%').any(|(at, _)| !is_encoded(at)) {
            return Err(Refusal::BadRequest);
        }
        let segment = percent_decode_str(segment).decode_utf8();
        let segment = segment.map_err(|_| Refusal::NotFound)?;
        if segment == "." || segment == ".." || segment.contains(['/', '\0']) {
            return Err(Refusal::NotFound);
        }
        segments.push(segment);
    }
    Ok(segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below() {
        for (target, right) in [
            ("/", Ok("")),
            ("/a/b.txt", Ok("a/b.txt")),
            ("/a%20b?c=/../d", Ok("a b")),
            ("/%C3%A4", Ok("ä")),
            ("/a//b", Ok("a//b")),
            ("/..", Err(Refusal::NotFound)),
            ("/a/../../b", Err(Refusal::NotFound)),
            ("/%2e%2E/b", Err(Refusal::NotFound)),
            ("/..%2Fb", Err(Refusal::NotFound)),
            ("/a%00", Err(Refusal::NotFound)),
            ("/%FF", Err(Refusal::NotFound)),
            ("/%", Err(Refusal::BadRequest)),
            ("/%zz", Err(Refusal::BadRequest)),
            ("/a#b", Err(Refusal::BadRequest)),
        ] {
            assert_eq!(relative(target), right.map(str::to_owned), "{target}");
        }
    }
}
