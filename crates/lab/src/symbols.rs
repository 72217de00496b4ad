//! Which functions are in a program.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};

/// What is wrong with the functions in `program`: it has none of some path of `own`, as
/// a rule that is right nowhere would find nothing elsewhere, or some of a `forbidden`
/// path.
///
/// # Errors
///
/// When the program cannot be read, or has no symbols.
pub fn check(program: &Path, own: &[&str], forbidden: &[&str]) -> anyhow::Result<Vec<String>> {
    let bytes = fs::read(program).with_context(|| program.display().to_string())?;
    let functions = functions(&bytes);
    ensure!(
        !functions.is_empty(),
        "{} has no symbols",
        program.display()
    );
    let find = |path: &str| functions.iter().find(|symbol| names(symbol, path));
    let missing = own.iter().filter(|path| find(path).is_none());
    let missing = missing.map(|path| format!("no code of {path}"));
    let foreign = forbidden.iter().filter_map(|path| {
        let symbol = find(path)?;
        Some(format!("code of {path}: {symbol}"))
    });
    Ok(missing.chain(foreign).collect())
}

/// All functions of a Rust program, demangled, but for those that the compiler made to
/// drop what may never have been made. Every format of programs ends each name in its
/// table with a zero: no more need be known of it.
fn functions(program: &[u8]) -> BTreeSet<String> {
    program
        .split(|byte| *byte == 0)
        .filter_map(|name| rustc_demangle::try_demangle(str::from_utf8(name).ok()?).ok())
        .map(|name| format!("{name:#}"))
        .filter(|name| !name.starts_with("core::ptr::drop_in_place"))
        .collect()
}

/// Whether a path in `symbol` begins with `path`: `smol` names one in
/// `<smol::Timer as core::ops::Drop>::drop`, and none in `model_smol::smol::x`.
fn names(symbol: &str, path: &str) -> bool {
    let inside = |of: char| of == ':' || of == '_' || of.is_alphanumeric();
    symbol.match_indices(path).any(|(at, _)| {
        !symbol[..at].ends_with(inside) && symbol[at + path.len()..].starts_with("::")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_named_from_its_beginning() {
        for (symbol, path) in [
            ("smol::spawn", "smol"),
            ("<smol::Timer as core::ops::Drop>::drop", "smol"),
            (
                "core::ptr::drop_in_place<(u8,tokio::net::tcp::Stream)>",
                "tokio::net",
            ),
            (
                "<&mut tokio::net::Stream as hyper::rt::Read>::poll_read",
                "tokio::net",
            ),
        ] {
            assert!(names(symbol, path), "{symbol}");
        }
        for (symbol, path) in [
            ("model_smol::counter::run", "smol"),
            ("hyper::smol::spawn", "smol"),
            ("smol_hyper::rt::FuturesIo::new", "smol"),
            ("tokio::network::x", "tokio::net"),
            ("tokio::sync::mpsc::chan::send", "tokio::net"),
        ] {
            assert!(!names(symbol, path), "{symbol}");
        }
    }

    /// In a file like a program, with names mangled in both ways.
    #[test]
    fn code_of_another_runtime_is_found() {
        let directory = tempfile::tempdir().expect("a directory");
        let program = directory.path().join("program");
        let run = "_ZN10model_smol7counter3run17h0123456789abcdefE";
        let spawn = "_ZN10rayon_core5spawn5spawn17h0123456789abcdefE";
        let listen = "_RNvNtCs1234_5tokio3net6listen";
        let drop = "_ZN4core3ptr48drop_in_place$LT$tokio..net..TcpStream$GT$17h0123456789abcdefE";
        let found = |model, names: &[&str]| {
            fs::write(
                &program,
                [b"\x7fELF\xff\0", names.join("\0").as_bytes()].concat(),
            )
            .expect("a file");
            let (own, forbidden) = match model {
                "thread" => (&["rayon_core"][..], &["tokio::net"][..]),
                _ => (&[][..], &["rayon_core", "tokio::net"][..]),
            };
            check(&program, own, forbidden).map_err(|error| error.to_string())
        };
        assert_eq!(found("smol", &[run, drop, "main"]), Ok(vec![]));
        assert_eq!(found("thread", &[run, spawn]), Ok(vec![]));
        for (model, names, says) in [
            (
                "smol",
                [run, spawn],
                "code of rayon_core: rayon_core::spawn::spawn",
            ),
            (
                "thread",
                [spawn, listen],
                "code of tokio::net: tokio::net::listen",
            ),
            ("thread", [run, run], "no code of rayon_core"),
        ] {
            assert_eq!(found(model, &names), Ok(vec![says.to_owned()]));
        }
        let stripped = found("smol", &["main"]).expect_err("nothing can be seen");
        assert!(stripped.contains("has no symbols"), "{stripped}");
    }

    /// In a real one: that of this test.
    #[test]
    fn code_in_a_real_program_is_found() {
        let program = std::env::current_exe().expect("a program");
        let own = ["lab::symbols"];
        let nothing = check(&program, &own, &["tokio::net"]).expect("a program");
        assert_eq!(nothing, [""; 0]);
        let found = check(&program, &[], &own).expect("a program");
        assert!(found[0].starts_with("code of lab::symbols: "), "{found:?}");
    }
}
