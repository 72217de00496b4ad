//! Which fields are passed on.

use super::case;
use crate::check::{Wrong, wrong};
use crate::conformance::case::Case;
use crate::conformance::expect::answer;
use crate::conformance::message::Fields;
use crate::proxy::run::{OK, Proxy, get, ok, post};

pub(super) fn all() -> Vec<Case> {
    vec![
        case(
            [
                "fields",
                "RFC 9110, 5.3",
                "fields that nothing is known of, some more than once, with tabs and obs-text",
                "they are passed on both ways, in their order",
            ],
            fields,
        ),
        case(
            [
                "hop-by-hop",
                "RFC 9110, 7.6.1",
                "Connection and the fields that it names, Keep-Alive, Proxy-Connection, TE, Trailer, Upgrade",
                "none reaches the server",
            ],
            hop_by_hop,
        ),
        case(
            [
                "hop-by-hop-answer",
                "RFC 9110, 7.6.1",
                "the same in an answer",
                "none reaches the client, and its connection is kept",
            ],
            hop_by_hop_answer,
        ),
        case(
            [
                "credentials",
                "RFC 9110, 11.7",
                "Proxy-Authorization, and Proxy-Authenticate in an answer",
                "they are of one hop; Authorization and WWW-Authenticate are passed on",
            ],
            credentials,
        ),
        case(
            [
                "named",
                "RFC 9110, 7.6.1",
                "a Connection that names Host, Content-Length or Via",
                "these are made anew all the same, both ways",
            ],
            named,
        ),
        case(
            [
                "via",
                "RFC 9110, 7.6.3",
                "no Via, one, or several, of HTTP/1.1 and HTTP/1.0",
                "one, to which this proxy is added with the version that came",
            ],
            via,
        ),
        case(
            [
                "via-answer",
                "RFC 9110, 7.6.3",
                "the same in an answer",
                "one, to which this proxy is added with the version that came",
            ],
            via_answer,
        ),
        case(
            [
                "date",
                "RFC 9110, 6.6.1",
                "an answer with a Date, and one without",
                "the Date is kept; one is added",
            ],
            date,
        ),
        case(
            [
                "status",
                "RFC 9110, 15",
                "a status that nothing is known of",
                "it is passed on",
            ],
            status,
        ),
    ]
}

/// What is of one hop, in a request and in an answer.
const HOP: [&str; 8] = [
    "Connection: keep-alive, X-Gone",
    "Connection: x-too,,  TE , Upgrade",
    "X-Gone: 1",
    "X-Too: 2",
    "Keep-Alive: timeout=5",
    "Proxy-Connection: keep-alive",
    "Trailer: X-Last",
    "Upgrade: h2c, websocket",
];

fn fields(proxy: &mut Proxy) -> Result<(), Wrong> {
    let fields = [
        "X-Twice: 1, \"a,b\"",
        "X-Empty:",
        "x-twice:\t2\t3  ",
        "X_'Odd'|~: \u{e4}",
        "Cookie: a=b",
        "User-Agent: test",
    ];
    let came = proxy.exchange(&get("/", &fields), OK, &ok())?;
    let all: Vec<_> = ["x-twice", "x-empty", "x_'odd'|~", "cookie", "user-agent"]
        .into_iter()
        .flat_map(|name| came.fields.all(name))
        .collect();
    // The bytes of UTF-8, as in ISO-8859-1.
    let right = ["1, \"a,b\"", "2\t3", "", "\u{c3}\u{a4}", "a=b", "test"];
    if all != right {
        return Err(wrong(format!("{right:?}"), format!("{all:?}")));
    }
    proxy.send(&get("/", &[]))?;
    let mut asked = proxy.asked()?;
    asked.peer.send(
        "HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nServer: \u{e4}\r\nset-cookie: c=d; Path=/\r\n\
         X-Empty: \r\nContent-Length: 0\r\n\r\n",
    );
    let expect = answer(200).body("").field("x-empty", "");
    let head = proxy.passed(&expect.field("server", "\u{c3}\u{a4}"))?;
    match head.fields.all("set-cookie")[..] {
        ["a=b", "c=d; Path=/"] => Ok(()),
        ref all => Err(wrong("both cookies", format!("{all:?}"))),
    }
}

/// Whether nothing is left that a connection had named.
fn none_named(fields: &Fields) -> Result<(), Wrong> {
    match fields.get("x-gone").or(fields.get("x-too")) {
        None => Ok(()),
        Some(_) => Err(wrong(
            "nothing that Connection names",
            format!("{fields:?}"),
        )),
    }
}

