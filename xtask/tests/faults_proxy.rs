//! `cargo xtask faults --proxy`: with every model's proxy, with some that are wrong, and with
//! none. And the proxies with clients that are in use.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lab::build::{self, Profile};
use lab::interrupt::Interrupt;
use lab::progress::Progress;
use lab::workspace;

use common::served::{Browser, Page, Served, has, with_program};

fn faults(arguments: &[&str]) -> (Option<i32>, String) {
    common::served::faults("--proxy", arguments)
}

fn run(directory: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    common::served::faults_of("--proxy", directory, arguments)
}

/// A model's program, built now if need be.
fn program(package: &str) -> PathBuf {
    let (interrupt, progress) = (Interrupt::default(), Progress::new());
    let root = workspace::root().expect("a checkout");
    let program = build::program(&root, package, Profile::Release, &interrupt, &progress);
    program.expect("cargo runs").expect("it builds")
}

#[test]
fn the_proxies_pass_every_test() {
    let (code, printed) = faults(&[]);
    assert_eq!(code, Some(0), "{printed}");
    for words in [
        "what is right",
        "async-std",
        "RFC 9110, 7.6.1",
        " 6 models",
        " 0 failed",
    ] {
        assert!(printed.contains(words), "no {words} in {printed}");
    }
}

/// The program of `thread` with arguments that a script changes fails in these cases, and
/// passes another one.
fn fails(script: &str, cases: &[&str]) {
    let program = program("model-thread").display().to_string();
    let wrong = with_program(&script.replace("PROGRAM", &format!("'{program}'")));
    let only = cases.iter().chain(&["hosts"]);
    let only: Vec<_> = only.flat_map(|&name| ["--only", name]).collect();
    let (code, printed) = run(wrong.path(), &only);
    assert_eq!(code, Some(1), "{printed}");
    let counts = format!("1 passed, {} failed", cases.len());
    assert!(printed.contains(&counts), "no {counts} in {printed}");
    for name in cases {
        let failed = format!("FAIL thread: {name} (");
        assert!(printed.contains(&failed), "no {failed} in {printed}");
    }
}

#[test]
fn proxies_that_are_wrong_fail_where_they_are() {
    // It does not keep to the time.
    fails(
        "exec PROGRAM $(echo \"$@\" | sed 's/timeout 1 /timeout 600 /g')",
        &["slow-loris", "silent", "silent-server", "no-connection"],
    );
    // It reaches more than it may.
    fails(
        "exec PROGRAM $(echo \"$@\" | sed 's/--allow [^ ]*//')",
        &["not-on-the-list"],
    );
}

#[test]
fn a_proxy_that_does_not_end_well_fails() {
    let program = program("model-thread");
    let rude = with_program(&format!(
        "'{}' \"$@\" & trap 'kill -9 $!; exit 3' TERM INT; while :; do wait; done",
        program.display()
    ));
    let only = ["--only", "ends-well", "--only", "hosts"];
    let (code, printed) = run(rude.path(), &only);
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("0 passed, 2 failed"), "{printed}");
}

#[test]
fn a_server_is_no_proxy() {
    // It answers a target in absolute-form itself.
    let program = program("model-thread");
    let directory = tempfile::tempdir().expect("a directory");
    let server = with_program(&format!(
        "shift; '{}' serve '{}' \"$@\" | sed -u 's/serving .* at/proxying at/'",
        program.display(),
        directory.path().display()
    ));
    let (code, printed) = run(server.path(), &["--only", "origin-form"]);
    assert_eq!(code, Some(1), "{printed}");
    for words in ["expected: a request to the server", "got: the client gets"] {
        assert!(printed.contains(words), "no {words} in {printed}");
    }
}

#[test]
fn a_program_that_does_nothing_is_no_proxy() {
    for script in ["exit 0", "exit 1", "echo proxying something"] {
        let (code, printed) = run(with_program(script).path(), &["--only", "hosts"]);
        assert_eq!(code, Some(1), "{printed}");
        assert!(printed.contains("it does not serve"), "{printed}");
    }
    let (code, said) = faults(&["--only", "nonsense"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("nonsense") && said.contains("half-close"),
        "{said}"
    );
}

#[test]
fn curl_goes_through_the_proxies() {
    if !has("curl") {
        return common::skip("there is no curl here");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let content: Vec<_> = (0..1_000_000_u32).map(|at| (at / 3 % 251) as u8).collect();
    fs::write(directory.path().join("a.bin"), &content).expect("a file");
    let served = directory.path().display().to_string();
    for model in common::default_models() {
        let program = program(&workspace::package(model.name()));
        let server = Served::start(&program, &["serve", &served]);
        let proxy = Served::start(&program, &["proxy"]);
        let url = format!("{}a.bin", server.url);
        let curl = |arguments: &[&str]| {
            let done = Command::new("curl")
                .args(["-sS", "-x", &proxy.url])
                .args(arguments)
                .output()
                .expect("it starts");
            let said = String::from_utf8_lossy(&done.stderr);
            let of = model.name();
            assert!(done.status.success(), "curl {arguments:?} of {of}: {said}");
            done.stdout
        };
        for how in [&["--fail"][..], &["--proxytunnel"], &["--http1.0"]] {
            let all = [how, &[&*url]].concat();
            assert!(curl(&all) == content, "{how:?} of {}", model.name());
            // One after the other, over one connection if that is kept.
            let all = [how, &[&*url, &url]].concat();
            let twice = [&content[..], &content].concat();
            assert!(curl(&all) == twice, "{how:?} of {}", model.name());
        }
        let head = String::from_utf8(curl(&["-I", &url])).expect("text");
        assert!(head.contains("\r\nContent-Length: 1000000\r\n"), "{head}");
        assert!(
            head.to_ascii_lowercase().contains("\r\nvia: 1.1 "),
            "{head}"
        );
        let status = |arguments: &[&str]| {
            let asked = ["-o", "/dev/null", "-w", "%{http_code}"];
            String::from_utf8(curl(&[&asked[..], arguments].concat())).expect("text")
        };
        assert_eq!(status(&["-d", "some text", &url]), "405");
        assert_eq!(status(&["http://192.0.2.1/"]), "403");
        assert_eq!(status(&["http://127.0.0.1:1/"]), "502");
    }
}

#[test]
fn a_browser_goes_through_the_proxies() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let directory = Page::make();
    let served = directory.path();
    for model in common::default_models() {
        let program = program(&workspace::package(model.name()));
        // A browser opens connections ahead, which would hold up a program of one.
        let idle = ["--idle-timeout", "2"];
        let server = Served::start(&program, &[&["serve", &served][..], &idle].concat());
        let through = |arguments: &[&str]| {
            let proxy = Served::start(&program, &[&["proxy"][..], arguments, &idle].concat());
            let through = format!("--proxy-server={}", proxy.url.trim_end_matches('/'));
            browser.show(&[&through, "--proxy-bypass-list=<-loopback>"], &server.url)
        };
        directory.check(&through(&[]), model.name());
        // It is the proxy that it goes through.
        let refused = through(&["--allow", "127.0.0.1:1"]);
        assert!(refused.contains("403 Forbidden"), "{refused}");
    }
}
