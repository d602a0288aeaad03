//! `cargo xtask schema`: the documents in `docs/` that are made from the types.
//!
//! Other programs read them instead of our code, so they must never say anything else than it.

use crate::say;
use anyhow::Context;
use serde_json::Value;
use std::path::Path;

/// Writes every document, or with `check` compares it with what is there. True if all is as it should be.
///
/// # Errors
/// If a document cannot be made or written.
pub(crate) fn run(root: &Path, check: bool) -> anyhow::Result<bool> {
    let mut current = true;
    for (name, made) in documents()? {
        let path = root.join("docs").join(name);
        if !check {
            std::fs::create_dir_all(root.join("docs")).context("docs/ cannot be made")?;
            std::fs::write(&path, made)
                .with_context(|| format!("docs/{name} cannot be written"))?;
            say(&format!("xtask: wrote docs/{name}"))?;
        } else if let Some(difference) =
            difference(&std::fs::read_to_string(&path).unwrap_or_default(), &made)
        {
            current = false;
            say(&format!(
                "xtask: docs/{name} is not what the types say; write it anew with `cargo xtask schema`\n{difference}"
            ))?;
        }
    }
    Ok(current)
}

fn documents() -> anyhow::Result<[(&'static str, String); 3]> {
    let asyncapi = interline::contract::asyncapi()?;
    let head = "# Written by `cargo xtask schema`; do not edit.\n";
    Ok([
        ("envelope.schema.json", json(interline_envelope::envelope_schema())?),
        ("dispatch.schema.json", json(interline_envelope::dispatch_schema())?),
        ("asyncapi.yaml", format!("{head}{}", yaml(&sorted(asyncapi)))),
    ])
}

fn json(document: Value) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(&sorted(document))? + "\n")
}

/// The same with every object's fields in alphabetical order, whatever order the JSON library keeps.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(String, Value)> = fields.into_iter().collect();
            fields.sort_by(|(one, _), (other, _)| one.cmp(other));
            fields.into_iter().map(|(name, value)| (name, sorted(value))).collect()
        }
        Value::Array(values) => values.into_iter().map(sorted).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

/// The first line that differs, as both have it.
pub(crate) fn difference(found: &str, made: &str) -> Option<String> {
    if found == made {
        return None;
    }
    let same = found.lines().zip(made.lines()).take_while(|(is, should)| is == should).count();
    let line = same + 1;
    let (is, should) = (
        found.lines().nth(same).unwrap_or("(the end)"),
        made.lines().nth(same).unwrap_or("(the end)"),
    );
    Some(format!("  line {line} is:        {is}\n  line {line} should be: {should}"))
}

/// Block-style YAML. Texts are quoted as in JSON, which YAML reads the same way.
fn yaml(value: &Value) -> String {
    let mut out = String::new();
    block(value, 0, &mut out);
    out
}

fn block(value: &Value, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
                let name =
                    if plain { name.clone() } else { Value::from(name.as_str()).to_string() };
                entry(&format!("{indent}{name}:"), value, depth, out);
            }
        }
        Value::Array(values) => {
            for value in values {
                entry(&format!("{indent}-"), value, depth, out);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.push_str(&format!("{indent}{value}\n"));
        }
    }
}

fn entry(head: &str, value: &Value, depth: usize, out: &mut String) {
    let nested = match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(values) => !values.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    };
    out.push_str(head);
    if nested {
        out.push('\n');
        block(value, depth + 1, out);
    } else {
        // An empty list or table looks in YAML as it does in JSON.
        out.push(' ');
        out.push_str(&value.to_string());
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn yaml_says_what_the_json_said() {
        let value = json!({
            "a b": "yes: \"no\"\n", "empty": {}, "list": [1, {"x": null, "y": [true]}, []], "n": 1.5,
        });
        let expected = "\
\"a b\": \"yes: \\\"no\\\"\\n\"
empty: {}
list:
  - 1
  -
    x: null
    y:
      - true
  - []
n: 1.5
";
        assert_eq!(yaml(&value), expected);
    }

    #[test]
    fn a_document_that_is_not_current_is_shown_by_its_first_difference() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        let shown = difference("a\nb\nc\n", "a\nB\nc\n").unwrap();
        assert_eq!(shown, "  line 2 is:        b\n  line 2 should be: B");
        assert!(difference("", "a\n").unwrap().contains("line 1 should be: a"));
        assert!(difference("a\nb\n", "a\n").unwrap().contains("line 2 is:        b"));
    }

    #[test]
    fn the_documents_do_not_depend_on_the_order_that_fields_were_made_in() {
        let value: Value =
            serde_json::from_str("{\"b\":{\"d\":1,\"c\":2},\"a\":[{\"f\":1,\"e\":2}]}").unwrap();
        let sorted = sorted(value).to_string();
        assert_eq!(sorted, "{\"a\":[{\"e\":2,\"f\":1}],\"b\":{\"c\":2,\"d\":1}}");
    }

    #[test]
    fn every_document_is_made_and_has_content() {
        let names: Vec<_> =
            documents().unwrap().iter().map(|(name, text)| (*name, text.len() > 2000)).collect();
        assert_eq!(
            names,
            [
                ("envelope.schema.json", true),
                ("dispatch.schema.json", true),
                ("asyncapi.yaml", true)
            ]
        );
    }
}
