//! What the proxy refuses, and what is no request.

use super::{case, with};
use crate::check::Wrong;
use crate::conformance::case::Case;
use crate::conformance::expect::answer;
use crate::proxy::run::{OK, Proxy, get, ok, post, request};

const BAD: &str = "400, and the connection is closed";

/// Nothing but the server of the test.
const ONE: &[&str] = &[
    "--allow",
    "{A}",
    "--idle-timeout",
    "20",
    "--connections",
    "16",
];

pub(super) fn all() -> Vec<Case> {
    vec![
        case(
            [
                "origin-form-refused",
                "RFC 9112, 3.2.2",
                "a target that is a path alone, `*`, or none",
                BAD,
            ],
            origin_form,
        ),
        case(
            [
                "targets",
                "RFC 9110, 4.2.1",
                "http:// without a host, or with a port that is none",
                BAD,
            ],
            targets,
        ),
        case(
            [
                "userinfo",
                "RFC 9110, 4.2.4",
                "a target with a user or a password",
                BAD,
            ],
            userinfo,
        ),
        case(
            [
                "fragment",
                "RFC 9112, 3.2.2",
                "a target with a fragment",
                BAD,
            ],
            fragment,
        ),
        case(
            [
                "https",
                "RFC 9110, 15.6.2",
                "https://HOST/PATH, which would need TLS to the server",
                "501",
            ],
            https,
        ),
        case(
            [
                "not-allowed",
                "RFC 9110, 15.5.4",
                "hosts that are not on loopback, by default; a name that is none",
                "403, and the connection is kept",
            ],
            not_allowed,
        ),
        with(
            [
                "not-on-the-list",
                "RFC 9110, 15.5.4",
                "another port, or another name of it, than `--allow` has",
                "403, and the connection is kept; what it has is reached",
            ],
            ONE,
            not_on_the_list,
        ),
        case(
            [
                "not-allowed-body",
                "RFC 9112, 9.6",
                "a request with a body, to what is not allowed",
                "403, the body is not taken for a request, and the connection is closed",
            ],
            not_allowed_body,
        ),
        case(
            [
                "lines",
                "RFC 9112, 2.2",
                "lines that end with LF alone, CR alone in a line",
                BAD,
            ],
            lines,
        ),
        case(
            [
                "folded",
                "RFC 9112, 5.2",
                "a field that goes on in the next line",
                BAD,
            ],
            folded,
        ),
        case(
            [
                "colon",
                "RFC 9112, 5.1",
                "a space before the colon, or no colon",
                BAD,
            ],
            colon,
        ),
        case(
            [
                "values",
                "RFC 9110, 5.5",
                "NUL and other control characters",
                BAD,
            ],
            values,
        ),
        case(
            [
                "hosts",
                "RFC 9112, 3.2",
                "no Host, two, or one that is none",
                BAD,
            ],
            hosts,
        ),
        case(
            [
                "versions",
                "RFC 9110, 15.6.6",
                "HTTP/2.0, and the preface of HTTP/2",
                "505",
            ],
            versions,
        ),
        case(
            [
                "long-target",
                "RFC 9110, 15.5.15",
                "a target of 9,000 bytes",
                "414",
            ],
            long_target,
        ),
        case(
            [
                "large-head",
                "RFC 6585, 5",
                "a head of 40,000 bytes, and one of 5,000 fields",
                "431",
            ],
            large_head,
        ),
    ]
}

fn origin_form(proxy: &mut Proxy) -> Result<(), Wrong> {
    let targets = [
        "/", "/a.txt", "*", "//{A}/", "{A}", "a.txt", "?q", "://{A}/",
    ];
    proxy.refused(400, lines_of(&targets))
}

fn targets(proxy: &mut Proxy) -> Result<(), Wrong> {
    let targets = [
        "http:///",
        "http://",
        "http:/",
        "http:{A}/",
        "http://:80/",
        "http://127.0.0.1:x/",
        "http://127.0.0.1:70000/",
        "http://127.0.0.1:-1/",
        "http://127.0.0.1:+80/",
        "http://[::1/",
        "http://a b/",
        "http://127.0.0.1\t/",
        "http://a\\b/",
    ];
    proxy.refused(400, lines_of(&targets))
}

fn userinfo(proxy: &mut Proxy) -> Result<(), Wrong> {
    let targets = [
        "http://user@{A}/",
        "http://user:secret@{A}/",
        "http://@{A}/",
    ];
    proxy.refused(400, lines_of(&targets))
}

fn fragment(proxy: &mut Proxy) -> Result<(), Wrong> {
    proxy.refused(
        400,
        lines_of(&["http://{A}/#a", "http://{A}/a?b#", "http://{A}#a"]),
    )
}

/// A GET of each target.
fn lines_of(targets: &[&str]) -> Vec<String> {
    let line = |target| request(&format!("GET {target} HTTP/1.1"), &[]);
    targets.iter().map(line).collect()
}

fn https(proxy: &mut Proxy) -> Result<(), Wrong> {
    for scheme in ["https", "HTTPS"] {
        let line = format!("GET {scheme}://{{A}}/ HTTP/1.1");
        proxy.answered(&request(&line, &[]), &answer(501).may_close())?;
    }
    Ok(())
}

