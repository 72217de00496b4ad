//! `report` as it is called: Criterion's pages on demand, and what cannot be read.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use results::fixture::{Builder, scattered};
use results::{Cell, Point, ResultsDir, Sources, Status};
use serde_json::json;

/// How `report run` ends, and what it says of a failure.
fn ended(place: &Path, args: &[&str]) -> (Option<i32>, String) {
    let done = report(place, args);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    (done.status.code(), said)
}

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
    let cells = |label: &str| {
        let cells = [("serial", 2e6), ("tokio", 1e6)];
        cells.map(|(model, ns)| scattered("primes", label, model, ns, (5, 0.0)))
    };
    let few = |samples: &[f64]| {
        cells("article").map(|mut cell| {
            let time = cell.time.as_mut().expect("it has one");
            time.samples_ns = samples.to_vec();
            time.rounds = vec![samples.len()];
            cell
        })
    };
    // Fewer than Criterion takes.
    let [serial, mut tokio] = few(&[2e6, 3e6]);
    tokio.time = few(&[1e6])[1].time.clone();
    let points = [(1, "serial"), (1, "tokio"), (2, "tokio")].map(|(value, model)| Cell {
        point: Some(Point {
            key: "workers".to_owned(),
            value: value.into(),
        }),
        ..scattered(
            "primes",
            &format!("heavy workers={value}"),
            model,
            1e6,
            (5, 0.0),
        )
    });
    let cells = cells("heavy")
        .into_iter()
        .chain([serial, tokio])
        .chain(points);
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
    for page in ["primes heavy/report", "primes article/report", "report"] {
        let path = format!("../../target/criterion/{page}/index.html");
        assert!(directory.path().join(&path).is_file(), "{page}");
        let link = format!("href=\"{}\"", path.replace(' ', "%20"));
        assert!(with.contains(&link), "{link}");
    }
    let home = place.path().join("target/criterion");
    let read = |page: &str| fs::read_to_string(home.join(page)).expect(page);
    let of_few = read("primes article/report/index.html");
    for few in ["serial (2 samples)", "tokio (1 sample)"] {
        assert!(
            of_few.contains(&format!("primes article/{few}")),
            "{of_few}"
        );
    }
    let of_sweep = read("primes.workers/report/index.html");
    assert!(of_sweep.contains("Line Chart"), "{of_sweep}");
    // A model without a page leaves its place in the index.
    let index = read("report/index.html");
    let row = index
        .split("<tr>")
        .find(|row| row.contains("primes.workers/tokio/2"));
    let row: Vec<_> = row.expect("a row").split("<td>").skip(1).collect();
    assert_eq!(row.len(), 2, "{index}");
    assert!(
        row[0].starts_with("</td>") && row[1].contains("tokio/2"),
        "{index}"
    );

    fs::write(directory.path().join(Sources::FILE), "{").expect("a file");
    let done = report(place.path(), &[]);
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("sources.json is malformed"), "{said}");
}

#[test]
fn ratios_are_given_to_the_model_that_is_asked_for() {
    let place = tempfile::tempdir().expect("a directory");
    let directory = ResultsDir::prepare(place.path().join("results/run")).expect("a directory");
    let times = [("serial", 4.0), ("thread", 3.0), ("tokio", 2.0)];
    let builder = Builder::new()
        .job("primes", "heavy", json!({}), &times)
        .job("echo", "heavy", json!({}), &times)
        .without("tokio", Status::Unsupported, "it does not")
        .job("files", "heavy", json!({}), &times[..2]);
    directory.write(&builder.build()).expect("a file");
    let tables = |args: &[&str]| {
        assert_eq!(ended(place.path(), args), (Some(0), String::new()));
        let text = fs::read_to_string(directory.path().join(ResultsDir::MARKDOWN));
        text.expect("tables")
    };
    let row = |text: &str, model: &str| {
        let row = text
            .lines()
            .find(|line| line.contains(&format!("| heavy | {model} |")));
        row.expect(model).to_owned()
    };
    let to_serial = tables(&[]);
    assert!(to_serial.contains("| to best | to serial |"), "{to_serial}");
    assert!(
        row(&to_serial, "thread").contains("| 1.50× | 0.75× |"),
        "{to_serial}"
    );
    assert!(!to_serial.contains("no ratios to"), "{to_serial}");

    let to_tokio = tables(&["--reference", "tokio"]);
    assert!(to_tokio.contains("| to best | to tokio |"), "{to_tokio}");
    assert!(
        row(&to_tokio, "thread").contains("| 1.50× | 1.50× |"),
        "{to_tokio}"
    );
    let echo = to_tokio.split("## ").find(|part| part.starts_with("echo"));
    let echo = echo.expect("it was measured");
    assert!(echo.contains("no ratios to tokio: unsupported"), "{echo}");
    assert!(row(echo, "thread").contains("× | - |"), "{echo}");
    assert!(
        to_tokio.contains("no ratios to tokio: it was not measured"),
        "{to_tokio}"
    );
    let page = fs::read_to_string(directory.path().join(ResultsDir::PAGE)).expect("a page");
    assert!(page.contains("to tokio</th>") && !page.contains("to serial</th>"));

    let (code, said) = ended(place.path(), &["--reference", "go"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("has to be one of serial, thread, tokio"),
        "{said}"
    );
}
