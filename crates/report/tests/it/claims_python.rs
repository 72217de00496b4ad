//! The article's claims with Python itself and Rust, by each interpreter.

use report::findings::claims::{self, Answer};
use report::{markdown, page};
use results::fixture::Builder;
use results::{Cell, Interpreter, Python, PythonModel};
use serde_json::json;

use Answer::{CannotBeTold, DoesNotHold, Holds};

/// A cell's contestant, by its name: `py-thread 3.14t`.
fn in_python(cell: &mut Cell) {
    let (model, version) = cell.model.split_once(' ').expect("it has a version");
    let model = match model {
        "py-thread" => PythonModel::Thread,
        "py-process" => PythonModel::Process,
        "py-asyncio" => PythonModel::Asyncio,
        _ => PythonModel::Interpreters,
    };
    cell.command = Some("python3 x.py".to_owned());
    cell.answers = true;
    cell.python = Some(Python {
        model,
        interpreter: Interpreter {
            version: version.trim_end_matches('t').to_owned(),
            gil: !version.ends_with('t'),
            path: format!("/{version}"),
        },
    });
}

fn job(workload: &str, label: &str, job: serde_json::Value, times: &[(&str, f64)]) -> Builder {
    let mut builder = Builder::new().job(workload, label, job, times);
    for (model, _) in times.iter().filter(|(model, _)| model.starts_with("py-")) {
        builder = builder.with(model, in_python);
    }
    builder
}

/// What became of a claim in Rust, and by interpreter.
fn answers(builder: Builder, id: &str) -> (Answer, Vec<(String, Answer, String)>) {
    let claims = claims::claims(&builder.build());
    let claim = claims.into_iter().find(|claim| claim.id == id);
    let claim = claim.unwrap_or_else(|| panic!("no claim is called {id}"));
    let own = claim.in_python.into_iter();
    let own = own.map(|own| (own.interpreter, own.answer, own.measured.join("; ")));
    (claim.answer, own.collect())
}

#[track_caller]
fn expect(builder: Builder, id: &str, rust: Answer, expected: &[(&str, Answer, &str)]) {
    let (answer, own) = answers(builder, id);
    assert_eq!(answer, rust, "{id}: {own:?}");
    assert_eq!(own.len(), expected.len(), "{id}: {own:?}");
    for ((interpreter, answer, measured), expected) in own.iter().zip(expected) {
        assert_eq!(
            (&**interpreter, *answer),
            (expected.0, expected.1),
            "{own:?}"
        );
        assert!(
            measured.contains(expected.2),
            "{id}: no {} in {measured}",
            expected.2
        );
    }
}

#[test]
fn threads_of_python_run_in_parallel_without_the_gil_alone() {
    let times = [
        ("serial", 40.0),
        ("thread", 20.0),
        ("process", 21.0),
        ("py-thread 3.11", 4000.0),
        ("py-process 3.11", 2100.0),
        ("py-asyncio 3.11", 4000.0),
        ("py-thread 3.14t", 2100.0),
        ("py-process 3.14t", 2200.0),
        ("py-asyncio 3.14t", 4200.0),
        ("py-interpreters 3.14t", 2300.0),
    ];
    let primes = || job("primes", "heavy", json!({}), &times);
    let (with, without) = ("Python 3.11", "Python 3.14 without the GIL");
    // Rust's answer is what it is without any Python.
    let threads = [
        (
            with,
            Holds,
            "py-thread 3.11 4.00 s, py-asyncio 3.11 4.00 s: no difference",
        ),
        (
            without,
            DoesNotHold,
            "py-thread 3.14t 2.10 s, py-asyncio 3.14t 4.20 s: 2.00× as fast",
        ),
    ];
    expect(primes(), "threads-cpu", DoesNotHold, &threads);
    let processes = [
        (with, Holds, "1.90× as fast"),
        (without, Holds, "1.91× as fast"),
    ];
    expect(primes(), "processes-cpu", Holds, &processes);
    // Nothing of Python was measured at the other workloads.
    expect(primes(), "lost-updates", CannotBeTold, &[]);
}

#[test]
fn updates_that_processes_lose_are_not_lost_by_threads() {
    let counted = |by_threads: u64| {
        let names = ["serial", "py-thread 3.11", "py-process 3.11"];
        let racy = json!({"workers": 8, "guard": "racy"});
        let tally = |lost: u64| Some(json!({"lost": lost, "total": 4_000_000 - lost}));
        job(
            "counter",
            "heavy-racy",
            racy,
            &names.map(|name| (name, 1.0)),
        )
        .with("py-thread 3.11", |cell| cell.outcome = tally(by_threads))
        .with("py-process 3.11", |cell| cell.outcome = tally(77))
    };
    let none = [("Python 3.11", CannotBeTold, "no model lost one")];
    expect(counted(0), "lost-updates", CannotBeTold, &none);
    let some = [("Python 3.11", Holds, "py-thread 3.11 lost 5 of 4,000,000")];
    expect(counted(5), "lost-updates", CannotBeTold, &some);
}

fn images(times: [f64; 3], mib: [u64; 3]) -> Builder {
    let names = ["py-thread 3.11", "py-process 3.11", "py-asyncio 3.11"];
    let rust = [("tokio", 1.0)];
    let python: Vec<_> = names.iter().copied().zip(times.map(|s| s * 1e3)).collect();
    let all = [&rust[..], &python].concat();
    let mut builder = job(
        "download",
        "article-own-limits",
        json!({"images": 100}),
        &all,
    );
    for (name, mib) in names.iter().zip(mib) {
        builder = builder.with(name, |cell| {
            cell.resources.peak_memory_bytes = Some(mib << 20);
        });
    }
    builder
}

#[test]
fn the_articles_images_are_held_against_its_own_language() {
    let of = |answer, says| [("Python 3.11", answer, says)];
    let article = || images([12.3, 8.7, 5.2], [85, 210, 65]);
    expect(article(), "images-time", CannotBeTold, &of(Holds, "12.3 s"));
    expect(
        article(),
        "images-memory",
        CannotBeTold,
        &of(Holds, "65.0 MiB"),
    );
    let other = || images([1.3, 1.3, 1.3], [30, 40, 50]);
    expect(
        other(),
        "images-time",
        CannotBeTold,
        &of(DoesNotHold, "no difference"),
    );
    expect(
        other(),
        "images-memory",
        CannotBeTold,
        &of(DoesNotHold, "1.67× as much"),
    );
    let without_aiohttp = article().without(
        "py-asyncio 3.11",
        results::Status::Unsupported,
        "it needs aiohttp",
    );
    let unsupported = of(
        CannotBeTold,
        "py-asyncio 3.11 at download article-own-limits",
    );
    expect(without_aiohttp, "images-time", CannotBeTold, &unsupported);
}

#[test]
fn page_and_markdown_show_both_languages() {
    let comparison = images([12.3, 8.7, 5.2], [85, 210, 65]).build();
    let page = page::page(&comparison).expect("a page");
    assert!(
        page.contains("Python 3.11: <b class=\"holds\">holds</b>"),
        "{page}"
    );
    let markdown = markdown::document(&comparison).replace('\\', "");
    let shown = "asyncio takes 65 MB, threads 85 MB, processes 210 MB. Python 3.11: holds (";
    assert!(markdown.contains(shown), "{markdown}");
}
