//! What the page, the Markdown and the terminal's tables say of a comparison with
//! everything that can go wrong in it, without a browser.

use std::fs;
use std::path::Path;

use crate::comparisons::{ENDLESS, HOSTILE, REASON, everything, swept};
use report::page::criterion_links::MADE_FROM;
use report::terminal::COLUMNS;
use report::{files, markdown, page, terminal};
use results::fixture::{Builder, cell};
use results::{Cell, Comparison, FEWER_ROUNDS, ResultsDir, Status};
use serde_json::json;

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
fn cells_that_a_quota_has_stopped_are_said_before_any_figure() {
    let mut comparison = everything();
    let mut cells = comparison.cells.iter_mut();
    let timed = cells.find(|cell| cell.time.is_some()).expect("one of them");
    timed.throttled = 2;
    let rounds = timed.rounds().expect("it was timed");
    let said = format!("stopped by the CPU quota in 2 of {rounds} rounds");
    let page = page::page(&comparison).expect("a page");
    let (head, figures) = page.split_once("<nav").expect("a navigation");
    assert!(head.contains("1 cell stopped by the CPU quota"), "{head}");
    assert!(head.contains(&said), "{head}");
    assert!(figures.contains(&said));
    assert!(markdown::document(&comparison).contains(&said));
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
    const MOST: usize = 5 << 19;
    let page = page::page(&crate::comparisons::thorough()).expect("a page");
    assert!(page.len() < MOST, "{} bytes", page.len());
}

#[test]
fn older_results_still_make_a_page() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../results/reference");
    let results = ResultsDir::open(path).and_then(|directory| directory.read());
    let page = page::page(&results.expect("the reference results")).expect("a page");
    assert_eq!(row(&page, "time", "primes-heavy").len(), 6);
}

#[test]
fn criterions_pages_are_linked_where_they_are_of_this_run() {
    const COMMAND: &str = "cargo xtask report run --criterion";
    let place = tempfile::Builder::new().prefix("a place ").tempdir();
    let place = place.expect("a directory");
    let directory = ResultsDir::prepare(place.path().join("results/run")).expect("a directory");
    let times = [("serial", 2.0), ("tokio", 1.0)];
    let builder = Builder::new()
        .job("primes", "heavy", json!({}), &times)
        .sweep("primes", "workers", &[(1, &times), (2, &times)]);
    let mut comparison = swept(builder);
    comparison.run.name = "run".to_owned();
    let page_of = |comparison: &Comparison| {
        files::write(&directory, comparison).expect("files");
        fs::read_to_string(place.path().join("results/run/index.html")).expect("a page")
    };
    let without = page_of(&comparison);
    assert!(without.contains(COMMAND), "there is no way to them");
    assert!(
        !without.contains("target/criterion/"),
        "a link leads nowhere"
    );

    let home = place.path().join("target/criterion");
    let pages = [
        "primes heavy/report/index.html",
        "primes.workers/report/index.html",
        "report/index.html",
    ];
    for page in pages {
        let page = home.join(page);
        fs::create_dir_all(page.parent().expect("it has one")).expect("a directory");
        fs::write(page, "").expect("a page");
    }
    let run = serde_json::to_vec(&comparison.run).expect("it is JSON");
    fs::write(home.join(MADE_FROM), run).expect("a file");
    let with = page_of(&comparison);
    assert!(!with.contains(COMMAND), "they are there");
    for page in pages {
        let page = page.replace(' ', "%20");
        let link = format!("href=\"../../target/criterion/{page}\"");
        assert!(with.contains(&link), "{link}");
    }

    // Those of another comparison are not this one's.
    comparison.run.started = "2027-01-02 03:04:05 +00:00".to_owned();
    assert!(page_of(&comparison).contains(COMMAND));
}

const MARKUP: &str = "<script>alert(1)</script> \"'&| **bold** `code`";

/// Markup wherever a text may come from outside.
fn of_markup() -> Comparison {
    let markup = || MARKUP.to_owned();
    let of = |model: &str, status: Status, ms: Option<f64>| {
        let mut cell = Cell {
            job: json!({"guard": MARKUP, "into": null}),
            status,
            reason: (status != Status::Ok).then(markup),
            scaled: true,
            divisor: 4,
            time: ms.map(|ms| results::fixture::steady(ms * 1e6, 1)),
            ..cell("counter", "heavy", model)
        };
        cell.resources.memory_method = Some("this system does not tell PSS".to_owned());
        cell
    };
    let cells = [
        of("serial", Status::Ok, Some(2.0)),
        of(MARKUP, Status::Ok, Some(1.0)),
        of("process", Status::Unsupported, None),
        of("tokio", Status::WrongAnswer, None),
        of("smol", Status::Failed, None),
    ];
    let of_run = |comparison: &mut Comparison| {
        let Comparison { run, host, .. } = comparison;
        run.interrupted = true;
        run.notes = vec![markup()];
        for text in [&mut run.name, &mut run.started, &mut run.mode] {
            *text = markup();
        }
        for text in [&mut run.revision, &mut host.cpu, &mut host.kernel] {
            *text = markup();
        }
        host.os = markup();
        comparison.versions = [(markup(), markup())].into();
    };
    let models = ["serial", MARKUP];
    let times: &[(&str, f64)] = &[("serial", 1.0), (MARKUP, 2.0)];
    let builder = Builder::new()
        .models(&models)
        .cells(cells)
        .sweep(MARKUP, MARKUP, &[(1, times), (2, times)])
        .of_run(of_run);
    swept(builder)
}

