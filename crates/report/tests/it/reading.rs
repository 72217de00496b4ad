//! Choosing and reading on the page, in a real browser: by keyboard, on a phone and
//! on a desk.

use std::fs;
use std::path::{Path, PathBuf};

use crate::browser::{Browser, Setting, Tab, axe};
use crate::comparisons::swept;
use lab::{sources as code, workspace};
use report::files;
use results::fixture::Builder;
use results::fixture::MODELS;
use results::{Comparison, Effort, Latency, OfModel, Range, ResultsDir, Sidecars, Size, Sources};
use serde_json::json;
use suite::Workload;
use tempfile::TempDir;

const SIZES: [Setting; 2] = [Setting::new(390, 844, false), Setting::new(1440, 900, true)];

fn comparison() -> Comparison {
    let times = [
        ("serial", 9.0),
        ("thread", 2.0),
        ("tokio", 1.0),
        ("smol", 1.0),
    ];
    let builder = Builder::new()
        .job("download", "article", json!({"images": 100}), &times)
        .with("serial", |cell| {
            cell.resources.peak_memory_bytes = Some(1000)
        })
        .job("counter", "heavy", json!({"guard": "lock"}), &times)
        .job("counter", "heavy-racy", json!({"guard": "racy"}), &times)
        .job(
            "serve",
            "heavy-burn",
            json!({"rate": 2000, "burn": 100}),
            &times,
        )
        .with("thread", |cell| cell.latency = Some(at_rate(3e6)))
        .with("smol", |cell| cell.latency = Some(at_rate(7e6)));
    swept(builder)
}

/// Latencies at a rate, of which 99 in 100 are at most this, in nanoseconds.
fn at_rate(p99: f64) -> Latency {
    let range = |median| Range {
        median,
        low: median * 0.99,
        high: median * 1.01,
    };
    Latency {
        runs: 3,
        requests: 1_000,
        offered_per_s: Some(2_000.0),
        achieved_per_s: range(2_000.0),
        has_kept_up: true,
        late: 0,
        generator_busy: 0.1,
        p50_ns: range(1e5),
        p90_ns: range(2e5),
        p99_ns: range(p99),
        p999_ns: range(8e6),
        max_ns: range(9e6),
        added_p50_ns: None,
    }
}

/// A page of that, with code next to it or not.
fn page(sources: Option<&Sources>) -> (TempDir, PathBuf) {
    page_of(&comparison(), sources, None)
}

fn page_of(
    comparison: &Comparison,
    sources: Option<&Sources>,
    effort: Option<Effort>,
) -> (TempDir, PathBuf) {
    let output = tempfile::tempdir().expect("a directory");
    let path = output.path().join("results/made-up");
    let directory = ResultsDir::prepare(path.clone()).expect("a directory");
    let sidecars = Sidecars {
        sources: sources.cloned(),
        effort,
    };
    sidecars.write(&directory).expect("files");
    files::write(&directory, comparison).expect("files");
    (output, path.join(ResultsDir::PAGE))
}

fn of_tree(models: &[&str]) -> Sources {
    let root = workspace::root().expect("the tree");
    let models: Vec<_> = models.iter().map(|&model| model.to_owned()).collect();
    code::of_tree(&root, "abc", &models).expect("the tree's own")
}

fn sources() -> Sources {
    of_tree(&["serial", "thread", "tokio", "smol"])
}

/// Types until a select has this chosen, as a keyboard's user would.
fn select(tab: &mut Tab, id: &str, text: &str) {
    tab.focus(&format!("#{id}"));
    tab.press("Home");
    let chosen = format!("document.getElementById('{id}').selectedOptions[0].textContent");
    let last = format!("document.getElementById('{id}').options.length");
    let number = tab.evaluate(&last).as_u64().expect("a number");
    for _ in 0..number {
        if tab.text(&chosen) == text {
            return;
        }
        tab.press("ArrowDown");
    }
    assert_eq!(tab.text(&chosen), text, "{id} has no {text}");
}

/// The text of one column, as it is read.
fn column(tab: &mut Tab, side: &str) -> String {
    tab.text(&format!(
        "[...document.querySelectorAll('#reading-{side}-text > :not(.gap)')]
           .map((line) => line.textContent).join('\\n')"
    ))
}

