//! The README's pictures of the page, taken from the reference results.

mod browser;

use std::fs;

use browser::{Browser, Setting};
use xtask::workspace;

/// What the README can carry.
const LIMIT: usize = 400_000;

/// What is shown, and how: a name, a setting, and what is scrolled to.
const PICTURES: [(&str, Setting, &str); 4] = [
    ("page-wide", Setting::new(1440, 1000, false), "#glance"),
    (
        "page-wide-dark",
        Setting::new(1440, 1000, true),
        "#download-article",
    ),
    (
        "page-phone",
        Setting::new(390, 844, false),
        "#sleepers-heavy",
    ),
    ("page-phone-dark", Setting::new(390, 844, true), "#glance"),
];

#[test]
#[ignore = "writes into results/reference: run it with --ignored when those results are new"]
fn the_readmes_pictures() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let directory = workspace::root().join("results/reference");
    let mut sizes = Vec::new();
    for (name, setting, place) in PICTURES {
        let mut tab = browser.tab();
        tab.look(setting);
        tab.open_file(&directory.join("index.html"));
        tab.scroll_to(place);
        let picture = tab.picture("webp");
        sizes.push(picture.len());
        fs::write(directory.join(format!("{name}.webp")), picture).expect("it can be written");
    }
    assert!(sizes.iter().sum::<usize>() < LIMIT, "{sizes:?}");
}