/// Or thirty of them would stand before all figures.
#[test]
fn jobs_with_fewer_rounds_are_one_warning() {
    let times = [("serial", 2.0), ("tokio", 1.0)];
    let of_run = |comparison: &mut Comparison| {
        let fewer = |job| format!("{job}: 1 of 5{FEWER_ROUNDS}");
        let notes = [
            "another thing",
            &fewer("counter heavy"),
            &fewer("scan heavy"),
        ];
        comparison.run.notes = notes.map(str::to_owned).into();
    };
    let builder = Builder::new().job("counter", "heavy", json!({}), &times);
    let page = page::page(&builder.of_run(of_run).build()).expect("a page");
    let first = between(&page, "<header>", "<dl>");
    assert_eq!(first.matches("class=\"note\"").count(), 1, "{first}");
    assert_eq!(
        between(first, "<p class=\"note\">", "</p>"),
        "another thing"
    );
    let warning = between(&page, "2 jobs with fewer rounds than planned", "</details>");
    assert!(warning.contains("scan heavy: 1 of 5 rounds"), "{warning}");
}

#[test]
fn the_page_escapes_what_it_shows() {
    let page = page::page(&of_markup()).expect("a page");
    // Its data and its own scripts are all that it has.
    assert_eq!(page.matches("<script").count(), 4, "{page}");
    assert!(!page.contains("alert(1)</script"), "{page}");
    assert!(page.contains("&#60;script&#62;") || page.contains("&lt;script&gt;"));
    for part in [
        "Interrupted",
        "unsupported",
        "wrong answer",
        "failed",
        "no memory: this system",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn markdown_escapes_what_it_shows() {
    for text in [
        markdown::document(&of_markup()),
        markdown::overview(&of_markup()),
    ] {
        // In a code span, everything is text already.
        let spans = text.replace("\\`", "");
        let outside: String = spans.split('`').step_by(2).collect();
        assert!(!outside.contains("<script"), "{text}");
        assert!(!outside.contains("**bold**"), "{text}");
        // A bar in a name must not make another column.
        let bars = |line: &str| line.replace("\\|", "").matches('|').count();
        let lines: Vec<&str> = text.lines().collect();
        let tables = lines.split(|line| !line.starts_with('|'));
        for table in tables.filter(|table| !table.is_empty()) {
            let same = table.iter().all(|row| bars(row) == bars(table[0]));
            assert!(same, "{table:#?}");
        }
    }
}

#[test]
fn the_terminals_table_is_best_first_and_names_what_is_missing() {
    let mut comparison = of_markup();
    comparison.sweeps.clear();
    let table = terminal::tables(&comparison, 1000);
    let at = |text: &str| {
        table
            .find(text)
            .unwrap_or_else(|| panic!("no {text} in {table}"))
    };
    assert!(at("1.00 ms") < at("2.00 ms"));
    assert!(at("2.00 ms") < at("wrong answer"));
    assert!(table.contains("scaled to 1/4"));
    assert!(
        table.contains("0.50×") && table.contains("2.00×"),
        "{table}"
    );
    assert_eq!(table.matches("heavy").count(), 6, "{table}");
}

#[test]
fn four_rounds_give_no_verdict() {
    let times = [("serial", 1.0), ("tokio", 2.0)];
    for (rounds, says) in [
        (4, "no verdict: that takes 5 rounds"),
        (5, "ranks: 1 serial; 2 tokio"),
    ] {
        let comparison = Builder::new()
            .job_in_rounds("counter", "heavy", json!({}), &times, rounds)
            .build();
        let table = terminal::tables(&comparison, COLUMNS);
        let page = page::page(&comparison).expect("a page");
        assert!(table.contains(says) && page.contains(says), "{table}");
    }
}

#[test]
fn what_each_model_has_of_its_own_is_said() {
    let limits = |own: u64| {
        let job = json!({"images": 100, "limit": 20});
        let times = [("thread", 1.0), ("tokio", 2.0)];
        let comparison = Builder::new()
            .job("download", "article", job, &times)
            .with("thread", |cell| cell.job["limit"] = own.into());
        terminal::tables(&comparison.build(), COLUMNS)
    };
    let same = limits(20);
    assert!(
        same.contains("images=100 limit=20") && !same.contains("each its own"),
        "{same}"
    );
    let different = limits(10);
    let says = "article: images=100 limit=(each its own)";
    assert!(different.contains(says), "{different}");
    for (model, limit) in [("thread", "limit=10"), ("tokio", "limit=20")] {
        let mut rows = different.lines().filter(|line| line.contains(model));
        let row = rows.find(|line| line.contains("limit="));
        assert!(row.expect("a row").contains(limit), "{different}");
    }
}

#[test]
fn what_makes_a_models_cells_unlike_the_others_stands_at_them() {
    const NOTE: &str = "batches of up to 256 items";
    let times = [("process", 1.0), ("tokio", 2.0)];
    let note = |comparison: &mut Comparison| {
        let process = comparison
            .models
            .iter_mut()
            .find(|model| model.name == "process");
        let notes = &mut process.expect("it is known").notes;
        notes.insert("pipeline".to_owned(), NOTE.to_owned());
    };
    let comparison = Builder::new()
        .job("pipeline", "heavy", json!({}), &times)
        .job("primes", "heavy", json!({}), &times)
        .of_run(note)
        .build();
    for text in [
        terminal::tables(&comparison, COLUMNS),
        markdown::document(&comparison),
    ] {
        assert_eq!(text.matches(NOTE).count(), 1, "{text}");
    }
    assert!(page::page(&comparison).expect("a page").contains(NOTE));
}

#[test]
fn a_time_that_is_mostly_clock_says_so_and_has_no_rank() {
    const NOTE: &str = "40 % or more of this time is the reading of the clock: not ranked";
    let times = [("serial", 90e-6), ("thread", 0.026), ("tokio", 0.013)];
    let builder = Builder::new()
        .job("exchange", "article", json!({}), &times)
        .with("serial", |cell| cell.mostly_clock = true);
    let comparison = swept(builder);

    let terminal = terminal::tables(&comparison, COLUMNS);
    let serial = terminal.lines().find(|line| line.contains("90.0 ns"));
    let serial = serial.expect("a row");
    assert!(serial.contains("serial"), "{serial}");
    assert!(
        terminal.contains(&format!("article serial: {NOTE}")),
        "{terminal}"
    );
    assert!(!serial.contains('×'), "{serial}");
    for ranks in ["ranks: 1 tokio; 2 thread", "2.00×"] {
        assert!(terminal.contains(ranks), "no {ranks} in {terminal}");
    }
    let document = markdown::document(&comparison);
    assert!(document.contains(NOTE), "{document}");

    let page = page::page(&comparison).expect("a page");
    assert!(page.contains(NOTE));
    assert!(page.contains("1 cell mostly the reading of the clock"));
    let texts = row(&page, "time", "exchange-article");
    assert_eq!(texts, ["90.0 ns", "2.00×", "best"]);
}

#[test]
fn memory_with_the_kernels_stands_beside_pss() {
    let builder = Builder::new().job("primes", "heavy", json!({}), &[("thread", 1.0)]);
    let comparison = swept(builder);
    let document = markdown::document(&comparison);
    let cells = |text: &str| {
        let line = document.lines().find(|line| line.contains(text));
        let cells = line.expect("a line").split('|').map(str::trim);
        cells.map(str::to_owned).collect::<Vec<_>>()
    };
    let (heads, row) = (cells("with kernel"), cells("| thread |"));
    let at = heads.iter().position(|head| head == "memory").expect("PSS");
    assert_eq!(heads[at + 1], "with kernel");
    assert_eq!(row[at..=at + 1], ["1.00 MiB", "2.00 MiB"]);
    let page = page::page(&comparison).expect("a page");
    for text in [terminal::tables(&comparison, 120), page] {
        let [memory, with_kernel] = ["memory", "with kernel"].map(|head| text.find(head));
        assert!(memory.is_some() && memory < with_kernel, "{text}");
        assert!(text.contains("2.00 MiB"), "{text}");
    }
}

#[test]
fn tables_are_no_wider_than_the_terminal() {
    let reference = lab::workspace::root().expect("a checkout");
    let reference = ResultsDir::open(reference.join("results/reference"));
    let reference = reference.and_then(|directory| directory.read());
    for comparison in [everything(), reference.expect("it is there")] {
        let tables = |columns| terminal::tables(&comparison, columns);
        for columns in [80, COLUMNS, 200] {
            let text = tables(columns);
            // Each table has a line beneath its heads, as wide as itself.
            let rules = text.lines().filter(|line| line.starts_with('─'));
            let widths: Vec<usize> = rules.map(|line| line.chars().count()).collect();
            assert!(!widths.is_empty(), "{text}");
            assert!(widths.iter().all(|&width| width <= columns), "{widths:?}");
        }
        // What there is no room for is named, but for the notes, which are there.
        assert!(tables(80).contains("not shown in 80 columns: "));
        assert!(!tables(1000).contains("not shown in"));
    }
}
