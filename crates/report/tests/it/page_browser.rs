//! The page in a real browser: by mouse and by keyboard, on a phone and on a desk,
//! by day and by night, printed, and without scripts.

use std::path::PathBuf;

use crate::browser::{Browser, Setting, Tab, axe};
use report::page;
use results::Comparison;
use serde_json::json;
use tempfile::TempDir;

/// A comparison's page, as a file.
fn page_of(comparison: &Comparison) -> (TempDir, PathBuf) {
    let directory = tempfile::Builder::new().prefix("a page ").tempdir();
    let directory = directory.expect("a directory");
    let file = directory.path().join("index.html");
    let page = page::page(comparison).expect("a page");
    std::fs::write(&file, page).expect("a file");
    (directory, file)
}

/// The jobs that the matrix shows, from top to bottom.
fn jobs(tab: &mut Tab) -> Vec<String> {
    let rows = tab.evaluate(
        "[...document.querySelectorAll('.matrix tbody tr')].filter((row) => row.checkVisibility())
           .map((row) => row.cells[0].textContent.trim())",
    );
    let rows = rows.as_array().expect("a list").iter();
    rows.map(|row| row.as_str().expect("a text").to_owned())
        .collect()
}

/// The figures whose panels are shown.
fn figures(tab: &mut Tab) -> Vec<String> {
    let shown = tab.evaluate(
        "[...document.querySelectorAll('.panel')].filter((panel) => panel.checkVisibility())
           .map((panel) => panel.dataset.figure)",
    );
    let shown = shown.as_array().expect("a list").iter();
    shown
        .map(|name| name.as_str().expect("a text").to_owned())
        .collect()
}

/// The head of the matrix' column of tokio.
const TOKIO: &str = ".panel[data-figure=time] th:nth-child(5) button";

#[test]
fn the_driver_sees_what_a_page_does() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let page = directory.path().join("a page.html");
    let html = "<title>t</title><button onclick='document.title =
          matchMedia(\"(prefers-color-scheme: dark)\").matches + \" \" + innerWidth'>b</button>
        <img src='missing.png'><script>console.error('bad')</script>";
    std::fs::write(&page, html).expect("a page");
    let mut tab = browser.tab();
    tab.look(Setting::new(390, 844, true));
    tab.open_file(&page);
    assert_eq!(tab.text("document.title"), "t");
    tab.click("button");
    assert!(tab.text("document.title").starts_with("true "));
    tab.focus("button");
    tab.look(Setting::new(1440, 900, false));
    tab.press("Enter");
    assert_eq!(tab.text("document.title"), "false 1440");
    assert!(tab.complaints().iter().any(|told| told.contains("bad")));
    let requests = tab.requests();
    assert!(requests.iter().any(|url| url.ends_with("/missing.png")));
    assert!(tab.picture("png").starts_with(b"\x89PNG"));
}

#[test]
fn in_every_setting_it_is_quiet_fits_and_works() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let (_directory, file) = page_of(&crate::comparisons::everything());
    for setting in Setting::ALL {
        let mut tab = browser.tab();
        tab.look(setting);
        tab.open_file(&file);
        let fits = format!("document.documentElement.scrollWidth <= {}", setting.width);
        assert!(tab.is(&fits), "{setting:?}: it does not fit");
        let ground = tab.text("getComputedStyle(document.body).backgroundColor");
        assert_eq!(
            ground == "rgb(255, 255, 255)",
            !setting.dark,
            "{setting:?}: {ground}"
        );

        sorts(&mut tab);
        switches(&mut tab);

        assert!(tab.is("window.hacked === undefined"), "a name has run");
        assert_eq!(tab.complaints(), [""; 0], "{setting:?}");
        let requests = tab.requests();
        assert_eq!(requests.len(), 1, "{setting:?}: {requests:?}");
    }
}

