//! A headless Chromium for tests of the page, driven over the DevTools protocol
//! (<https://chromedevtools.github.io/devtools-protocol/>) on a pair of pipes.
//!
//! A few calls of the protocol are all that is needed here. The crates that have
//! all of it generate tens of thousands of lines of code for that, with each build
//! of these tests.

pub mod axe;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Nothing here takes that long, unless it hangs.
const LONGEST: Duration = Duration::from_secs(60);

const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

const FLAGS: [&str; 10] = [
    "--headless",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--hide-scrollbars",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// The program called `name` on the path.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let programs = std::env::split_paths(&path).map(|directory| directory.join(name));
    programs.into_iter().find(|program| program.is_file())
}

/// Says aloud that a test is left out, and why. That is a failure where `CI` is
/// set: there, everything has to be.
pub fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{why}, and CI is set");
    // Not through `eprintln!`, which the test harness would keep to itself.
    let _ = writeln!(std::io::stderr(), "\n*** SKIPPED: {why} ***\n");
}

/// A browser of its own, with a profile of its own. It ends when it is dropped.
pub struct Browser {
    child: Child,
    commands: Option<ChildStdin>,
    messages: Receiver<Value>,
    /// What it told without being asked, and nobody has looked at yet.
    events: Vec<Value>,
    calls: u64,
    profile: TempDir,
}

