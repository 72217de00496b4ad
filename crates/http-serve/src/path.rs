//! The path of a request, as one below the directory that is served.

use http_head::is_authority;

use crate::refusal::Refusal;

/// What is served of a directory.
const INDEX: &[u8] = b"index.html";

/// The path of a target in its origin or absolute form: without its query, decoded once, and
/// without its first slash. None, if it can name no file below a directory: a segment `.` or
/// `..`, a slash or a NUL that was encoded.
///
/// # Errors
///
/// [`Refusal::BadRequest`] for what is no path.
pub(crate) fn relative(target: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
    let target = origin_form(target)?;
    let mut path = Vec::with_capacity(target.len() + INDEX.len());
    let mut bytes = target.strip_prefix(b"/").unwrap_or(target);
    let mut names_a_file = true;
    while let Some((&byte, rest)) = bytes.split_first() {
        bytes = rest;
        match byte {
            b'?' => break,
            b'#' => return Err(Refusal::BadRequest),
            b'%' => {
                let (digits, rest) = rest.split_at_checked(2).ok_or(Refusal::BadRequest)?;
                let decoded = hexadecimal(digits[0])? << 4 | hexadecimal(digits[1])?;
                names_a_file &= decoded != b'/' && decoded != 0;
                path.push(decoded);
                bytes = rest;
            }
            byte => path.push(byte),
        }
    }
    let mut segments = path.split(|&byte| byte == b'/');
    if !names_a_file || segments.any(|segment| segment == b"." || segment == b"..") {
        return Ok(None);
    }
    if path.last().is_none_or(|&last| last == b'/') {
        path.extend_from_slice(INDEX);
    }
    Ok(Some(path))
}

/// The path and the query. Of the absolute form, which every server has to take (RFC 9112,
/// 3.2.2), the authority is passed over: one directory is served, under any name.
fn origin_form(target: &[u8]) -> Result<&[u8], Refusal> {
    if target.first() == Some(&b'/') {
        return Ok(target);
    }
    let is_http = |scheme: &&[u8]| {
        let begin = target.get(..scheme.len());
        begin.is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
    };
    let scheme = [&b"http://"[..], b"https://"].into_iter().find(is_http);
    let rest = &target[scheme.ok_or(Refusal::BadRequest)?.len()..];
    let end = rest.iter().position(|byte| b"/?#".contains(byte));
    let (authority, path) = rest.split_at(end.unwrap_or(rest.len()));
    match !authority.is_empty() && is_authority(authority) {
        true => Ok(path),
        false => Err(Refusal::BadRequest),
    }
}

fn hexadecimal(digit: u8) -> Result<u8, Refusal> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(Refusal::BadRequest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below() {
        for (target, right) in [
            ("/", Some("index.html")),
            ("/a/b.txt", Some("a/b.txt")),
            ("/a/", Some("a/index.html")),
            ("/a%20b?c=/../d", Some("a b")),
            ("/%C3%A4", Some("ä")),
            ("/a//b", Some("a//b")),
            ("/...", Some("...")),
            ("http://a", Some("index.html")),
            ("HTTP://a:80/b", Some("b")),
            ("https://[::1]?b", Some("index.html")),
            ("/..", None),
            ("/a/../../b", None),
            ("/%2e%2E/b", None),
            ("/.", None),
            ("/..%2Fb", None),
            ("/a%00", None),
        ] {
            let right = right.map(|right| right.as_bytes().to_vec());
            assert_eq!(relative(target.as_bytes()), Ok(right), "{target}");
        }
        for target in [
            "/%",
            "/%2",
            "/%zz",
            "/a#b",
            "a",
            "*",
            "a:80",
            "ftp://a/",
            "http:///a",
            "http://a@b/",
        ] {
            let refused = Err(Refusal::BadRequest);
            assert_eq!(relative(target.as_bytes()), refused, "{target}");
        }
    }

    #[test]
    fn a_host_may_have_a_port() {
        for (text, right) in [
            ("", true),
            ("a", true),
            ("a.b-c:80", true),
            ("a:", true),
            ("[::1]", true),
            ("[::1]:80", true),
            ("a:b", false),
            ("a:1:2", false),
            ("[::1", false),
            ("[]", false),
            ("[::1]80", false),
            ("a b", false),
            ("a/b", false),
            ("a@b", false),
        ] {
            assert_eq!(is_authority(text.as_bytes()), right, "{text}");
        }
    }
}
