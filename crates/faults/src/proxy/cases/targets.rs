//! What is asked for, and where.

use super::case;
use crate::check::{Wrong, wrong};
use crate::conformance::case::Case;
use crate::conformance::expect::answer;
use crate::proxy::run::{OK, Proxy, get, ok, request};

pub(super) fn all() -> Vec<Case> {
    vec![
        case(
            [
                "origin-form",
                "RFC 9112, 3.2.1",
                "http://HOST/PATH",
                "the server is asked for the path, which is not changed",
            ],
            origin_form,
        ),
        case(
            [
                "empty-path",
                "RFC 9112, 3.2.1",
                "http://HOST, with a query and without",
                "the server is asked for `/`",
            ],
            empty_path,
        ),
        case(
            [
                "asterisk",
                "RFC 9112, 3.2.4",
                "OPTIONS of http://HOST",
                "the server is asked for `*`; for `/` if there is a path or a query",
            ],
            asterisk,
        ),
        case(
            [
                "host",
                "RFC 9112, 3.2.2",
                "a Host that is not that of the target, or none in HTTP/1.0",
                "Host is made anew",
            ],
            host,
        ),
        case(
            [
                "methods",
                "RFC 9110, 9.1",
                "methods that nothing is known of",
                "they are passed on as they are",
            ],
            methods,
        ),
        case(
            [
                "max-forwards",
                "RFC 9110, 7.6.2",
                "OPTIONS and TRACE with Max-Forwards",
                "0: answered here, OPTIONS with 200, TRACE with 405; else one less",
            ],
            max_forwards,
        ),
    ]
}

fn origin_form(proxy: &mut Proxy) -> Result<(), Wrong> {
    let long = format!("/{}", "x".repeat(7000));
    for path in [
        "/",
        "/a.txt",
        "/a?b=c&d",
        "/?",
        "/%7Euser/%2F%00",
        "//a/./b/../c;d=e:f@g",
        "/http://elsewhere.example/",
        &long,
    ] {
        for scheme in ["http", "HTTP"] {
            let target = format!("GET {scheme}://{{A}}{path} HTTP/1.1");
            asks(proxy, &target, &format!("GET {path} HTTP/1.1"))?;
        }
    }
    Ok(())
}

fn empty_path(proxy: &mut Proxy) -> Result<(), Wrong> {
    asks(proxy, "GET http://{A} HTTP/1.1", "GET / HTTP/1.1")?;
    asks(proxy, "GET http://{A}?q=/ HTTP/1.1", "GET /?q=/ HTTP/1.1")
}

fn asterisk(proxy: &mut Proxy) -> Result<(), Wrong> {
    for (target, path) in [("", "*"), ("/", "/"), ("/a", "/a"), ("?q", "/?q")] {
        let line = format!("OPTIONS http://{{A}}{target} HTTP/1.1");
        asks(proxy, &line, &format!("OPTIONS {path} HTTP/1.1"))?;
    }
    Ok(())
}

fn host(proxy: &mut Proxy) -> Result<(), Wrong> {
    let own = proxy.upstream.address.to_string();
    let named = format!("localhost:{}", proxy.upstream.address.port());
    for (host, version) in [
        ("Host: elsewhere.example\r\n", "1.1"),
        ("Host: {A}\r\n", "1.1"),
        ("Host:\r\n", "1.1"),
        ("Host: elsewhere.example:80\r\n", "1.0"),
        ("", "1.0"),
    ] {
        for authority in [&own, &named] {
            let request = format!("GET http://{authority}/ HTTP/{version}\r\n{host}\r\n");
            let expect = match version {
                "1.1" => ok(),
                _ => ok().closes(),
            };
            let came = proxy.exchange(&request, OK, &expect)?;
            came.has("host", authority)?;
        }
    }
    Ok(())
}

fn methods(proxy: &mut Proxy) -> Result<(), Wrong> {
    for method in ["BREW", "get", "PROPFIND", "!#$%&'*+-.^_`|~0"] {
        let line = format!("{method} http://{{A}}/ HTTP/1.1");
        asks(proxy, &line, &format!("{method} / HTTP/1.1"))?;
    }
    Ok(())
}

fn max_forwards(proxy: &mut Proxy) -> Result<(), Wrong> {
    let ask = |method: &str, most: u64| {
        let line = format!("{method} http://{{A}}/ HTTP/1.1");
        request(&line, &[&format!("Max-Forwards: {most}")])
    };
    proxy.answered(&ask("OPTIONS", 0), &answer(200).body(""))?;
    proxy.answered(&ask("TRACE", 0), &answer(405))?;
    for method in ["OPTIONS", "TRACE"] {
        for most in [1, 10] {
            let came = proxy.exchange(&ask(method, most), OK, &ok())?;
            came.has("max-forwards", &(most - 1).to_string())?;
        }
    }
    // It is about these two alone.
    let came = proxy.exchange(&get("/", &["Max-Forwards: 0"]), OK, &ok())?;
    came.has("max-forwards", "0")
}

/// A request with the first line has to become one with the second.
fn asks(proxy: &mut Proxy, line: &str, becomes: &str) -> Result<(), Wrong> {
    let came = proxy.exchange(&request(line, &[]), OK, &ok())?;
    match came.line == becomes {
        true => Ok(()),
        false => Err(wrong(becomes, came.line)),
    }
}
