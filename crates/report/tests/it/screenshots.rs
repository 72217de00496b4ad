//! The README's pictures of the page, taken of the reference results.

use std::fs;
use std::path::Path;

use crate::browser::{Browser, Setting};
use report::page;
use results::ResultsDir;

/// What the README can carry, in bytes.
const MOST: usize = 400_000;

/// A name, a setting, and what is scrolled to.
const PICTURES: [(&str, Setting, &str); 4] = [
    ("page-wide", Setting::new(1280, 1000, false), "#glance"),
    (
        "page-wide-dark",
        Setting::new(1280, 760, true),
        "#download-heavy",
    ),
    ("page-phone", Setting::new(390, 844, false), "#sleepers"),
    ("page-phone-dark", Setting::new(390, 844, true), "#glance"),
];

#[test]
#[ignore = "writes into results/reference: for when those results are new"]
fn the_readmes_pictures() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../results/reference");
    let results = ResultsDir::open(path.clone()).and_then(|directory| directory.read());
    let comparison = results.expect("the reference results");
    // As today's template has it: the one that lies there may be older.
    let page = page::page_at(&comparison, Some(&path)).expect("a page");
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("index.html");
    fs::write(&file, page).expect("a file");
    let mut sizes = Vec::new();
    for (name, setting, selector) in PICTURES {
        let mut tab = browser.tab();
        tab.look(setting);
        tab.open_file(&file);
        tab.scroll_to(selector);
        let picture = tab.picture("webp");
        sizes.push(picture.len());
        fs::write(path.join(format!("{name}.webp")), picture).expect("a file");
    }
    let all: usize = sizes.iter().sum();
    assert!(all < MOST, "{sizes:?}");
}