impl Browser {
    /// Starts it. `None`, said aloud, if there is none.
    pub fn start() -> Option<Self> {
        let Some(program) = NAMES.iter().find_map(|name| on_path(name)) else {
            skip(&format!("there is no {} on the path", NAMES.join(" or ")));
            return None;
        };
        let profile = tempfile::tempdir().expect("a profile");
        let errors = File::create(profile.path().join("stderr")).expect("a file");
        // It reads commands from descriptor 3 and answers on 4, which a shell can
        // put there without any unsafe code of ours.
        let mut command = Command::new("sh");
        command
            .args(["-c", r#"exec 3<&0 4>&1 0</dev/null 1>&2; exec "$@""#, "sh"])
            .arg(program)
            .args(FLAGS)
            .arg(format!(
                "--user-data-dir={}",
                profile.path().join("profile").display()
            ))
            .args(is_root().then_some("--no-sandbox"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .process_group(0);
        let mut child = command.spawn().expect("it starts");
        let answers = BufReader::new(child.stdout.take().expect("it is a pipe"));
        let (sender, messages) = mpsc::channel();
        thread::spawn(move || {
            for message in answers.split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("it speaks JSON");
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        Some(Self {
            commands: child.stdin.take(),
            child,
            messages,
            events: Vec::new(),
            calls: 0,
            profile,
        })
    }

    /// A new tab with an empty page.
    pub fn tab(&mut self) -> Tab<'_> {
        let target = self.call(None, "Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = self.call(None, "Target.attachToTarget", attach);
        let session = attached["sessionId"]
            .as_str()
            .expect("a session")
            .to_owned();
        self.events.clear();
        let mut tab = Tab {
            browser: self,
            session,
        };
        for domain in ["Page", "Runtime", "Network", "Log"] {
            tab.call(&format!("{domain}.enable"), json!({}));
        }
        tab
    }

    fn call(&mut self, session: Option<&str>, method: &str, params: Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let mut call = json!({"id": id, "method": method, "params": params});
        if let Some(session) = session {
            call["sessionId"] = session.into();
        }
        self.send(&call);
        loop {
            let mut message = self.receive(method);
            if message["id"] == id {
                let error = message.get("error");
                assert!(error.is_none(), "{method}: {error:?}");
                return message["result"].take();
            }
            self.events.push(message);
        }
    }

    fn send(&mut self, call: &Value) {
        let mut bytes = call.to_string().into_bytes();
        bytes.push(0);
        let commands = self.commands.as_mut().expect("it is not closed");
        let sent = commands.write_all(&bytes).and_then(|()| commands.flush());
        sent.unwrap_or_else(|error| panic!("{error}: {}", self.last_words()));
    }

    fn receive(&mut self, waits_for: &str) -> Value {
        let message = self.messages.recv_timeout(LONGEST);
        message.unwrap_or_else(|error| panic!("{waits_for}: {error}: {}", self.last_words()))
    }

    fn last_words(&self) -> String {
        fs::read_to_string(self.profile.path().join("stderr")).unwrap_or_default()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends when nobody can tell it anything any more; and its end of the
        // other pipe is closed when it has.
        drop(self.commands.take());
        let end = Instant::now() + Duration::from_secs(10);
        let left = || end.saturating_duration_since(Instant::now());
        while self.messages.recv_timeout(left()).is_ok() {}
        let _ = killpg(
            Pid::from_raw(self.child.id().cast_signed()),
            Signal::SIGKILL,
        );
        let _ = self.child.wait();
    }
}

/// Chromium's sandbox does not work for root.
fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// How a page is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// In CSS pixels.
    pub width: u32,
    /// In CSS pixels.
    pub height: u32,
    /// Whether the reader prefers it dark.
    pub dark: bool,
}

impl Setting {
    /// A phone and a desk, by day and by night.
    pub const ALL: [Self; 4] = [
        Self::new(390, 844, false),
        Self::new(390, 844, true),
        Self::new(1440, 900, false),
        Self::new(1440, 900, true),
    ];

    pub const fn new(width: u32, height: u32, dark: bool) -> Self {
        Self {
            width,
            height,
            dark,
        }
    }
}

/// One page in the browser.
pub struct Tab<'a> {
    browser: &'a mut Browser,
    session: String,
}

impl Tab<'_> {
    /// A call of the protocol, for this tab.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.browser.call(Some(&self.session), method, params)
    }

    /// From now on it is seen like this.
    pub fn look(&mut self, setting: Setting) {
        self.call(
            "Emulation.setDeviceMetricsOverride",
            json!({
                "width": setting.width, "height": setting.height,
                "deviceScaleFactor": 1, "mobile": setting.width < 600,
            }),
        );
        let scheme = if setting.dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// From now on it is seen as if it were printed.
    pub fn look_at_print(&mut self) {
        self.call("Emulation.setEmulatedMedia", json!({"media": "print"}));
    }

    /// Whether pages run scripts that are opened from now on.
    pub fn scripts(&mut self, run: bool) {
        let disabled = json!({"value": !run});
        self.call("Emulation.setScriptExecutionDisabled", disabled);
    }

    /// Opens a file, and waits until it has loaded.
    pub fn open_file(&mut self, path: &Path) {
        let path = path.canonicalize().expect("it is there");
        let url = url::Url::from_file_path(path).expect("it is absolute");
        self.open(url.as_str());
    }

    /// Opens a page, and waits until it has loaded.
    pub fn open(&mut self, url: &str) {
        const LOADED: &str = "Page.loadEventFired";
        self.browser
            .events
            .retain(|event| event["method"] != LOADED);
        let opened = self.call("Page.navigate", json!({"url": url}));
        let error = opened.get("errorText");
        assert!(error.is_none(), "{url}: {error:?}");
        self.wait_for(LOADED);
    }

    /// Waits for an event, unless it has come already.
    pub fn wait_for(&mut self, event: &str) -> Value {
        let is_it = |message: &Value| message["method"] == event;
        if let Some(at) = self.browser.events.iter().position(is_it) {
            return self.browser.events[at].clone();
        }
        loop {
            let message = self.browser.receive(event);
            self.browser.events.push(message.clone());
            if is_it(&message) {
                return message;
            }
        }
    }

    /// What an expression is, as JSON; of a promise, what it comes to.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({
            "expression": expression, "returnByValue": true, "awaitPromise": true,
        });
        let mut done = self.call("Runtime.evaluate", params);
        let thrown = done.get("exceptionDetails");
        assert!(thrown.is_none(), "{expression:.300}: {thrown:?}");
        done["result"]["value"].take()
    }

    /// The same, of an expression that is a text.
    pub fn text(&mut self, expression: &str) -> String {
        let value = self.evaluate(expression);
        let text = value.as_str().map(str::to_owned);
        text.unwrap_or_else(|| panic!("{expression} is {value}"))
    }

    /// The same, of one that is true or false.
    pub fn is(&mut self, expression: &str) -> bool {
        let value = self.evaluate(expression);
        let is = value.as_bool();
        is.unwrap_or_else(|| panic!("{expression} is {value}"))
    }

