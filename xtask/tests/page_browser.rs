//! The page in a real browser: by mouse and by keyboard, on a phone and on a desk,
//! by day and by night.

mod browser;

use browser::{Browser, Setting};

#[test]
fn the_driver_sees_what_a_page_does() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let page = directory.path().join("a page.html");
    let html = "<title>t</title><button onclick='document.title = matchMedia(\"(prefers-color-scheme: dark)\").matches + \" \" + innerWidth'>b</button>
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
    assert!(
        tab.requests()
            .iter()
            .any(|url| url.ends_with("/missing.png"))
    );
    assert!(tab.picture("png").starts_with(b"\x89PNG"));
}