/// Hosts that are not on loopback, though some begin as if they were.
const ELSEWHERE: [&str; 9] = [
    "192.0.2.1:80",
    "0.0.0.0:80",
    "128.0.0.1:80",
    "[2001:db8::1]:80",
    "[::]:80",
    "[::ffff:192.0.2.1]:80",
    "nowhere.invalid:80",
    "localhost.invalid:80",
    "127.0.0.1.invalid:80",
];

fn not_allowed(proxy: &mut Proxy) -> Result<(), Wrong> {
    for authority in ELSEWHERE {
        let line = format!("GET http://{authority}/ HTTP/1.1");
        proxy.answered(&request(&line, &[]), &answer(403))?;
        let line = format!("CONNECT {authority} HTTP/1.1");
        proxy.answered(&request(&line, &[]), &answer(403))?;
    }
    // After a refusal, the same connection is good for what is allowed.
    proxy.exchange(&get("/", &[]), OK, &ok())?;
    Ok(())
}

fn not_on_the_list(proxy: &mut Proxy) -> Result<(), Wrong> {
    let port = proxy.upstream.address.port();
    for authority in [
        format!("127.0.0.1:{}", port ^ 1),
        format!("127.0.0.2:{port}"),
        format!("[::1]:{port}"),
        format!("nowhere.invalid:{port}"),
    ] {
        let line = format!("GET http://{authority}/ HTTP/1.1");
        proxy.answered(&request(&line, &[]), &answer(403))?;
        let line = format!("CONNECT {authority} HTTP/1.1");
        proxy.answered(&request(&line, &[]), &answer(403))?;
    }
    proxy.exchange(&get("/", &[]), OK, &ok())?;
    Ok(())
}

fn not_allowed_body(proxy: &mut Proxy) -> Result<(), Wrong> {
    let hidden = get("/hidden", &[]);
    let length = format!("Content-Length: {}", hidden.len());
    let chunks = format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
    let line = "POST http://192.0.2.1/ HTTP/1.1";
    let whole = request(line, &[&length]) + &hidden;
    let chunked = request(line, &["Transfer-Encoding: chunked"]) + &chunks;
    proxy.refused(403, [whole, chunked])
}

fn lines(proxy: &mut Proxy) -> Result<(), Wrong> {
    let head = get("/", &["X: y"]);
    proxy.refused(
        400,
        [
            head.replace("\r\n", "\n"),
            head.replacen("\r\n", "\n", 1),
            head.replace("X: y\r\n", "X: y\n"),
            head.replace("X: y\r\n", "X: y\rX-Gone: z\r\n"),
            head.replace("X: y\r\n", "X: y\r\r\n"),
        ],
    )
}

fn folded(proxy: &mut Proxy) -> Result<(), Wrong> {
    proxy.refused(
        400,
        [
            get("/", &["X: y\r\n z"]),
            get("/", &["X: y\r\n\tContent-Length: 3"]),
            post("/", &["Content-Length:\r\n 3"]) + "abc",
        ],
    )
}

fn colon(proxy: &mut Proxy) -> Result<(), Wrong> {
    proxy.refused(
        400,
        [
            post("/", &["Content-Length : 3"]) + "abc",
            post("/", &["Transfer-Encoding : chunked"]) + "0\r\n\r\n",
            get("/", &["X\t: y"]),
            get("/", &[" X: y"]),
            get("/", &["X"]),
            get("/", &[": y"]),
            get("/", &["X y: z"]),
        ],
    )
}

fn values(proxy: &mut Proxy) -> Result<(), Wrong> {
    let fields = [
        "X: \0",
        "X: a\x01b",
        "X: a\x7fb",
        "X\0: a",
        "X: a\x0bb",
        "X: \x0ca",
        "X: a\x0c",
    ];
    proxy.refused(400, fields.map(|field| get("/", &[field])))
}

fn hosts(proxy: &mut Proxy) -> Result<(), Wrong> {
    let line = "GET http://{A}/ HTTP/1.1\r\n";
    let hosts = [
        "",
        "Host: {A}\r\nHost: {A}\r\n",
        "Host: a b\r\n",
        "Host: a/b\r\n",
    ];
    proxy.refused(400, hosts.map(|hosts| format!("{line}{hosts}\r\n")))
}

fn versions(proxy: &mut Proxy) -> Result<(), Wrong> {
    proxy.refused(
        505,
        [
            request("GET http://{A}/ HTTP/2.0", &[]),
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        ],
    )?;
    proxy.refused(
        400,
        [
            request("GET http://{A}/", &[]),
            request("GET http://{A}/ http/1.1", &[]),
        ],
    )
}

fn long_target(proxy: &mut Proxy) -> Result<(), Wrong> {
    proxy.refused(414, [get(&format!("/{}", "x".repeat(9000)), &[])])
}

fn large_head(proxy: &mut Proxy) -> Result<(), Wrong> {
    let large = format!("X: {}", "y".repeat(40_000));
    proxy.refused(431, [get("/", &[&large]), get("/", &["X: y"; 5000])])
}
