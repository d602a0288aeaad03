//! `cargo xtask fidelity`: what becomes of every kind of message on every platform, as a table in `docs/fidelity.md`.
//!
//! The rows and the platforms' webhooks stand in `tests/fidelity`; what arrives of them is asked of the code that
//! delivers, so that the table cannot say anything else than it. A cell is never empty: where a kind cannot occur on a
//! platform, the reason stands in place of the webhook.

use crate::say;
use anyhow::{Context, bail};
use interline::explain::{Circumstances, Explanation, Original, explain};
use serde_json::{Map, Value};
use std::fmt::Write as _;
use std::path::Path;

/// Where the document is.
const DOCUMENT: &str = "docs/fidelity.md";
/// How much of a text is shown in a cell, in characters.
const SEEN_CHARS: usize = 72;
/// How many requests are shown in a cell.
const SHOWN_MAX: usize = 3;

/// Writes the document, or with `check` compares it with what is there. True if all is as it should be.
///
/// # Errors
/// If a sample cannot be read or explained, or the document cannot be written.
pub(crate) fn run(root: &Path, check: bool) -> anyhow::Result<bool> {
    let made = document(root)?;
    let path = root.join(DOCUMENT);
    if !check {
        std::fs::write(&path, made).with_context(|| format!("{DOCUMENT} cannot be written"))?;
        say(&format!("xtask: wrote {DOCUMENT}"))?;
        return Ok(true);
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let Some(difference) = crate::schema::difference(&found, &made) else { return Ok(true) };
    say(&format!(
        "xtask: {DOCUMENT} is not what the code does; write it anew with `cargo xtask fidelity`, and look at what changed\n{difference}"
    ))?;
    Ok(false)
}

/// A row of the table.
struct Row {
    /// Its key in the samples.
    key: String,
    title: String,
    circumstances: Circumstances,
}

fn document(root: &Path) -> anyhow::Result<String> {
    let rows = rows(&json(root, "rows")?)?;
    let mut out = HEAD.to_owned();
    let bridges = interline::bridges::all();
    for source in &bridges {
        let manifest = source.manifest();
        let samples = json(root, manifest.id.as_str())?;
        let samples = samples.as_object().context("the samples are one object")?;
        write!(out, "\n## From {}\n\n| |", manifest.display_name)?;
        for target in &bridges {
            write!(out, " to {} |", target.manifest().display_name)?;
        }
        writeln!(out, "\n|---|{}", "---|".repeat(bridges.len()))?;
        for row in &rows {
            write!(out, "| {} |", row.title)?;
            for target in &bridges {
                let what =
                    format!("tests/fidelity/{}.json, row `{}`", manifest.id.as_str(), row.key);
                let cell = cell(samples, row, source.as_ref(), target.as_ref());
                write!(out, " {} |", cell.with_context(|| what)?)?;
            }
            writeln!(out)?;
        }
        let known = |key: &String| rows.iter().any(|row| row.key == *key);
        if let Some(stray) = samples.keys().find(|key| !known(key)) {
            bail!(
                "tests/fidelity/{}.json has `{stray}`, and rows.json has not",
                manifest.id.as_str()
            );
        }
    }
    out.push_str(RULES);
    for loss in interline_relay::Loss::ALL {
        writeln!(out, "| `{}` | {} |", loss.as_str(), loss.sentence())?;
    }
    Ok(out)
}

fn json(root: &Path, name: &str) -> anyhow::Result<Value> {
    let path = root.join("tests/fidelity").join(format!("{name}.json"));
    let bytes =
        std::fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is no JSON", path.display()))
}

fn rows(list: &Value) -> anyhow::Result<Vec<Row>> {
    let list = list.as_array().context("rows.json is a list")?;
    list.iter().map(row).collect()
}

fn row(row: &Value) -> anyhow::Result<Row> {
    let word = |key: &str| row.get(key).and_then(Value::as_str);
    let original = match word("original") {
        None => Original::Copied,
        Some("known") => Original::Known,
        Some("unknown") => Original::Unknown,
        Some(other) => bail!("`original` is known or unknown, not {other}"),
    };
    let earlier_reaction = match word("earlier_reaction") {
        None => None,
        Some(form) => Some(serde_json::from_value(form.into())?),
    };
    let circumstances = Circumstances {
        name: Some("Alice".to_owned()),
        named: row.get("named").and_then(Value::as_bool).unwrap_or_default(),
        original,
        earlier_reaction,
        ..Circumstances::default()
    };
    let text = |key: &str| word(key).map(str::to_owned).context("a row has `row` and `title`");
    Ok(Row { key: text("row")?, title: text("title")?, circumstances })
}

/// What stands in one cell: what arrives of a sample, or why there is none.
fn cell(
    samples: &Map<String, Value>,
    row: &Row,
    source: &dyn interline_bridge_api::Bridge,
    target: &dyn interline_bridge_api::Bridge,
) -> anyhow::Result<String> {
    let sample = samples.get(&row.key).context("it is missing")?;
    if let Some(reason) = sample.as_str() {
        return Ok(format!("cannot occur: {reason}"));
    }
    let body = serde_json::to_vec(sample)?;
    let explained = explain(source, &body, target, &row.circumstances)?;
    match (explained.envelopes.as_slice(), explained.unreadable.as_slice()) {
        ([one], []) => Ok(in_a_cell(one)),
        (envelopes, unreadable) => bail!(
            "a sample is one event; this one is {} envelopes and {} unreadable items",
            envelopes.len(),
            unreadable.len()
        ),
    }
}

/// `fallback: “…” (a-rule)`
fn in_a_cell(explanation: &Explanation) -> String {
    let mut cell = explanation.form.to_owned();
    let mut shown: Vec<String> = explanation
        .shown
        .iter()
        .take(SHOWN_MAX)
        .map(|shown| {
            let quotes = if shown.quotes { ", quoting" } else { "" };
            format!("“{}”{quotes}", short(&shown.seen))
        })
        .collect();
    if explanation.shown.len() > SHOWN_MAX {
        shown.push(format!("and {} more", explanation.shown.len() - SHOWN_MAX));
    }
    if !shown.is_empty() {
        cell.push_str(": ");
        cell.push_str(&shown.join("; "));
    }
    let mut rules: Vec<&str> = explanation.losses.iter().map(|loss| loss.rule).collect();
    if let Some(because) = explanation.because.filter(|because| !rules.contains(&because.rule)) {
        rules.insert(0, because.rule);
    }
    if !rules.is_empty() {
        cell.push_str(&format!(" ({})", rules.join(", ")));
    }
    cell
}

/// One line that a cell of a table can hold.
fn short(seen: &str) -> String {
    let mut short: String = seen.chars().take(SEEN_CHARS).collect();
    if seen.chars().nth(SEEN_CHARS).is_some() {
        short.push('…');
    }
    let mut line = String::with_capacity(short.len());
    for c in short.chars() {
        match c {
            '\n' => line.push('⏎'),
            '|' | '*' | '_' | '~' | '`' | '<' | '>' | '[' | ']' | '\\' => line.extend(['\\', c]),
            // A guard behind a mark, which nobody would see here.
            '\u{200B}' => line.push('·'),
            _ => line.push(c),
        }
    }
    line
}

const HEAD: &str = "\
<!-- Written by `cargo xtask fidelity`; do not edit. -->
# Fidelity

What arrives of each kind of message on each platform. Every cell is made by running a webhook (`tests/fidelity`)
through the code that the daemon runs; `interline explain PLATFORM FILE --to PLATFORM` says the same of any other.

- **native**: as what it is.
- **fallback**: as something else that carries its meaning.
- **placeholder**: a line that says what cannot be shown.
- **refusal**: not at all, and its sender is told.
- **nothing**: not at all, and nobody misses it.
- **cannot occur**: the platform hands no such thing over, with the reason.

In quotation marks stands what the person sees, request by request; what has no words stands in square brackets, ⏎ is a
new line, and · is the invisible character that keeps a literal mark from becoming formatting. *Quoting* means that the
target's own copy of the other message is quoted natively. In parentheses stand the rules that took something away; the
last table has them all. The author is Alice; where more than two people hear each other, her name stands before her
words. Media are fetched and converted when they are sent: one that turns out to be something else than its platform
says, or that cannot be had, leaves a placeholder. Sound and film are shown as they arrive without `ffmpeg`; with it, what
the target does not take as it is arrives converted.
";

const RULES: &str = "
## Rules

| rule | what is lost |
|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_empty_and_every_kind_has_a_row_for_every_platform() {
        let document = document(crate::root()).unwrap();
        let cells: Vec<Vec<&str>> = document
            .lines()
            .filter(|line| {
                line.starts_with("| ") && !line.starts_with("| `") && !line.starts_with("| | ")
            })
            .map(|line| line.split(" | ").collect())
            .collect();
        assert!(cells.len() > 3 * 40, "{}", cells.len());
        for row in cells.iter().filter(|row| row.len() > 2) {
            assert_eq!(row.len(), 4, "{row:?}");
            assert!(row.iter().all(|cell| !cell.trim_matches(['|', ' ']).is_empty()), "{row:?}");
        }
    }

    #[test]
    fn a_cell_holds_one_line_without_markup() {
        assert_eq!(short("a|b\n*c* [d]"), "a\\|b⏎\\*c\\* \\[d\\]");
        assert_eq!(short(&"x".repeat(100)).chars().count(), SEEN_CHARS + 1);
    }

    #[test]
    fn a_row_that_is_written_wrongly_is_refused() {
        let is_refused = |value: Value| row(&value).is_err();
        let with = |key: &str| serde_json::json!({"row": "x", "title": "x", key: "maybe"});
        assert!(!is_refused(with("another")));
        assert!(is_refused(serde_json::json!({"row": "x"})));
        assert!(is_refused(with("original")));
        assert!(is_refused(with("earlier_reaction")));
    }
}
