//! A real comparison, as small as it gets: two models and two workloads, built,
//! measured and reported by the real command.

use std::fs;
use std::process::Command;

use serde_json::Value;

#[test]
fn two_models_and_two_workloads_are_compared() {
    let output = tempfile::tempdir().expect("a directory");
    let compared = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["compare", "primes", "fetch", "--models", "serial,thread"])
        .args([
            "--set",
            "primes.workers=2",
            "--set",
            "fetch.delays_ms=1,2,3",
        ])
        .args(["--quick", "--budget", "10", "--name", "small", "--output"])
        .arg(output.path())
        .output()
        .expect("it starts");
    let printed = String::from_utf8_lossy(&compared.stdout);
    let said = String::from_utf8_lossy(&compared.stderr);
    assert_eq!(compared.status.code(), Some(0), "{printed}{said}");
    for words in [
        "primes: A pool",
        "fetch: URLs",
        "thread",
        "the origin alone takes",
    ] {
        assert!(printed.contains(words), "no {words} in {printed}");
    }

    let results = output.path().join("results/small");
    let data = fs::read(results.join("comparison.json")).expect("data");
    let data: Value = serde_json::from_slice(&data).expect("JSON");
    assert_eq!(data["schema"], 3);
    let rustc = data["versions"]["rustc"].as_str().expect("a version");
    assert!(rustc.starts_with("rustc 1."), "{rustc}");
    let cells = data["cells"].as_array().expect("a list");
    assert_eq!(cells.len(), 4);
    for cell in cells {
        assert_eq!(cell["status"], "ok", "{cell}");
        assert_eq!(cell["memory_method"], "pss", "{cell}");
        assert_eq!(cell["processes"], 1, "{cell}");
        let number = |key: &str| {
            cell[key]
                .as_u64()
                .unwrap_or_else(|| panic!("{key}: {cell}"))
        };
        // From 1 MiB for a program to some for its threads' stacks.
        assert!(
            (1 << 20..64 << 20).contains(&number("peak_memory_bytes")),
            "{cell}"
        );
        assert!(number("wall_ns") > 0, "{cell}");
        assert!(number("user_ns") + number("system_ns") > 0, "{cell}");
        assert!(
            number("voluntary_switches") + number("involuntary_switches") > 0,
            "{cell}"
        );
        let time = &cell["time"];
        let ns = |key: &str| {
            time[key]
                .as_f64()
                .unwrap_or_else(|| panic!("{key}: {time}"))
        };
        assert!(ns("low_ns") <= ns("median_ns") && ns("median_ns") <= ns("high_ns"));
        let samples = time["samples_ns"].as_array().expect("a list").len() as u64;
        let rounds = time["rounds"].as_array().expect("a list");
        assert_eq!(
            rounds.iter().filter_map(Value::as_u64).sum::<u64>(),
            samples
        );
        assert!(samples >= 10);
        let cold = cell["cold"]["median_ns"].as_f64();
        assert!(number("start_ns") > 0, "{cell}");
        assert!(cold > Some(number("start_ns") as f64), "{cell}");
    }
    let of = |workload: &str, model: &str| {
        let mut cells = cells.iter();
        cells
            .find(|cell| cell["workload"] == workload && cell["model"] == model)
            .expect("every model does every workload")
    };
    assert_eq!(of("primes", "serial")["job"], of("primes", "thread")["job"]);
    assert!(of("fetch", "serial")["origin_ceiling_ns"].as_u64() > Some(0));
    assert!(of("primes", "serial")["origin_ceiling_ns"].is_null());
    for model in ["serial", "thread"] {
        let cell = of("fetch", model);
        let figure = |key: &str| cell["completion"][key].as_u64().expect(key);
        let items = cell["job"]["delays_ms"].as_array().expect("a list").len() as u64;
        assert_eq!(figure("items"), items * figure("runs"), "{cell}");
        assert_eq!(Some(figure("runs")), cell["runs"].as_u64(), "{cell}");
        assert!(figure("p50_ns") <= figure("p90_ns"), "{cell}");
        assert!(figure("p99_ns") <= figure("max_ns"), "{cell}");
        assert!(cell["origin_cpu_ns"].as_u64() > Some(0), "{cell}");
        assert_eq!(cell["outcome"]["completion_ns"], Value::Null, "{cell}");
        assert_eq!(of("primes", model)["completion"], Value::Null);
    }

    // Beside the figures is the code that they are of, and what it takes.
    let beside = |name: &str| -> Value {
        let text = fs::read(results.join(name)).expect(name);
        serde_json::from_slice(&text).expect("JSON")
    };
    let sources = beside("sources.json");
    assert_eq!(sources["revision"], data["run"]["revision"]);
    let files = sources["files"].as_array().expect("a list");
    assert_eq!(files.len(), 2 * suite::Workload::ALL.len());
    for file in files {
        let path = lab::workspace::root()
            .expect("a checkout")
            .join(file["path"].as_str().expect("a path"));
        let text = fs::read_to_string(&path).expect("a file of the tree");
        assert_eq!(file["text"], text, "{}", path.display());
    }
    let effort = beside("effort.json");
    let thread = &effort["models"][1];
    assert_eq!(thread["model"], "thread");
    assert!(thread["dependencies"].as_u64() > Some(10), "{thread}");
    assert!(thread["build"].is_null(), "builds are timed when asked for");

    let markdown = fs::read_to_string(results.join("comparison.md")).expect("tables");
    assert!(
        markdown.contains("## primes") && markdown.contains("| serial |"),
        "{markdown}"
    );
    let page = fs::read_to_string(results.join("index.html")).expect("a page");
    assert!(page.contains("<h2 id=\"head-fetch\">fetch</h2>"));
    for outside in ["http://", "https://", "src=", "@import"] {
        assert!(!page.contains(outside), "the page has {outside}");
    }
}
