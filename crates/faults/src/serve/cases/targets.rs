//! Methods and targets.

use std::fs;

use super::turns;
use crate::conformance::case::Case;
use crate::conformance::expect::answer;
use crate::serve::case::{Turn, file, get, refused, request, turn};

pub(super) fn all() -> Vec<Case> {
    let found = |path: &str, body: &str| turn(get(path, &[]), answer(200).body(body));
    let none = |path: &str| turn(get(path, &[]), answer(404));
    let allow = || answer(405).field("allow", "GET, HEAD");
    vec![
        turns(
            [
                "other-methods",
                "RFC 9110, 15.5.6",
                "methods that change something",
                "405 with Allow",
            ],
            ["POST", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS"]
                .map(|method| turn(request(&format!("{method} /a.txt HTTP/1.1"), &[]), allow()))
                .into(),
        ),
        turns(
            ["options", "RFC 9110, 9.3.7", "OPTIONS *", "405 with Allow"],
            vec![turn(request("OPTIONS * HTTP/1.1", &[]), allow())],
        ),
        turns(
            [
                "connect",
                "RFC 9110, 9.3.6",
                "CONNECT",
                "405 with Allow, and no tunnel",
            ],
            vec![turn(request("CONNECT example:80 HTTP/1.1", &[]), allow())],
        ),
        turns(
            [
                "unknown-method",
                "RFC 9110, 9.1",
                "an unknown method, or one in lower case",
                "501",
            ],
            ["BREW", "get", "Get", "GETS"]
                .map(|method| {
                    turn(
                        request(&format!("{method} /a.txt HTTP/1.1"), &[]),
                        answer(501),
                    )
                })
                .into(),
        ),
        turns(
            [
                "bad-method",
                "RFC 9110, 5.6.2",
                "a method that is no token",
                "400",
            ],
            vec![
                refused(400, request("GE(T /a.txt HTTP/1.1", &[])),
                refused(400, request("G\0T /a.txt HTTP/1.1", &[])),
            ],
        ),
        turns(
            [
                "absolute-form",
                "RFC 9112, 3.2.2",
                "http://HOST/PATH, with another Host",
                "as the path alone",
            ],
            vec![
                turn(request("GET http://other:80/a.txt HTTP/1.1", &[]), file()),
                turn(request("GET HTTP://other/a.txt?b HTTP/1.1", &[]), file()),
                turn(
                    request("HEAD http://other/a.txt HTTP/1.1", &[]),
                    file().for_head(),
                ),
                refused(400, request("GET ftp://other/a.txt HTTP/1.1", &[])),
                refused(400, request("GET http:///a.txt HTTP/1.1", &[])),
                refused(400, request("GET http://user@other/a.txt HTTP/1.1", &[])),
            ],
        ),
        turns(
            [
                "bad-target",
                "RFC 9112, 3.2",
                "a target that is none",
                "400",
            ],
            vec![
                refused(400, get("a.txt", &[])),
                refused(400, get("*", &[])),
                refused(400, get("/a.txt#b", &[])),
                refused(400, get("/ä.html", &[])),
                refused(400, get("/%", &[])),
                refused(400, get("/%4", &[])),
                refused(400, get("/%zz", &[])),
            ],
        ),
        turns(
            [
                "query",
                "RFC 9110, 4.2.1",
                "a query",
                "the file is the same",
            ],
            vec![
                turn(get("/a.txt?b=/../c", &[]), file()),
                turn(get("/a.txt?", &[]), file()),
            ],
        ),
        turns(
            [
                "encoded",
                "RFC 3986, 2.1",
                "names that are encoded",
                "they are decoded once",
            ],
            vec![
                found("/%61.txt", "0123456789"),
                found("/with%20space.txt", "space"),
                found("/100%25.txt", "percent"),
                found("/%C3%A4.html", "umlaut"),
                none("/%2561.txt"),
                none("/with+space.txt"),
            ],
        ),
        turns(
            [
                "dots",
                "RFC 9110, 17.3",
                "`..`, plain and encoded",
                "404: no file beyond",
            ],
            vec![
                none("/../secret.txt"),
                none("/%2e%2e/secret.txt"),
                none("/.%2E/secret.txt"),
                none("/sub/../../secret.txt"),
                none("/sub/.."),
                none("//../secret.txt"),
            ],
        ),
        turns(
            [
                "encoded-slash",
                "RFC 3986, 2.2",
                "a slash that is encoded",
                "404",
            ],
            vec![
                none("/sub%2Findex.html"),
                none("/..%2fsecret.txt"),
                none("/%2fetc/passwd"),
                none("//etc/passwd"),
            ],
        ),
        turns(
            [
                "encoded-nul",
                "RFC 3986, 7.3",
                "a NUL that is encoded",
                "404",
            ],
            vec![none("/a.txt%00"), none("/a.txt%00.html")],
        ),
        turns(
            [
                "link-out",
                "RFC 9110, 17.3",
                "a symbolic link that leads out",
                "404",
            ],
            vec![
                none("/outside.txt"),
                none("/up/secret.txt"),
                none("/up/served/a.txt"),
            ],
        ),
        turns(
            [
                "link-inside",
                "RFC 9110, 17.3",
                "a symbolic link to a file inside",
                "the file",
            ],
            vec![turn(get("/inside.txt", &[]), file())],
        ),
        turns(
            [
                "directory",
                "RFC 9110, 17.3",
                "a directory",
                "its index.html, or 404: no list",
            ],
            vec![
                found("/sub/", "index"),
                none("/sub"),
                none("/"),
                none("/a.txt/"),
            ],
        ),
        turns(
            [
                "pipe",
                "RFC 9110, 15.5.5",
                "a pipe that nothing writes to",
                "404 at once",
            ],
            vec![none("/pipe"), turn(get("/a.txt", &[]), file())],
        ),
        turns(
            [
                "long-name",
                "RFC 9110, 15.5.5",
                "a longer name than files have",
                "404",
            ],
            vec![
                none(&format!("/{}", "a".repeat(300))),
                none(&"/a".repeat(2500)),
            ],
        ),
        turns(
            [
                "changes",
                "RFC 9110, 9.3.1",
                "a file that changes, goes and comes",
                "each answer has it as it is",
            ],
            vec![
                turn(get("/a.txt", &[]), file()),
                Turn {
                    before: Some(|directory| fs::write(directory.join("a.txt"), "changed")),
                    ..found("/a.txt", "changed")
                },
                Turn {
                    before: Some(|directory| fs::remove_file(directory.join("a.txt"))),
                    ..none("/a.txt")
                },
                Turn {
                    before: Some(|directory| fs::write(directory.join("a.txt"), "0123456789")),
                    ..turn(get("/a.txt", &[]), file())
                },
            ],
        ),
    ]
}
