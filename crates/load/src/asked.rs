//! A request, as the upstream takes it: what is asked for, and what is wrong in it.

use crate::content::FILES;

/// The longest head that is read, in bytes.
pub(crate) const MOST_HEAD_BYTES: usize = 16 * 1024;
const MOST_FIELDS: usize = 64;

/// What can be wrong in a request.
pub(crate) const NO_REQUEST: &str = "no GET of a file over HTTP/1.1 without a body";
const TARGET: &str = "a target that is not in origin-form";
const HOST: &str = "a Host that is not the upstream's address";
const VIA: &str = "more than one Via";
const HOP_BY_HOP: &str = "a hop-by-hop field";

/// Fields that are of one connection alone (RFC 9110, 7.6.1, 11.7 and 10.1.4; RFC 9112, 6.1).
/// `Connection: close` is right: it is said to the upstream.
const OF_ONE_CONNECTION: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A request whose head has come whole, or that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Of its head.
    pub(crate) bytes: usize,
    /// Which file it asks for.
    pub(crate) file: u64,
    /// The connection is to be closed after the answer.
    pub(crate) closes: bool,
    /// It has one Via.
    pub(crate) via: bool,
    /// What is wrong in it, each kind once.
    pub(crate) wrong: Vec<&'static str>,
}

/// The request that these bytes begin with, sent to the server at `host`; none if its head is
/// not complete.
pub(crate) fn parse(bytes: &[u8], host: &str) -> Option<Asked> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() < MOST_HEAD_BYTES => return None,
        _ => {
            return Some(Asked {
                bytes: bytes.len(),
                file: 0,
                closes: true,
                via: false,
                wrong: vec![NO_REQUEST],
            });
        }
    };
    let (mut hosts, mut is_right_host) = (0, true);
    let (mut vias, mut closes) = (0, false);
    let (mut is_of_one_connection, mut has_body) = (false, false);
    for field in request.headers.iter() {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        if is("host") {
            hosts += 1;
            is_right_host &= field.value == host.as_bytes();
        } else if is("via") {
            vias += 1;
        } else if is("connection") && field.value.eq_ignore_ascii_case(b"close") {
            closes = true;
        } else if is("content-length") {
            has_body |= field.value != b"0";
        } else {
            is_of_one_connection |= OF_ONE_CONNECTION.iter().any(|name| is(name));
        }
    }
    let target = request.path.unwrap_or_default();
    let file = file(target);
    let is_get = request.method == Some("GET") && request.version == Some(1);
    let is_in_origin_form = target.starts_with('/');
    let mut wrong = Vec::new();
    for (is_wrong, kind) in [
        (!is_in_origin_form, TARGET),
        (hosts != 1 || !is_right_host, HOST),
        (vias > 1, VIA),
        (is_of_one_connection, HOP_BY_HOP),
        (
            !is_get || has_body || (is_in_origin_form && file.is_none()),
            NO_REQUEST,
        ),
    ] {
        if is_wrong {
            wrong.push(kind);
        }
    }
    Some(Asked {
        bytes: length,
        file: file.unwrap_or(0),
        closes,
        via: vias == 1,
        wrong,
    })
}

/// The number in a target such as `/12`. `/+1` and `/01` are not other names of `/1`.
fn file(target: &str) -> Option<u64> {
    let digits = target.strip_prefix('/')?;
    let is_plain = digits == "0" || digits.starts_with(|first| matches!(first, '1'..='9'));
    let number = digits.parse().ok().filter(|_| is_plain)?;
    (number < FILES).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST_IS: &str = "127.0.0.1:80";

    fn asked(head: &str) -> Asked {
        let all = format!("{head}\r\n\r\nGET /2");
        for cut in 0..head.len() + 4 {
            assert_eq!(parse(&all.as_bytes()[..cut], HOST_IS), None, "{cut}");
        }
        let asked = parse(all.as_bytes(), HOST_IS).expect("whole");
        assert_eq!(asked.bytes, head.len() + 4);
        asked
    }

    #[test]
    fn what_is_right_is_taken() {
        for (head, file, closes, via) in [
            ("GET /0 HTTP/1.1\r\nHost: 127.0.0.1:80", 0, false, false),
            (
                "GET /15 HTTP/1.1\r\nhost: 127.0.0.1:80\r\nConnection: close\r\nVia: 1.1 a, 1.1 b",
                15,
                true,
                true,
            ),
            (
                "GET /3 HTTP/1.1\r\nVia: 1.1 a\r\nContent-Length: 0\r\nHost: 127.0.0.1:80",
                3,
                false,
                true,
            ),
        ] {
            let asked = asked(head);
            assert_eq!(asked.wrong, Vec::<&str>::new(), "{head}");
            assert_eq!((asked.file, asked.closes, asked.via), (file, closes, via));
        }
    }

    #[test]
    fn a_file_has_one_name() {
        for target in ["/16", "/+1", "/01", "/00", "/", "/1?", "/x", "/-1", "*"] {
            assert_eq!(file(target), None, "{target}");
        }
    }

    #[test]
    fn what_is_no_head_is_no_request() {
        for bytes in [b"\x16\x03\x01".as_slice(), &[b'a'; MOST_HEAD_BYTES]] {
            let asked = parse(bytes, HOST_IS).expect("a verdict");
            assert_eq!((asked.bytes, asked.wrong), (bytes.len(), vec![NO_REQUEST]));
        }
    }
}
