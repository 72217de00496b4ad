//! No model's program has code of another model's runtime in it.
//!
//! What Cargo says of packages and features is what may be linked; the symbols of a
//! program are what was.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A path that symbols of a runtime begin with, and whose programs may have them.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Whole parts of a path: `tokio::net` is no beginning of `tokio::network::x`.
    pub path: &'static str,
    /// The models' names.
    pub models: &'static [&'static str],
}

const fn rule(path: &'static str, models: &'static [&'static str]) -> Rule {
    Rule { path, models }
}

/// What each model runs on. Of tokio only what starts and drives tasks: hyper has its
/// channels in other models' programs, which know of a runtime that may be there.
pub const RULES: &[Rule] = &[
    rule("tokio::net", &["tokio"]),
    rule("tokio::runtime::blocking::task", &["tokio"]),
    rule("tokio::runtime::builder", &["tokio"]),
    rule("tokio::runtime::io::driver", &["tokio"]),
    rule("tokio::runtime::io::registration", &["tokio"]),
    rule("tokio::runtime::runtime", &["tokio"]),
    rule("tokio::runtime::scheduler::current_thread", &["tokio"]),
    rule(
        "tokio::runtime::scheduler::multi_thread::worker",
        &["tokio"],
    ),
    rule("tokio::runtime::task::core", &["tokio"]),
    rule("tokio::runtime::task::harness", &["tokio"]),
    rule("tokio::runtime::time", &["tokio"]),
    rule("tokio::task::spawn", &["tokio"]),
    rule("tokio::time", &["tokio"]),
    rule("tokio_rustls", &["tokio"]),
    rule("mio", &["tokio"]),
    rule("async_global_executor", &["async-std"]),
    rule("async_std", &["async-std"]),
    rule("surf", &["async-std"]),
    // All of its own code is a global executor, which its model does not use.
    rule("smol", &[]),
    // Two APIs over one engine.
    rule("async_executor", &["async-std", "smol"]),
    rule("async_io", &["async-std", "smol"]),
    rule("blocking", &["async-std", "smol"]),
    rule("rayon", &["thread"]),
    rule("rayon_core", &["thread"]),
    rule("crossbeam_channel", &["thread"]),
    rule("ipc_channel", &["process"]),
    // The harness is for tests and benches.
    rule("criterion", &[]),
    rule("harness", &[]),
];

/// The program of `model` has all that `rules` say it runs on, and nothing of what
/// others do.
///
/// # Errors
///
/// With what it has or lacks, or when it cannot be read or has been stripped.
pub fn check(program: &Path, model: &str, rules: &[Rule]) -> Result<(), String> {
    let bytes = fs::read(program).map_err(|error| format!("{}: {error}", program.display()))?;
    let symbols = symbols(&bytes);
    if symbols.is_empty() {
        return Err(format!("{} has no symbols", program.display()));
    }
    let found: String = rules
        .iter()
        .filter_map(|Rule { path, models }| {
            let symbol = symbols.iter().find(|symbol| names(symbol, path));
            match (symbol, models.contains(&model)) {
                (Some(symbol), false) => {
                    Some(format!("model-{model} has code of {path}: {symbol}\n"))
                }
                // The rule would find it nowhere else, either.
                (None, true) => Some(format!("model-{model} has no code of {path}\n")),
                _ => None,
            }
        })
        .collect();
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

    const TWO: [Rule; 2] = [
        rule("rayon_core", &["thread"]),
        rule("tokio::net", &["tokio"]),
    ];

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
            check(&program, model, &TWO)
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
        let rules = [rule("xtask::check::symbols", &["xtask"]), TWO[1]];
        assert_eq!(check(&program, "xtask", &rules), Ok(()));
        let found = check(&program, "smol", &rules).expect_err("it has code of xtask");
        assert!(
            found.contains("model-smol has code of xtask::check::symbols"),
            "{found}"
        );
    }
}
