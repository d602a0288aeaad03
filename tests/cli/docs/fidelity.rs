//! `docs/fidelity.md` against the program: `explain` says of every sample what the table says.

use crate::support::run_with;
use serde_json::Value;

const PLATFORMS: [(&str, &str); 3] =
    [("whatsapp", "WhatsApp"), ("messenger", "Messenger"), ("instagram", "Instagram")];

fn read(path: &str) -> String {
    std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn json(name: &str) -> Value {
    serde_json::from_str(&read(&format!("tests/fidelity/{name}.json"))).unwrap()
}

/// The cells of one row of one platform's table, without the backslashes that keep them from being markup.
fn cells(document: &str, platform: &str, title: &str) -> Vec<String> {
    let table = document.split(&format!("## From {platform}\n")).nth(1).unwrap();
    let row = table.lines().find(|line| line.starts_with(&format!("| {title} | ")));
    let row = row.unwrap_or_else(|| panic!("{platform} has no row {title}"));
    row.trim_end_matches(" |").split(" | ").skip(1).map(|cell| cell.replace('\\', "")).collect()
}

/// What the program says about one sample.
fn explained(row: &Value, platform: &str, target: &str, body: &Value) -> Value {
    let mut arguments = vec!["explain", platform, "--to", target, "--json", "--name", "Alice"];
    if row["named"] == true {
        arguments.push("--named");
    }
    if let Some(original) = row["original"].as_str() {
        arguments.extend(["--original", original]);
    }
    if let Some(earlier) = row["earlier_reaction"].as_str() {
        arguments.extend(["--earlier-reaction", earlier]);
    }
    let ran = run_with(&arguments, &serde_json::to_vec(body).unwrap()).ended(0);
    assert_eq!(ran.json_lines().len(), 1, "{ran:?}");
    ran.json()
}

#[test]
fn explain_says_of_every_sample_what_the_table_says() {
    let document = read("docs/fidelity.md");
    let rows = json("rows");
    let mut compared = 0;
    for (platform, name) in PLATFORMS {
        let samples = json(platform);
        for (index, row) in rows.as_array().unwrap().iter().enumerate() {
            let cells = cells(&document, name, row["title"].as_str().unwrap());
            assert_eq!(cells.len(), PLATFORMS.len());
            let body = &samples[row["row"].as_str().unwrap()];
            if let Some(reason) = body.as_str() {
                assert!(cells.iter().all(|cell| *cell == format!("cannot occur: {reason}")));
                continue;
            }
            // One target for each sample, in turn: a process for each cell would take long and show no more.
            let target = index % PLATFORMS.len();
            let explained = explained(row, platform, PLATFORMS[target].0, body);
            check(&cells[target], &explained);
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared}");
}

#[track_caller]
fn check(cell: &str, explained: &Value) {
    let form = explained["form"].as_str().unwrap();
    assert!(cell.starts_with(form), "{explained}\n{cell}");
    let shown = explained["shown"].as_array().unwrap();
    for one in shown.iter().take(3) {
        let seen = one["seen"].as_str().unwrap().replace('\n', "⏎").replace('\u{200B}', "·");
        let begins: String = seen.chars().take(60).collect();
        assert!(cell.contains(&format!("“{begins}")), "{begins}\n{cell}");
    }
    let quoted = shown.iter().take(3).filter(|one| one["quotes"] == true).count();
    assert_eq!(cell.matches("”, quoting").count(), quoted, "{cell}");
    for loss in explained["losses"].as_array().unwrap() {
        assert!(cell.contains(loss["rule"].as_str().unwrap()), "{explained}\n{cell}");
    }
}
