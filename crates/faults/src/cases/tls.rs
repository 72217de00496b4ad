//! Certificates: fault 28.

use super::answers::{numbered, some};
use crate::case::{
    Case,
    Content::Body,
    Expect::{Asked, ContinuesFrom, NotBefore, Says, Within},
    RIGHT, case, exits,
};

pub fn cases() -> Vec<Case> {
    let refused = || {
        exits(1)
            .and(Asked(0))
            .and(Says("certificate"))
            .and(Within(5.0))
    };
    vec![
        case(
            28,
            "tls",
            "a certificate that is signed by the given authority is accepted",
        )
        .list(numbered("{tls:right}", 8, 50_000))
        .with("--cacert", "{CA}")
        .run(some(exits(0), 8, 50_000).and(Asked(8))),
        case(28, "tls-large", "so are large files")
            .list("{tls:right}/a.bin?bytes=5000000\n{tls:chunked}/b.bin?bytes=1000000")
            .with("--cacert", "{CA}")
            .run(
                exits(0)
                    .file("a.bin", Body(1, 5_000_000))
                    .file("b.bin", Body(1, 1_000_000)),
            ),
        case(28, "tls-by-name", "so is a name")
            .list("{tls:redirect}/a.bin")
            .with("--cacert", "{CA}")
            .run(exits(0).file("a.bin", RIGHT).and(Asked(2))),
        case(28, "tls-close-midway", "what breaks is continued")
            .list("{tls:close-midway}/a.bin")
            .with("--cacert", "{CA}")
            .run(
                exits(0)
                    .file("a.bin", RIGHT)
                    .and(Asked(2))
                    .and(ContinuesFrom(50_000)),
            ),
        case(28, "tls-until-close", "an end is an end")
            .list("{tls:until-close}/a.bin")
            .with("--cacert", "{CA}")
            .run(exits(0).file("a.bin", RIGHT).and(Asked(1))),
        case(28, "tls-torn", "an end that TLS does not confirm is none")
            .list("{tls:until-close-torn}/a.bin")
            .with("--cacert", "{CA}")
            .run(exits(1)),
        case(
            28,
            "tls-redirect-to-http",
            "a secret does not go on in the clear",
        )
        .list("{tls:redirect-to-http}/a.bin")
        .with("--cacert", "{CA}")
        .run(exits(1).and(Asked(1)).and(Says("redirected"))),
        case(
            28,
            "tls-handshake-stalls",
            "ended by the connection's timeout",
        )
        .list("{SILENT}/a.bin")
        .with("--cacert", "{CA}")
        .with("--connect-timeout", 0.7)
        .with("--retries", 1)
        .run(exits(1).and(NotBefore(1.3)).and(Within(5.0))),
        case(28, "no-tls-there", "an error")
            .list("{as-tls:right}/a.bin")
            .with("--retries", 1)
            .run(exits(1).and(Asked(0)).and(Within(5.0))),
        case(28, "unknown-issuer", "refused")
            .list("{tls:right}/a.bin")
            .run(refused()),
        case(28, "other-issuer", "refused")
            .list("{tls:right}/a.bin")
            .with("--cacert", "{OTHER CA}")
            .run(refused()),
        case(28, "expired", "refused")
            .list("{expired:right}/a.bin")
            .with("--cacert", "{CA}")
            .run(refused()),
        case(28, "wrong-host", "refused")
            .list("{elsewhere:right}/a.bin")
            .with("--cacert", "{CA}")
            .run(refused()),
    ]
}
