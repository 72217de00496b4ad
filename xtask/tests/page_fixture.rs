//! A comparison with everything that can go wrong in it, as a page: what it says,
//! without a browser.

mod fixture;

use std::fs;
use std::path::Path;
use std::process::Command;

use fixture::{ENDLESS, HOSTILE, REASON, everything};
use xtask::page;
use xtask::results::{Comparison, Directory};
use xtask::workspace;

/// The text between two others, the first time that they are there.
fn between<'a>(page: &'a str, begin: &str, end: &str) -> &'a str {
    let (_, rest) = page
        .split_once(begin)
        .unwrap_or_else(|| panic!("no {begin}"));
    let (text, _) = rest.split_once(end).unwrap_or_else(|| panic!("no {end}"));
    text
}

/// The row of a job in the panel of a figure, as its cells' texts.
fn row(page: &str, figure: &str, job: &str) -> Vec<String> {
    let panel = between(page, &format!("data-figure=\"{figure}\""), "</table>");
    let row = between(panel, &format!("href=\"#{job}\""), "</tr>");
    let cells = row.split("<td").skip(1);
    cells
        .map(|cell| between(cell, "<b>", "</b>").to_owned())
        .collect()
}

#[test]
fn text_from_outside_stays_text() {
    let page = page::page(&everything()).expect("a page");
    assert!(!page.contains("<script>hacked"), "a name");
    assert!(!page.contains("<img"), "a reason");
    assert!(!page.contains(HOSTILE) && !page.contains(REASON));
    // The data and the page's own scripts are all that it has.
    let scripts = page.matches("<script").count();
    assert_eq!(scripts, page.matches("</script>").count());
    assert!(page.contains(ENDLESS));
}

#[test]
fn the_data_are_in_the_page_with_five_digits_of_each_sample() {
    let comparison = everything();
    let page = page::page(&comparison).expect("a page");
    let data = between(
        &page,
        "<script type=\"application/json\" id=\"data\">",
        "</script>",
    );
    let mut embedded: Comparison = serde_json::from_str(data).expect("it is of the schema");
    for (cell, original) in embedded.cells.iter_mut().zip(&comparison.cells) {
        let times = cell.time.as_mut().zip(original.time.as_ref());
        let Some((time, original)) = times else {
            continue;
        };
        let samples = time.samples_ns.iter().zip(&original.samples_ns);
        for (sample, original) in samples {
            assert!(
                (sample / original - 1.0).abs() < 1e-4,
                "{sample} of {original}"
            );
        }
        time.samples_ns.clone_from(&original.samples_ns);
    }
    let [embedded, original] =
        [embedded, comparison].map(|data| serde_json::to_value(data).expect("it is JSON"));
    assert!(embedded == original);
}

#[test]
fn ties_and_intervals_are_those_of_the_verdicts() {
    let page = page::page(&everything()).expect("a page");
    let times = row(&page, "time", "primes-heavy");
    // In the order of the models: serial, thread, process, tokio, async-std, smol.
    assert_eq!(times[1], "best");
    assert!(times[3].starts_with("≈ 1.0"), "{times:?}");
    assert_eq!(times[4], "1.04×");
    assert!(times[0].starts_with("2.0"), "{times:?}");
    assert!(times[5].starts_with("44."), "{times:?}");
    // CPU has no verdicts, and says nothing of ties.
    let cpu = row(&page, "CPU", "primes-heavy");
    assert!(!cpu.iter().any(|text| text.contains('≈')), "{cpu:?}");
    let panel = between(&page, "data-figure=\"CPU\"", "<table");
    assert!(panel.contains("neither intervals nor verdicts"), "{panel}");

    let missing = row(&page, "memory", "download-heavy");
    assert_eq!(missing[2..4], ["failed", "wrong answer"]);
}