/// By mouse and by keyboard: up, down, and as it was.
fn sorts(tab: &mut Tab) {
    let original = jobs(tab);
    assert_eq!(
        original,
        ["primes heavy", "download heavy", "sleepers heavy"]
    );
    tab.click(TOKIO);
    let up = jobs(tab);
    // tokio is best at sleepers, next to it at primes, and wrong at download.
    assert_eq!(up, ["sleepers heavy", "primes heavy", "download heavy"]);
    let sorted = format!("document.querySelector('{TOKIO}').parentElement.ariaSort");
    assert_eq!(tab.text(&sorted), "ascending");
    tab.focus(TOKIO);
    tab.press("Enter");
    // Who has no figure stays last.
    assert_eq!(
        jobs(tab),
        ["primes heavy", "sleepers heavy", "download heavy"]
    );
    assert_eq!(tab.text(&sorted), "descending");
    tab.press(" ");
    assert_eq!(jobs(tab), original);
    assert!(tab.is(&format!("{sorted} === null")));

    tab.click(".panel[data-figure=time] th:first-child button");
    assert_eq!(
        jobs(tab),
        ["download heavy", "primes heavy", "sleepers heavy"]
    );

    // The tables beneath do the same.
    tab.click("#primes-heavy th:nth-child(2) button");
    tab.click("#primes-heavy th:nth-child(2) button");
    let first = "document.querySelector('#primes-heavy tbody th').textContent";
    assert_eq!(tab.text(first), "smol");
}

/// By mouse and by keyboard, and it is kept in the address.
fn switches(tab: &mut Tab) {
    assert_eq!(figures(tab), ["time"]);
    tab.click(".glance input[value=memory]");
    assert_eq!(figures(tab), ["memory"]);
    tab.press("ArrowRight");
    assert_eq!(figures(tab), ["switches"]);
    assert_eq!(tab.text("location.hash"), "#glance/switches/heavy");
    tab.focus(".glance input[value=heavy]");
    tab.press("ArrowRight");
    assert_eq!(jobs(tab), ["primes article"]);
    tab.press("ArrowRight");
    assert_eq!(jobs(tab).len(), 4);
    assert_eq!(tab.text("location.hash"), "#glance/switches/both");

    let url = tab.text("location.href.replace(/#.*/, '#glance/CPU/article')");
    tab.evaluate(&format!(
        "new Promise((done) => {{
           addEventListener('hashchange', () => done(null), {{once: true}});
           location.href = {};
         }})",
        json!(url)
    ));
    assert_eq!(figures(tab), ["CPU"]);
    assert_eq!(jobs(tab), ["primes article"]);
}

#[test]
fn printed_and_without_scripts_everything_is_there() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let (_directory, file) = page_of(&crate::comparisons::everything());
    let mut tab = browser.tab();
    tab.open_file(&file);
    tab.look_at_print();
    assert_eq!(figures(&mut tab), ["time", "CPU", "memory", "switches"]);
    for hidden in ["nav", ".controls"] {
        let shown = format!("document.querySelector('{hidden}').checkVisibility()");
        assert!(!tab.is(&shown), "{hidden} is printed");
    }
    drop(tab);

    let mut tab = browser.tab();
    tab.scripts(false);
    tab.open_file(&file);
    assert_eq!(
        tab.evaluate("document.querySelectorAll('th button').length"),
        0
    );
    assert_eq!(jobs(&mut tab).len(), 3);
    tab.click(".glance input[value=CPU]");
    assert_eq!(figures(&mut tab), ["CPU"]);
    tab.click("header summary");
    assert!(tab.is("document.querySelector('header details').open"));
}

#[test]
fn axe_finds_nothing() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let Some(script) = axe::script() else {
        return;
    };
    let (_directory, file) = page_of(&crate::comparisons::everything());
    for setting in Setting::ALL {
        let mut tab = browser.tab();
        tab.look(setting);
        tab.open_file(&file);
        tab.evaluate("document.querySelectorAll('details').forEach((fold) => fold.open = true)");
        assert_eq!(axe::findings(&mut tab, &script), [""; 0], "{setting:?}");
    }
    // Where there is something, it does find it.
    let mut tab = browser.tab();
    tab.open("data:text/html,<title>t</title><input>");
    let found = axe::findings(&mut tab, &script);
    assert!(
        found
            .iter()
            .any(|line| line.starts_with("label (critical)")),
        "{found:?}"
    );
}
