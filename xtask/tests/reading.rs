//! Choosing and reading on the page, in a real browser: by keyboard, on a phone and
//! on a desk.

mod browser;
mod fixture;
mod made_up;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use browser::{Browser, Setting, Tab, axe};
use made_up::MadeUp;
use serde_json::json;
use tempfile::TempDir;
use xtask::effort::{Effort, count};
use xtask::results::Comparison;
use xtask::sources::Sources;
use xtask::{plan, workspace};

const SIZES: [Setting; 2] = [Setting::new(390, 844, false), Setting::new(1440, 900, true)];

fn comparison() -> Comparison {
    let times = [
        ("serial", 9.0),
        ("thread", 2.0),
        ("tokio", 1.0),
        ("smol", 1.0),
    ];
    let memory = |made_up: MadeUp| made_up.set("serial", "peak_memory_bytes", 1000.into());
    let download = MadeUp::new().job("download", "article", json!({"images": 100}), &times);
    memory(download)
        .job("counter", "heavy", json!({"guard": "lock"}), &times)
        .job("counter", "heavy-racy", json!({"guard": "racy"}), &times)
        .comparison()
}

/// A page of that, made by the command; with code beside it or not.
fn page(sources: Option<&Sources>) -> (TempDir, PathBuf) {
    page_of(&comparison(), sources)
}

fn page_of(comparison: &Comparison, sources: Option<&Sources>) -> (TempDir, PathBuf) {
    let output = tempfile::tempdir().expect("a directory");
    let results = output.path().join("results/made-up");
    fs::create_dir_all(&results).expect("a directory");
    let write = |name: &str, json: serde_json::Result<Vec<u8>>| {
        fs::write(results.join(name), json.expect("JSON")).expect("a file");
    };
    write("comparison.json", serde_json::to_vec(comparison));
    if let Some(sources) = sources {
        write("sources.json", serde_json::to_vec(sources));
    }
    report(output.path());
    let page = results.join("index.html");
    (output, page)
}

fn report(output: &Path) {
    let reported = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["report", "made-up", "--output"])
        .arg(output)
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&reported.stderr);
    assert!(reported.status.success(), "{said}");
}

fn sources() -> Sources {
    let models = ["serial", "thread", "tokio", "smol"].map(str::to_owned);
    Sources::of_tree(&workspace::root(), "abc", &models).expect("the tree's own")
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
    let (output, page) = page(Some(&sources()));
    let effort = Effort {
        revision: "abc".to_owned(),
        models: count::models(&workspace::root(), &["smol".to_owned()]).expect("it can be read"),
    };
    let json = serde_json::to_vec(&effort).expect("JSON");
    fs::write(page.with_file_name("effort.json"), json).expect("a file");
    report(output.path());
    for size in SIZES {
        let mut tab = browser.tab();
        tab.look(size);
        tab.open_file(&page);
        let rows = "document.querySelectorAll('#effort tbody tr').length";
        assert_eq!(tab.evaluate(rows), 1 + suite::Workload::ALL.len());
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
        select(&mut tab, "choose-kind", "Downloads, so many at once");
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
    const MOST: u64 = 2 << 20;
    let models = plan::MODELS.map(str::to_owned);
    let sources = Sources::of_tree(&workspace::root(), "abc", &models);
    let sources = sources.expect("the tree's own");
    let (_output, page) = page_of(&fixture::thorough(), Some(&sources));
    let size = fs::metadata(&page).expect("a page").len();
    assert!(size < MOST, "{size} bytes");
}

#[test]
fn a_comparison_that_kept_no_code_says_so() {
    let (output, page) = page(None);
    let html = fs::read_to_string(&page).expect("a page");
    assert!(html.contains("without keeping the code that it measured"));
    assert!(html.contains("did not count what its code takes"));
    assert!(!html.contains("id=\"reading-data\""));
    // And one whose code cannot be understood is an error that names the file.
    let sources = page.with_file_name("sources.json");
    fs::write(&sources, "{").expect("a file");
    let reported = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["report", "made-up", "--output"])
        .arg(output.path())
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&reported.stderr);
    assert_eq!(reported.status.code(), Some(1), "{said}");
    assert!(said.contains("sources.json is malformed"), "{said}");
}