#[test]
fn what_was_marked_is_said_before_any_figure() {
    let page = page::page(&everything()).expect("a page");
    let (head, _) = page.split_once("<nav").expect("a navigation");
    for mark in [
        "Interrupted",
        "1 cell failed",
        "1 cell wrong",
        "4 cells unsupported",
        "1 cell drifting",
        "1 cell origin-bound",
        "primes heavy, process",
    ] {
        assert!(head.contains(mark), "{mark}: {head}");
    }
}

#[test]
fn when_items_were_done_is_told_beneath_their_jobs() {
    let page = page::page(&everything()).expect("a page");
    let download = between(
        &page,
        "<section id=\"download\"",
        "<section id=\"sleepers\"",
    );
    for part in ["completion time", "p99", "3.00 ms"] {
        assert!(download.contains(part), "{part}: {download}");
    }
}

#[test]
fn a_sweep_has_its_crossover_in_the_chart_and_its_end_in_words() {
    let page = page::page(&everything()).expect("a page");
    let sweep = between(&page, "id=\"sweep-sleepers.units\"", "</section>");
    assert!(sweep.contains("tokio overtakes thread between units = 100 and 1000"));
    assert!(sweep.contains("process ends before units = 100, unsupported"));
    assert!(sweep.contains("class=\"crossing\""), "{sweep}");
    assert!(sweep.matches("role=\"img\"").count() == 3);
}

#[test]
fn a_page_is_made_of_the_data_alone_and_the_same_each_time() {
    let json = serde_json::to_string(&everything()).expect("it is JSON");
    let again: Comparison = serde_json::from_str(&json).expect("it is of the schema");
    let [one, other] = [everything(), again].map(|data| page::page(&data).expect("a page"));
    assert!(one == other);
}

#[test]
fn a_page_with_every_sample_is_small_enough() {
    const MOST: usize = 2 << 20;
    let page = page::page(&fixture::thorough()).expect("a page");
    assert!(page.len() < MOST, "{} bytes", page.len());
}

#[test]
fn older_results_still_make_a_page() {
    let path = workspace::root().join("results/reference");
    let results = Directory::open(path).and_then(|directory| directory.read());
    let page = page::page(&results.expect("the reference results")).expect("a page");
    assert_eq!(row(&page, "time", "primes-heavy").len(), 6);
}

/// Makes the page of `run` again, by the command line.
fn report(place: &Path, args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .args(["report", "run", "--output"])
        .arg(place)
        .args(args);
    let done = command.output().expect("it runs");
    assert!(done.status.success(), "{done:?}");
    fs::read_to_string(place.join("results/run/index.html")).expect("a page")
}

#[test]
fn criterions_pages_are_linked_where_they_are_of_this_run() {
    let place = tempfile::Builder::new().prefix("a place ").tempdir();
    let place = place.expect("a directory");
    let results = Directory::prepare(place.path().join("results/run")).expect("a directory");
    let mut comparison = fixture::of(vec![
        fixture::cell("primes", "heavy", "serial", 2e6, 0.0),
        fixture::cell("primes", "heavy", "tokio", 1e6, 0.0),
    ]);
    comparison.run.name = "run".to_owned();
    results.write(&comparison).expect("a file");

    const COMMAND: &str = "cargo xtask report run --criterion";
    let without = report(place.path(), &[]);
    assert!(without.contains(COMMAND), "there is no way to them");
    assert!(
        !without.contains("target/criterion/"),
        "a link leads nowhere"
    );

    let with = report(place.path(), &["--criterion"]);
    assert!(!with.contains(COMMAND), "they are there");
    for page in ["primes/report", "report"] {
        let link = format!("../../target/criterion/{page}/index.html");
        assert!(with.contains(&format!("href=\"{link}\"")), "{link}");
        assert!(
            place.path().join("results/run").join(link).is_file(),
            "{page}"
        );
    }

    // Those of another comparison are not this one's.
    comparison.run.started = "2027-01-02 03:04:05 +00:00".to_owned();
    results.write(&comparison).expect("a file");
    assert!(report(place.path(), &[]).contains(COMMAND));
}
