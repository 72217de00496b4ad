//! Connections to the server that are used again, and those that must not be.

use super::case;
use crate::check::{Wrong, wrong};
use crate::conformance::case::Case;
use crate::conformance::expect::answer;
use crate::proxy::run::{OK, Proxy, get, ok, request};
use crate::proxy::upstream::{Asked, Came};

pub(super) fn all() -> Vec<Case> {
    vec![
        case(
            [
                "reuse",
                "RFC 9112, 9.3",
                "several requests of one client",
                "they come over one connection to the server",
            ],
            reuse,
        ),
        case(
            [
                "no-reuse",
                "RFC 9112, 9.6",
                "an answer with Connection: close, or of HTTP/1.0, by a server that does not close",
                "the next request comes over another connection",
            ],
            no_reuse,
        ),
        case(
            [
                "surplus",
                "RFC 9112, 6.3",
                "another answer right behind an answer",
                "it answers nothing, and the connection is not used again",
            ],
            surplus,
        ),
        case(
            [
                "unasked",
                "RFC 9112, 9.2",
                "an answer that comes while there is no request",
                "it answers nothing, and the connection is not used again",
            ],
            unasked,
        ),
        case(
            [
                "dies-between",
                "RFC 9112, 9.3.1",
                "a server that closes its connection after an answer",
                "the next request comes over another connection",
            ],
            dies_between,
        ),
        case(
            [
                "dies-asked",
                "RFC 9112, 9.3.1",
                "a server that closes a used connection when it has read a GET",
                "it is asked once more, over a new connection, and not a third time",
            ],
            dies_asked,
        ),
        case(
            [
                "dies-answering",
                "RFC 9110, 9.2.2",
                "one that closes it after the first byte of an answer",
                "502; it is not asked again",
            ],
            dies_answering,
        ),
        case(
            [
                "never-twice",
                "RFC 9110, 9.2.2",
                "methods that are not idempotent, or that have a body",
                "over a new connection, and never twice: 502 if that closes",
            ],
            never_twice,
        ),
    ]
}

/// A request over a connection that was kept for another one before. None of a model that
/// does one thing after the other and keeps none.
fn over_kept(proxy: &mut Proxy) -> Result<Option<Asked>, Wrong> {
    keep_one(proxy, OK)?;
    proxy.send(&get("/second", &[]))?;
    let mut asked = proxy.asked()?;
    if asked.came.is_reused {
        return Ok(Some(asked));
    }
    if !proxy.server.serial {
        return Err(wrong("the connection that was kept", "another one"));
    }
    asked.peer.send(OK);
    proxy.passed(&ok())?;
    Ok(None)
}

/// An exchange with this answer, after which the server keeps the connection.
fn keep_one(proxy: &mut Proxy, answer: &str) -> Result<(), Wrong> {
    proxy.exchange(&get("/first", &[]), answer, &ok())?;
    Ok(())
}

/// One more exchange, over a new connection.
fn over_new(proxy: &mut Proxy, request: &str) -> Result<(), Wrong> {
    let came = proxy.exchange(request, OK, &ok())?;
    is_new(&came)
}

fn is_new(came: &Came) -> Result<(), Wrong> {
    match came.is_reused {
        true => Err(wrong("another connection", "the same again")),
        false => Ok(()),
    }
}

fn reuse(proxy: &mut Proxy) -> Result<(), Wrong> {
    for _ in 0..5 {
        if let Some(mut asked) = over_kept(proxy)? {
            asked.peer.send(OK);
            proxy.passed(&ok())?;
            proxy.upstream.keep(asked.peer);
            // Not of one method alone.
            for method in ["HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
                let line = format!("{method} http://{{A}}/ HTTP/1.1");
                let no_content = "HTTP/1.1 204 No Content\r\n\r\n";
                let expect = answer(204);
                let came = proxy.exchange(&request(&line, &[]), no_content, &expect)?;
                if !came.is_reused {
                    let got = format!("another one for {method}");
                    return Err(wrong("the connection that was kept", got));
                }
            }
        } else {
            return Ok(());
        }
    }
    Ok(())
}