#[test]
fn any_two_are_read_side_by_side() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let sources = sources();
    let (_output, page) = page(Some(&sources));
    for size in SIZES {
        let mut tab = browser.tab();
        tab.look(size);
        tab.open_file(&page);
        for (workload, left, right) in [
            ("counter", "thread", "tokio"),
            ("download", "smol", "tokio"),
            ("ping-pong", "tokio", "serial"),
            ("counter", "thread", "thread"),
        ] {
            select(&mut tab, "reading-workload", workload);
            select(&mut tab, "reading-left", left);
            select(&mut tab, "reading-right", right);
            for (side, model) in [("left", left), ("right", right)] {
                let mut files = sources.files.iter();
                let file = files.find(|file| file.model == model && file.workload == workload);
                let file = file.expect("every model has every workload");
                let shown = column(&mut tab, side);
                assert_eq!(shown, file.text.trim_end(), "{}", file.path);
                let head = tab.text(&format!(
                    "document.getElementById('reading-{side}-head').textContent"
                ));
                assert!(head.starts_with(&file.path), "{head}");
                assert!(head.ends_with(" lines of code"), "{head}");
            }
            let marks = "document.querySelectorAll('#reading mark').length";
            let marks = tab.evaluate(marks).as_u64().expect("a number");
            assert_eq!(marks > 0, left != right, "{workload}: {marks} marks");
            // Line by line level with each other, gaps included.
            assert!(tab.is(
                "document.getElementById('reading-left-text').childElementCount
                   === document.getElementById('reading-right-text').childElementCount"
            ));
        }
        let beside = "document.getElementById('reading-right-text').getBoundingClientRect().left
            > document.getElementById('reading-left-text').getBoundingClientRect().right";
        assert_eq!(tab.is(beside), size.width > 1000);
        assert!(
            tab.is("document.documentElement.scrollWidth <= innerWidth"),
            "the page is wider than {}",
            size.width
        );
        select(&mut tab, "reading-workload", "counter");
        let figures = tab.text("document.getElementById('reading-figures').textContent");
        assert!(figures.contains("heavy-racy"), "{figures}");
        assert!(tab.complaints().is_empty(), "{:?}", tab.complaints());
    }
}

#[test]
fn what_is_the_same_in_both_is_not_marked() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let mut sources = sources();
    sources.files.retain(|file| file.workload == "counter");
    let texts = [
        "fn one() {}\nfn same() {}\n",
        "fn other() {}\nfn same() {}\nfn more() {}\n",
    ];
    for (file, text) in sources.files.iter_mut().zip(texts) {
        text.clone_into(&mut file.text);
    }
    let (_output, page) = page(Some(&sources));
    let mut tab = browser.tab();
    tab.open_file(&page);
    select(&mut tab, "reading-left", "serial");
    select(&mut tab, "reading-right", "thread");
    let kinds = |side: &str| {
        format!(
            "[...document.querySelectorAll('#reading-{side}-text > *')]
               .map((line) => line.localName + '.' + line.className).join(' ')"
        )
    };
    assert_eq!(tab.text(&kinds("left")), "mark. span. span.gap");
    assert_eq!(tab.text(&kinds("right")), "mark. span. mark.only");
    let summary = tab.text("document.getElementById('reading-summary').textContent");
    assert!(summary.starts_with("3 of 5 lines differ"), "{summary}");
}

#[test]
fn names_from_outside_stay_text() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let hostile = "</script><img src=x onerror=alert(1)>";
    let mut sources = sources();
    sources.revision = hostile.to_owned();
    sources.files.truncate(2);
    sources.files[0].text = format!("{hostile} is no Rust \" ' & `");
    sources.files[1].text = format!("// {hostile}\nfn f() {{}}\n");
    for file in &mut sources.files {
        file.path = format!("{hostile}.rs");
        file.workload = hostile.to_owned();
        file.model += hostile;
    }
    let (_output, page) = page(Some(&sources));
    let mut tab = browser.tab();
    tab.open_file(&page);
    assert!(!tab.is("document.querySelector('#side-by-side img') !== null"));
    let left = format!("serial{hostile}");
    select(&mut tab, "reading-left", &left);
    assert_eq!(column(&mut tab, "left"), sources.files[0].text);
    assert!(tab.complaints().is_empty(), "{:?}", tab.complaints());
}