fn hop_by_hop(proxy: &mut Proxy) -> Result<(), Wrong> {
    let fields = [&HOP[..], &["TE: trailers", "X-Stays: 3"]].concat();
    let came = proxy.exchange(&get("/", &fields), OK, &ok())?;
    none_named(&came.fields)?;
    came.has("x-stays", "3")?;
    // Before and after what names them.
    let fields = [
        "X-Gone: 1",
        "X-Stays: 3",
        "Connection: close, X-Gone",
        "X-Gone: 2",
    ];
    let came = proxy.exchange(&get("/", &fields), OK, &ok().closes())?;
    none_named(&came.fields)?;
    came.has("x-stays", "3")
}

fn hop_by_hop_answer(proxy: &mut Proxy) -> Result<(), Wrong> {
    let hop = HOP.join("\r\n");
    for fields in [
        &*format!("{hop}\r\nX-Stays: 3"),
        "X-Gone: 1\r\nX-Stays: 3\r\nConnection: close, X-Gone",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\nContent-Length: 2\r\n\r\nok");
        proxy.send(&get("/", &[]))?;
        proxy.asked()?.peer.send(answer);
        let head = proxy.passed(&ok().field("x-stays", 3))?;
        none_named(&head.fields)?;
        let own = head.field("connection").unwrap_or("close");
        if own != "close" {
            return Err(wrong("no Connection but close", own));
        }
    }
    Ok(())
}

fn credentials(proxy: &mut Proxy) -> Result<(), Wrong> {
    let fields = [
        "Proxy-Authorization: Basic YTpi",
        "Authorization: Basic Yzpk",
    ];
    let answer = "HTTP/1.1 200 OK\r\nProxy-Authenticate: Basic realm=\"a\"\r\n\
                  WWW-Authenticate: Basic realm=\"b\"\r\nContent-Length: 2\r\n\r\nok";
    let expect = ok().field("www-authenticate", "Basic realm=\"b\"");
    let came = proxy.exchange(&get("/", &fields), answer, &expect)?;
    came.has("authorization", "Basic Yzpk")
}

fn named(proxy: &mut Proxy) -> Result<(), Wrong> {
    let names = "Connection: Host, Content-Length, Via, Transfer-Encoding";
    let request = post("/", &[names, "Content-Length: 4", "Via: 1.1 a"]) + "body";
    let answer = format!("HTTP/1.1 200 OK\r\n{names}\r\nContent-Length: 2\r\n\r\nok");
    let came = proxy.exchange(&request, &answer, &ok())?;
    came.has("host", &proxy.upstream.address.to_string())?;
    match came.body == b"body" {
        true => Ok(()),
        false => Err(wrong("the body", String::from_utf8_lossy(&came.body))),
    }
}

/// What came, and what the one Via then is.
const VIAS: [(&[&str], &str); 4] = [
    (&[], ""),
    (&["Via: 1.0 fred"], "1.0 fred, "),
    (
        &["Via: 1.1 a (x), HTTP/2.0 b:80"],
        "1.1 a (x), HTTP/2.0 b:80, ",
    ),
    (&["via: 1.0 a", "Via: 1.1 b"], "1.0 a, 1.1 b, "),
];

fn via(proxy: &mut Proxy) -> Result<(), Wrong> {
    for (came, before) in VIAS {
        for (minor, expect) in [(1, ok()), (0, ok().closes())] {
            let request = get("/", came).replacen("HTTP/1.1", &format!("HTTP/1.{minor}"), 1);
            let came = proxy.exchange(&request, OK, &expect)?;
            came.has("via", &format!("{before}1.{minor} paces"))?;
        }
    }
    Ok(())
}

fn via_answer(proxy: &mut Proxy) -> Result<(), Wrong> {
    for (came, before) in VIAS {
        for minor in [1, 0] {
            let came = came.iter().map(|field| format!("{field}\r\n"));
            let came: String = came.collect();
            let answer = format!("HTTP/1.{minor} 200 OK\r\n{came}Content-Length: 2\r\n\r\nok");
            let expect = ok().field("via", format!("{before}1.{minor} paces"));
            proxy.exchange(&get("/", &[]), &answer, &expect)?;
        }
    }
    Ok(())
}

fn date(proxy: &mut Proxy) -> Result<(), Wrong> {
    // That one is there is checked of each answer.
    proxy.exchange(&get("/", &[]), OK, &ok())?;
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    let answer = format!("HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: 2\r\n\r\nok");
    proxy.exchange(&get("/", &[]), &answer, &ok().field("date", date))?;
    Ok(())
}

fn status(proxy: &mut Proxy) -> Result<(), Wrong> {
    for status in [200, 201, 299, 300, 307, 407, 418, 500, 502, 599] {
        for reason in ["OK", "", "\u{e4} reason"] {
            let line = format!("HTTP/1.1 {status} {reason}");
            let answered = format!("{line}\r\nContent-Length: 2\r\n\r\nok");
            proxy.exchange(&get("/", &[]), &answered, &answer(status).body("ok"))?;
        }
    }
    Ok(())
}
