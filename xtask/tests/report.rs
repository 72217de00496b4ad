//! `report` as it is called: Criterion's pages on demand, and what cannot be read.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use results::fixture::{Builder, scattered};
use results::{ResultsDir, Sources};

fn report(place: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let command = command.args(["report", "run", "--output"]).arg(place);
    command.args(args).output().expect("it runs")
}

#[test]
fn criterions_pages_are_made_and_linked() {
    const COMMAND: &str = "cargo xtask report run --criterion";
    let place = tempfile::Builder::new().prefix("a place ").tempdir();
    let place = place.expect("a directory");
    let directory = ResultsDir::prepare(place.path().join("results/run")).expect("a directory");
    let cells = [("serial", 2e6), ("tokio", 1e6)];
    let cells = cells.map(|(model, ns)| scattered("primes", "heavy", model, ns, (5, 0.0)));
    let builder = Builder::new().cells(cells);
    let builder = builder.of_run(|comparison| comparison.run.name = "run".to_owned());
    directory.write(&builder.build()).expect("a file");
    let page = |args: &[&str]| {
        let done = report(place.path(), args);
        assert!(done.status.success(), "{done:?}");
        fs::read_to_string(directory.path().join(ResultsDir::PAGE)).expect("a page")
    };
    assert!(page(&[]).contains(COMMAND), "there is no way to them");
    let with = page(&["--criterion"]);
    assert!(!with.contains(COMMAND), "they are there");
    for page in ["primes/report", "report"] {
        let link = format!("../../target/criterion/{page}/index.html");
        assert!(with.contains(&format!("href=\"{link}\"")), "{link}");
        assert!(directory.path().join(link).is_file(), "{page}");
    }

    fs::write(directory.path().join(Sources::FILE), "{").expect("a file");
    let done = report(place.path(), &[]);
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("sources.json is malformed"), "{said}");
}