#[test]
fn axe_finds_nothing_in_code_and_effort() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let Some(script) = axe::script() else {
        return;
    };
    let workloads = Workload::ALL.iter();
    let smol = OfModel {
        model: "smol".to_owned(),
        size: Size {
            workload_lines: workloads.map(|known| (known.to_string(), 10)).collect(),
            lines: 1000,
            unsafes: 0,
            dependencies: 10,
        },
        build: None,
    };
    let effort = Effort {
        revision: "abc".to_owned(),
        models: vec![smol],
    };
    let (_output, page) = page_of(&comparison(), Some(&sources()), Some(effort));
    for size in SIZES {
        let mut tab = browser.tab();
        tab.look(size);
        tab.open_file(&page);
        let rows = "document.querySelectorAll('#effort tbody tr').length";
        assert_eq!(tab.evaluate(rows), 1 + Workload::ALL.len());
        assert_eq!(axe::findings(&mut tab, &script), [""; 0], "{size:?}");
    }
}

#[test]
fn choosing_changes_the_answer() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let (_output, page) = page(None);
    let result = "document.getElementById('choose-result').textContent";
    let first = "document.querySelector('#choose-result th[scope=row]').textContent";
    for size in SIZES {
        let mut tab = browser.tab();
        tab.look(size);
        tab.open_file(&page);
        select(&mut tab, "choose-kind", "Downloads with a limit");
        let answer = tab.text(result);
        let expected = "tokio or smol: fastest, and no difference between them";
        assert!(answer.contains(expected), "{answer}");
        assert_eq!(tab.text(first), "tokio");
        select(&mut tab, "choose-by", "memory");
        assert_eq!(tab.text(first), "serial");
        select(&mut tab, "choose-kind", "Shared state");
        select(&mut tab, "choose-scale", "counter heavy-racy: guard=racy");
        select(&mut tab, "choose-by", "time");
        let link = tab.text("document.querySelector('#choose-result a').hash.slice(1)");
        assert_eq!(link, "counter-heavy-racy");
        assert!(tab.is(&format!("document.getElementById({link:?}) !== null")));
        // A job at a rate has no rank by time.
        select(&mut tab, "choose-kind", "CPU work and I/O together");
        let by = "document.getElementById('choose-by').value";
        assert_eq!(
            (tab.text(by), tab.text(first)),
            ("p99".to_owned(), "thread".to_owned())
        );
        select(&mut tab, "choose-by", "CPU");
        select(&mut tab, "choose-kind", "Shared state");
        assert_eq!(tab.text(by), "CPU");
        assert!(tab.complaints().is_empty(), "{:?}", tab.complaints());
    }
    // Without scripts, all questions have their answers in the page.
    let mut tab = browser.tab();
    tab.scripts(false);
    tab.open_file(&page);
    assert!(tab.is("document.getElementById('choose-form').hidden"));
    tab.click("#choose-all > summary");
    tab.click("#choose-all .question > summary");
    assert!(tab.is("document.querySelector('#choose-all .ranking').checkVisibility()"));
}

#[test]
fn a_page_with_every_sample_and_all_code_is_small_enough() {
    const MOST: u64 = 3 << 20;
    let sources = of_tree(&MODELS);
    let (_output, page) = page_of(&crate::comparisons::thorough(), Some(&sources), None);
    let size = fs::metadata(&page).expect("a page").len();
    assert!(size < MOST, "{size} bytes");
}

#[test]
fn a_comparison_that_kept_no_code_says_so() {
    let (_output, page) = page(None);
    let html = fs::read_to_string(&page).expect("a page");
    assert!(html.contains("without keeping the code that it measured"));
    assert!(html.contains("did not count what its code takes"));
    assert!(!html.contains("id=\"reading-data\""));
    // And one whose code cannot be understood is an error that names the file.
    fs::write(page.with_file_name(Sources::FILE), "{").expect("a file");
    let directory = page.parent().map(Path::to_owned).expect("it is in one");
    let directory = ResultsDir::open(directory).expect("it is there");
    let error = files::write_texts(&directory, &comparison()).expect_err("it is malformed");
    let said = format!("{error:#}");
    assert!(said.contains("sources.json is malformed"), "{said}");
}
