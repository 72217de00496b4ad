//! Unrequested content codings, unusual but valid heads and chunks, and what is not
//! supported: faults 19, 35 and 36.

use crate::case::{
    Case,
    Content::{Body, Gzip},
    Expect::{Asked, AskedAtMost, Says, Within},
    RIGHT, Wrapper, case, exits,
};

/// A proxy that is not there.
const PROXY: Wrapper = Wrapper {
    mounts: false,
    script: r#"http_proxy=http://127.0.0.1:1 exec "$@""#,
};

pub(super) fn cases() -> Vec<Case> {
    let right = || exits(0).file("a.bin", RIGHT);
    vec![
        case(19, "gzip-unasked", "decoded, as these are not the file's bytes")
            .list("{gzip-unasked}/a.bin\n{gzip-unasked}/b.bin?bytes=0\n{gzip-unasked}/c.bin?bytes=3000000")
            .run(
                exits(0)
                    .file("a.bin", RIGHT)
                    .file("b.bin", Body(1, 0))
                    .file("c.bin", Body(1, 3_000_000))
                    .and(Asked(3)),
            )
            .run(
                exits(0)
                    .file("a.bin", RIGHT)
                    .file("b.bin", Body(1, 0))
                    .file("c.bin", Body(1, 3_000_000))
                    .and(Asked(0)),
            ),
        case(19, "gzip-checked", "the digest can be that of the file")
            .list("{gzip-unasked}/a.bin\tsha256={SHA}")
            .run(right().and(Asked(1))),
        case(19, "gzip-kept", "or that of what came, which is then the file")
            .list("{gzip-unasked}/a.tar.gz\tsha256={SHA GZIP}")
            .run(exits(0).file("a.tar.gz", Gzip(100_000)).and(Asked(1))),
        case(19, "gzip-of-another", "or neither")
            .list("{gzip-unasked}/a.bin?bytes=99\tsha256={SHA}")
            .run(
                exits(1)
                    .file("a.bin.sha256-mismatch", Body(1, 99))
                    .and(Says("SHA-256")),
            ),
        case(19, "gzip-cut", "begun again: nothing is joined to it")
            .list("{gzip-cut}/a.bin")
            .run(right().and(Asked(2))),
        case(19, "gzip-truncated", "failed, and no file")
            .list("{gzip-truncated}/a.bin")
            .run(exits(1).and(AskedAtMost(3)).and(Says("gzip"))),
        case(19, "gzip-damaged", "failed, and no file")
            .list("{gzip-damaged}/a.bin")
            .run(exits(1).and(AskedAtMost(3)).and(Says("gzip"))),
        case(19, "gzip-and-more", "failed, and no file")
            .list("{gzip-and-more}/a.bin")
            .run(exits(1).and(AskedAtMost(3)).and(Says("gzip"))),
        case(19, "gzip-max-size", "what it is when decoded counts")
            .list("{gzip-unasked}/a.bin?bytes=99950\n{gzip-unasked}/b.bin?bytes=99999")
            .with("--max-size", 99_990)
            .run(exits(1).file("a.bin", Body(1, 99_950)).and(Says("99990"))),
        case(19, "br-unasked", "an error that names it")
            .list("{br-unasked}/a.bin")
            .run(exits(1).and(Asked(1)).and(Says("br"))),
        case(19, "gzip-twice", "an error that names it")
            .list("{gzip-twice}/a.bin")
            .run(exits(1).and(Asked(1)).and(Says("gzip, gzip"))),
        case(19, "no-codings", "what is in no registry is none")
            .list("{coding-utf-8}/a.bin\n{coding-none}/b.bin\n{coding-aws-chunked}/c.bin")
            .run(exits(0).files(&["a.bin", "b.bin", "c.bin"], RIGHT).and(Asked(3))),
        //
        case(35, "folded-headers", "as if the lines were not folded")
            .list("{folded-headers}/a.bin")
            .run(right().and(Asked(1))),
        case(35, "head-in-pieces", "accepted: it has an end")
            .list("{head-in-pieces}/a.bin")
            .run(right().and(Asked(1))),
        case(35, "head-of-48k", "accepted")
            .list("{head-of-48k}/a.bin\n{head-of-48k}/b.bin")
            .with("--limit", 1)
            .run(exits(0).files(&["a.bin", "b.bin"], RIGHT).and(Asked(2))),
        case(35, "head-of-100k", "refused: the cap is 64 KiB")
            .list("{head-of-100k}/a.bin")
            .with("--retries", 0)
            .run(exits(1).and(AskedAtMost(2)).and(Within(5.0))),
        case(35, "many-headers", "accepted")
            .list("{many-headers}/a.bin")
            .run(right().and(Asked(1))),
        case(35, "chunk-extensions", "passed over")
            .list("{chunk-extensions}/a.bin")
            .run(right().and(Asked(1))),
        case(35, "long-chunk-extensions", "passed over")
            .list("{long-chunk-extensions}/a.bin")
            .run(right().and(Asked(1))),
        case(35, "redirect-latin-1", "the server gets the byte that it has sent")
            .list("{redirect-latin-1}/a.bin")
            .run(right().and(Asked(2))),
        //
        case(36, "unauthorized", "credentials of another kind")
            .list("{unauthorized}/a.bin")
            .run(exits(1).and(Asked(1)).and(Says("401")).and(Says("Basic"))),
        case(36, "proxy-wanted", "proxies")
            .list("{proxy-wanted}/a.bin")
            .run(exits(1).and(Asked(1)).and(Says("proxies are not supported"))),
        case(36, "proxy-in-the-environment", "passed over, with a note")
            .list("{right}/a.bin")
            .run(right().wrapper(PROXY).and(Asked(1)).and(Says("proxies are not supported"))),
        case(36, "cookie-wall", "cookies")
            .list("{cookie-wall}/a.bin")
            .run(exits(1).and(Asked(1)).and(Says("cookies are not kept"))),
        case(36, "http-2", "HTTP/2")
            .list("{http-2}/a.bin")
            .with("--retries", 0)
            .run(exits(1).and(AskedAtMost(2)).and(Says("HTTP/2 and later are not supported"))),
        case(36, "http-2-line", "a later HTTP")
            .list("{http-2-line}/a.bin")
            .with("--retries", 0)
            .run(exits(1).and(AskedAtMost(2)).and(Says("HTTP/2 and later are not supported"))),
        case(36, "another-protocol", "a server of something else")
            .list("{another-protocol}/a.bin")
            .with("--retries", 0)
            .run(exits(1).and(AskedAtMost(2)).and(Says("the answer is not HTTP/1.1"))),
        case(36, "other-schemes", "what is not HTTP")
            .list("ftp://127.0.0.1/a\nsftp://127.0.0.1/b\nfile:///etc/passwd\n{right}/a.bin")
            .run(exits(1).file("a.bin", RIGHT).and(Says("only http and https"))),
    ]
}
