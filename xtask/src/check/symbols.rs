//! No model's program has code of another model's runtime in it.
//!
//! What Cargo says of packages and features is what may be linked; the symbols of a
//! program are what was.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use lab::build::{self, Profile};
use lab::interrupt::Interrupt;
use lab::models;
use lab::progress::Progress;
use lab::workspace;

/// What no model's program may have in it: these are for tests and benches.
const NEVER: [&str; 2] = ["criterion", "harness"];

/// Every model's program has the symbols of its own runtime and of no other's. The
/// programs are built for that, as they are measured.
///
/// # Errors
///
/// With what a program has or lacks, or why there is none.
pub fn check(root: &Path) -> Result<(), String> {
    let problem = |error: anyhow::Error| format!("{error:#}");
    let models = models::models(root).map_err(problem)?;
    let packages: Vec<_> = models
        .iter()
        .map(|model| workspace::package(model.name()))
        .collect();
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    let interrupt = Interrupt::install().map_err(|error| error.to_string())?;
    let progress = Progress::new();
    let built = build::programs(root, &packages, Profile::Release, &interrupt, &progress);
    let mut found = String::new();
    for (model, program) in models.iter().zip(built.map_err(problem)?) {
        let program = program.ok_or_else(|| format!("model-{} does not build", model.name()))?;
        let mut forbidden = models::forbidden_symbols(&models, model);
        forbidden.extend(NEVER);
        let own: Vec<&str> = model.symbols.iter().map(String::as_str).collect();
        if let Err(why) = check_program(&program, model.name(), &own, &forbidden) {
            found += &why;
        }
    }
    if found.is_empty() { Ok(()) } else { Err(found) }
}

/// The program of `model` has functions of every path of `own`, as a rule that is right
/// nowhere would find nothing elsewhere, and none of a `forbidden` path.
fn check_program(
    program: &Path,
    model: &str,
    own: &[&str],
    forbidden: &[&str],
) -> Result<(), String> {
    let bytes = fs::read(program).map_err(|error| format!("{}: {error}", program.display()))?;
    let symbols = symbols(&bytes);
    if symbols.is_empty() {
        return Err(format!("{} has no symbols\n", program.display()));
    }
    let find = |path: &str| symbols.iter().find(|symbol| names(symbol, path));
    let missing = own
        .iter()
        .filter(|path| find(path).is_none())
        .map(|path| format!("model-{model} has no code of {path}\n"));
    let foreign = forbidden.iter().filter_map(|path| {
        let symbol = find(path)?;
        Some(format!("model-{model} has code of {path}: {symbol}\n"))
    });
    let found: String = missing.chain(foreign).collect();
    if found.is_empty() { Ok(()) } else { Err(found) }
}

/// All functions of a Rust program, demangled, but for those that the compiler made to
/// drop what may never have been made. Every format of programs ends each name in its
/// table with a zero: no more need be known of it.
fn symbols(program: &[u8]) -> BTreeSet<String> {
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
            check_program(&program, model, own, forbidden)
        };
        assert_eq!(found("smol", &[run, drop, "main"]), Ok(()));
        assert_eq!(found("thread", &[run, spawn]), Ok(()));
        for (model, names, says) in [
            (
                "smol",
                [run, spawn],
                "smol has code of rayon_core: rayon_core::spawn::spawn",
            ),
            (
                "thread",
                [spawn, listen],
                "thread has code of tokio::net: tokio::net::listen",
            ),
            ("thread", [run, run], "thread has no code of rayon_core"),
        ] {
            assert_eq!(found(model, &names), Err(format!("model-{says}\n")));
        }
        let stripped = found("smol", &["main"]).expect_err("nothing can be seen");
        assert!(stripped.contains("has no symbols"), "{stripped}");
    }

    /// In a real one: that of this test.
    #[test]
    fn code_in_a_real_program_is_found() {
        let program = std::env::current_exe().expect("a program");
        let own = ["xtask::check::symbols"];
        assert_eq!(
            check_program(&program, "xtask", &own, &["tokio::net"]),
            Ok(())
        );
        let found = check_program(&program, "smol", &[], &own).expect_err("code of xtask");
        assert!(
            found.contains("model-smol has code of xtask::check::symbols"),
            "{found}"
        );
    }
}
