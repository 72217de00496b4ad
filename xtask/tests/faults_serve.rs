//! `cargo xtask faults --serve`: with every model's server, with one that is wrong, and with
//! none. And the servers with clients that are in use.

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lab::build::{self, Profile};
use lab::interrupt::Interrupt;
use lab::progress::Progress;
use lab::workspace;
use serde_json::Value;

use common::served::{Browser, Page, Served, has, with_program};

fn faults(arguments: &[&str]) -> (Option<i32>, String) {
    common::served::faults("--serve", arguments)
}

fn run(directory: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    common::served::faults_of("--serve", directory, arguments)
}

#[test]
fn the_servers_pass_every_test() {
    let (code, printed) = faults(&[]);
    assert_eq!(code, Some(0), "{printed}");
    for words in [
        "what is right",
        "async-std",
        "RFC 9112, 2.2",
        " 6 models",
        " 0 failed",
    ] {
        assert!(printed.contains(words), "no {words} in {printed}");
    }
}

/// The example of a whole server.
fn example() -> PathBuf {
    let done = Command::new(std::env::var_os("CARGO").expect("cargo runs this"))
        .args([
            "build",
            "--release",
            "--package",
            "http-serve",
            "--example",
            "serve",
        ])
        .args(["--message-format", "json"])
        .current_dir(workspace::root().expect("a checkout"))
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    let messages = String::from_utf8(done.stdout).expect("JSON");
    let messages = messages.lines().map(serde_json::from_str::<Value>);
    let mut programs = messages.filter_map(|message| {
        let message = message.expect("JSON");
        Some(PathBuf::from(message["executable"].as_str()?))
    });
    programs.next().expect("it is built")
}

#[test]
fn a_server_that_is_wrong_fails_where_it_is() {
    let example = example();
    let right = with_program(&format!("exec '{}' \"$@\"", example.display()));
    let (code, printed) = run(right.path(), &[]);
    assert_eq!(code, Some(0), "{printed}");

    // It takes a line feed for the end of a line: only what is about that fails.
    let script = format!("exec '{}' \"$@\" --lenient", example.display());
    let lenient = with_program(&script);
    let (code, printed) = run(lenient.path(), &[]);
    assert_eq!(code, Some(1), "{printed}");
    assert_eq!(printed.matches("FAIL thread: ").count(), 2, "{printed}");
    for name in ["bare-lf", "bytes"] {
        assert!(
            printed.contains(&format!("FAIL thread: {name} (")),
            "{printed}"
        );
    }

    // It does not keep to the time.
    let patient = with_program(&format!(
        "exec '{}' \"$@\" --idle-timeout 600",
        example.display()
    ));
    let timed = [
        "slow-loris",
        "silent",
        "silent-between",
        "reads-nothing",
        "keep-alive",
    ];
    let only: Vec<_> = timed.iter().flat_map(|name| ["--only", name]).collect();
    let (code, printed) = run(patient.path(), &only);
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("1 passed, 4 failed"), "{printed}");

    // It does not end well.
    let rude = with_program(&format!(
        "'{}' \"$@\" & trap 'kill -9 $!; exit 3' TERM INT; while :; do wait; done",
        example.display()
    ));
    let (code, printed) = run(
        rude.path(),
        &["--only", "ends-well", "--only", "keep-alive"],
    );
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("0 passed, 2 failed"), "{printed}");
}

#[test]
fn a_program_that_does_nothing_serves_nothing() {
    for script in ["exit 0", "exit 1", "echo serving something"] {
        let (code, printed) = run(with_program(script).path(), &["--only", "bare-lf"]);
        assert_eq!(code, Some(1), "{printed}");
        assert!(printed.contains("it does not serve"), "{printed}");
    }
    let (code, said) = faults(&["--only", "nonsense"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("nonsense") && said.contains("bare-lf"),
        "{said}"
    );
}

#[test]
fn curl_and_wget_get_files() {
    let (curl, wget) = (has("curl"), has("wget"));
    for (name, is_there) in [("curl", curl), ("wget", wget)] {
        if !is_there {
            common::skip(&format!("there is no {name} here"));
        }
    }
    let (interrupt, progress) = (Interrupt::default(), Progress::new());
    let root = workspace::root().expect("a checkout");
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    let content: Vec<_> = (0..1_000_000_u32).map(|at| (at / 3 % 251) as u8).collect();
    fs::create_dir(at("served")).expect("a directory");
    fs::write(at("served/a b.bin"), &content).expect("a file");
    symlink("a b.bin", at("served/link.bin")).expect("a link");
    for model in common::default_models() {
        let package = workspace::package(model.name());
        let program = build::program(&root, &package, Profile::Release, &interrupt, &progress);
        let program = program.expect("cargo runs").expect("it builds");
        let served = at("served").display().to_string();
        let server = Served::start(&program, &["serve", &served]);
        let run = |program: &str, arguments: &[&str]| {
            let path = format!("{}a%20b.bin", server.url);
            let done = Command::new(program).args(arguments).arg(&path).output();
            let done = done.expect("it starts");
            let said = String::from_utf8_lossy(&done.stderr);
            assert!(
                done.status.success(),
                "{program} {arguments:?} in {}: {said}",
                model.name()
            );
            done.stdout
        };
        if curl {
            let curl = |arguments: &[&str]| run("curl", &[&["-sS", "--fail"], arguments].concat());
            assert!(curl(&[]) == content, "{}", model.name());
            assert!(curl(&["-r", "1000-1999"]) == content[1000..2000]);
            assert!(curl(&["--http1.0"]) == content);
            // One after the other, over one connection if that is kept.
            let link = format!("{}link.bin", server.url);
            assert!(curl(&[&link]) == [&content[..], &content].concat());
            let head = String::from_utf8(curl(&["-I"])).expect("text");
            assert!(head.contains("\r\nContent-Length: 1000000\r\n"), "{head}");
            // What is there already is not sent again.
            let known = at("served/a b.bin").display().to_string();
            let status = curl(&["-z", &known, "-w", "%{http_code}", "-o", "/dev/null"]);
            assert_eq!(status, b"304");
        }
        if wget {
            let part = at("part");
            fs::write(&part, &content[..300_000]).expect("a file");
            run("wget", &["-q", "-c", "-O", part.to_str().expect("text")]);
            assert!(
                fs::read(&part).expect("a file") == content,
                "{}",
                model.name()
            );
        }
    }
}

#[test]
fn a_browser_shows_a_page_with_all_that_it_names() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let (interrupt, progress) = (Interrupt::default(), Progress::new());
    let root = workspace::root().expect("a checkout");
    let directory = Page::make();
    for model in common::default_models() {
        let package = workspace::package(model.name());
        let program = build::program(&root, &package, Profile::Release, &interrupt, &progress);
        let program = program.expect("cargo runs").expect("it builds");
        let served = directory.path();
        // A browser opens connections ahead, which would hold up a server of one.
        let server = Served::start(&program, &["serve", &served, "--idle-timeout", "2"]);
        directory.check(&browser.show(&[], &server.url), model.name());
    }
}