fn no_reuse(proxy: &mut Proxy) -> Result<(), Wrong> {
    for line in [
        "HTTP/1.1 200 OK\r\nConnection: close",
        "HTTP/1.1 200 OK\r\nConnection: x, CLOSE",
        "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close",
        "HTTP/1.0 200 OK",
    ] {
        keep_one(proxy, &format!("{line}\r\nContent-Length: 2\r\n\r\nok"))?;
        over_new(proxy, &get("/second", &[]))?;
    }
    Ok(())
}

/// An answer that nothing has asked for.
const STOLEN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen";

fn surplus(proxy: &mut Proxy) -> Result<(), Wrong> {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let no_content = "HTTP/1.1 204 No Content\r\n\r\n";
    for (first, expect) in [
        (OK, ok()),
        (chunked, answer(200).content("ok")),
        (no_content, answer(204)),
    ] {
        for more in [STOLEN, "\r\n", "x"] {
            let answered = format!("{first}{more}");
            proxy.exchange(&get("/first", &[]), &answered, &expect)?;
            over_new(proxy, &get("/second", &[]))?;
        }
    }
    Ok(())
}

fn unasked(proxy: &mut Proxy) -> Result<(), Wrong> {
    for more in [
        STOLEN,
        "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n",
    ] {
        keep_one(proxy, OK)?;
        // On loopback, what is sent has come.
        proxy.upstream.kept()?.send(more);
        over_new(proxy, &get("/second", &[]))?;
    }
    Ok(())
}

fn dies_between(proxy: &mut Proxy) -> Result<(), Wrong> {
    for _ in 0..5 {
        keep_one(proxy, OK)?;
        proxy.upstream.close();
        over_new(proxy, &get("/second", &[]))?;
        proxy.upstream.close();
    }
    Ok(())
}

fn dies_asked(proxy: &mut Proxy) -> Result<(), Wrong> {
    if let Some(asked) = over_kept(proxy)? {
        let line = asked.came.line.clone();
        drop(asked);
        let mut again = proxy.asked()?;
        is_new(&again.came)?;
        if again.came.line != line {
            return Err(wrong(line, again.came.line));
        }
        again.peer.send(OK);
        proxy.passed(&ok())?;
    }
    if let Some(asked) = over_kept(proxy)? {
        drop(asked);
        drop(proxy.asked()?);
        proxy.expect(&answer(502).may_close())?;
        is_not_asked(proxy)?;
    }
    Ok(())
}

fn dies_answering(proxy: &mut Proxy) -> Result<(), Wrong> {
    if let Some(mut asked) = over_kept(proxy)? {
        asked.peer.send("H");
        drop(asked);
        proxy.expect(&answer(502).may_close())?;
        is_not_asked(proxy)?;
    }
    Ok(())
}

fn never_twice(proxy: &mut Proxy) -> Result<(), Wrong> {
    for (line, fields, body) in [
        ("POST http://{A}/ HTTP/1.1", &[][..], ""),
        ("PATCH http://{A}/ HTTP/1.1", &[], ""),
        ("BREW http://{A}/ HTTP/1.1", &[], ""),
        ("POST http://{A}/ HTTP/1.1", &["Content-Length: 4"], "body"),
        ("PUT http://{A}/ HTTP/1.1", &["Content-Length: 4"], "body"),
    ] {
        keep_one(proxy, OK)?;
        proxy.send(&(request(line, fields) + body))?;
        let mut asked = proxy.asked()?;
        is_new(&asked.came)?;
        asked.body()?;
        drop(asked);
        proxy.expect(&answer(502).may_close())?;
        is_not_asked(proxy)?;
    }
    Ok(())
}

fn is_not_asked(proxy: &mut Proxy) -> Result<(), Wrong> {
    match proxy.upstream.was_asked()? {
        true => Err(wrong("no other request", "one more")),
        false => Ok(()),
    }
}