    /// Clicks the middle of what a CSS selector finds first.
    pub fn click(&mut self, selector: &str) {
        let place = self.evaluate(&format!(
            "(() => {{ const found = document.querySelector({});
               found.scrollIntoView({{block: 'center', inline: 'center', behavior: 'instant'}});
               const at = found.getBoundingClientRect();
               return [at.x + at.width / 2, at.y + at.height / 2]; }})()",
            json!(selector)
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({
                "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1,
            });
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Puts the focus on what a CSS selector finds first.
    pub fn focus(&mut self, selector: &str) {
        let element = format!("document.querySelector({})", json!(selector));
        self.evaluate(&format!("{element}.focus()"));
        let focused = format!("document.activeElement === {element}");
        assert!(self.is(&focused), "{selector} takes no focus");
    }

    /// Presses a key, by its name in the DOM: `Tab`, `Enter`, ` `, `ArrowDown`, or a
    /// letter.
    pub fn press(&mut self, key: &str) {
        let (code, number, text) = match key {
            "Tab" => ("Tab", 9, None),
            "Enter" => ("Enter", 13, Some("\r")),
            "Escape" => ("Escape", 27, None),
            " " => ("Space", 32, Some(" ")),
            "End" => ("End", 35, None),
            "Home" => ("Home", 36, None),
            "ArrowLeft" => ("ArrowLeft", 37, None),
            "ArrowUp" => ("ArrowUp", 38, None),
            "ArrowRight" => ("ArrowRight", 39, None),
            "ArrowDown" => ("ArrowDown", 40, None),
            letter => {
                let number = letter
                    .chars()
                    .next()
                    .map_or(0, |c| c.to_ascii_uppercase() as u32);
                ("", number, Some(letter))
            }
        };
        let mut event = json!({"key": key, "code": code, "windowsVirtualKeyCode": number});
        event["type"] = if text.is_some() {
            "keyDown"
        } else {
            "rawKeyDown"
        }
        .into();
        if let Some(text) = text {
            event["text"] = text.into();
        }
        self.call("Input.dispatchKeyEvent", event.clone());
        event["type"] = "keyUp".into();
        self.call("Input.dispatchKeyEvent", event);
    }

    /// What is seen, as a picture in a `format` of the protocol: `png`, `webp`.
    pub fn picture(&mut self, format: &str) -> Vec<u8> {
        let mut params = json!({"format": format});
        if format != "png" {
            params["quality"] = 70.into();
        }
        let shot = self.call("Page.captureScreenshot", params);
        let data = shot["data"].as_str().expect("it is base64");
        BASE64_STANDARD.decode(data).expect("it is base64")
    }

    /// Scrolls until what a CSS selector finds first is at the top.
    pub fn scroll_to(&mut self, selector: &str) {
        self.evaluate(&format!(
            "document.querySelector({}).scrollIntoView({{behavior: 'instant'}})",
            json!(selector)
        ));
    }

    /// Every complaint so far: errors and warnings in the console, and exceptions
    /// that nobody caught.
    pub fn complaints(&mut self) -> Vec<String> {
        self.told(|event| {
            let params = &event["params"];
            let bad = |level: &Value| {
                ["error", "warning", "assert"]
                    .iter()
                    .any(|bad| level == bad)
            };
            match event["method"].as_str()? {
                "Runtime.exceptionThrown" => Some(params["exceptionDetails"].to_string()),
                "Runtime.consoleAPICalled" if bad(&params["type"]) => {
                    Some(params["args"].to_string()) //
                }
                "Log.entryAdded" if bad(&params["entry"]["level"]) => {
                    Some(params["entry"].to_string())
                }
                _ => None,
            }
        })
    }

    /// Every request so far: the addresses.
    pub fn requests(&mut self) -> Vec<String> {
        self.told(|event| {
            let url = &event["params"]["request"]["url"];
            let sent = event["method"] == "Network.requestWillBeSent";
            sent.then(|| url.as_str().unwrap_or_default().to_owned())
        })
    }

    fn told(&mut self, what: fn(&Value) -> Option<String>) -> Vec<String> {
        // Events come in order: what came before this answer has been read.
        self.call("Runtime.evaluate", json!({"expression": "0"}));
        let own = |event: &&Value| event["sessionId"] == *self.session;
        let events = self.browser.events.iter().filter(own);
        events.filter_map(what).collect()
    }
}

impl Drop for Tab<'_> {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.call("Page.close", json!({}));
        }
    }
}
