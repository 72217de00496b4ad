//! `agreement` as it is called, with stored comparisons.

use std::path::Path;
use std::process::Command;

use results::ResultsDir;
use results::fixture::Builder;
use serde_json::json;

/// The exit code, and what it prints.
fn agreement(place: &Path, names: [&str; 2]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let command = command.arg("agreement").args(names);
    let done = command.arg("--output").arg(place).output();
    let done = done.expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (done.status.code(), text(&done.stdout) + &text(&done.stderr))
}

#[test]
fn the_exit_code_tells_whether_a_verdict_is_opposite() {
    let place = tempfile::tempdir().expect("a directory");
    let store = |name: &str, builder: Builder| {
        let directory = ResultsDir::prepare(place.path().join("results").join(name));
        let directory = directory.expect("a directory");
        directory.write(&builder.build()).expect("a file");
    };
    let primes = |tokio, smol| {
        let times = [("serial", 4.0), ("tokio", tokio), ("smol", smol)];
        Builder::new().job("primes", "heavy", json!({}), &times)
    };
    store("then", primes(1.0, 2.0));
    store("now", primes(2.0, 1.0));
    store(
        "else",
        Builder::new().job("echo", "heavy", json!({}), &[("tokio", 1.0)]),
    );

    let (code, said) = agreement(place.path(), ["then", "now"]);
    assert_eq!(code, Some(1), "{said}");
    let words: Vec<_> = said.split_whitespace().collect();
    for says in [
        "primes heavy 3 1 2.00",
        "primes heavy: tokio to smol: 2.00 times faster [1.98, 2.02] in then, \
         2.00 times slower [1.98, 2.02] in now",
        "1 of 3 pairs opposite",
    ] {
        assert!(words.join(" ").contains(says), "no {says:?} in {said}");
    }
    let (code, said) = agreement(place.path(), ["then", "then"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("0 of 3 pairs opposite"), "{said}");

    let (code, said) = agreement(place.path(), ["then", "else"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("echo heavy: only in else"), "{said}");
    let (code, said) = agreement(place.path(), ["then", "none"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("there is no"), "{said}");
}

#[test]
fn the_reference_agrees_with_itself() {
    let root = lab::workspace::root().expect("a checkout");
    let (code, said) = agreement(&root, ["reference", "reference"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("\n0 of ") && !said.contains("\n0 of 0"),
        "{said}"
    );
}
