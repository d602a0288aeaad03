//! Native JSON that an envelope keeps as it came: exact digits, bounded size.
//!
//! PLATFORMS.md section 3: the same id is a JSON number here and a string there. What is kept has every id as a
//! string, so that whoever compares them needs one form only.

use crate::IdText;
use interline_envelope::{EXTRA_BYTES_MAX, NESTING_MAX, Redacted};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A raw value as [`Value`]; integers under `id` or `…_id`, and integers beyond 64 bits, as strings.
pub(super) fn kept(raw: &RawValue) -> Value {
    let bytes = raw.get().len();
    if bytes > EXTRA_BYTES_MAX {
        return Value::from(format!("left out: {bytes} bytes"));
    }
    value("", raw, NESTING_MAX)
}

fn value(key: &str, raw: &RawValue, levels: usize) -> Value {
    let json = raw.get();
    let Some(levels) = levels.checked_sub(1) else { return Value::Null };
    match json.as_bytes().first() {
        Some(b'{') => {
            let Ok(fields) = serde_json::from_str::<BTreeMap<String, &RawValue>>(json) else {
                return Value::Null;
            };
            let mut map = Map::new();
            for (key, raw) in fields {
                let value = value(&key, raw, levels);
                map.insert(key, value);
            }
            Value::Object(map)
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(json).unwrap_or_default();
            Value::Array(items.into_iter().map(|item| value(key, item, levels)).collect())
        }
        Some(b'-' | b'0'..=b'9') => number(key, json),
        _ => serde_json::from_str(json).unwrap_or_default(),
    }
}

fn number(key: &str, json: &str) -> Value {
    let is_integer = !json.contains(['.', 'e', 'E']);
    let is_id = key == "id" || key.ends_with("_id");
    let fits = json.parse::<i64>().is_ok() || json.parse::<u64>().is_ok();
    if is_integer && (is_id || !fits) {
        return Value::from(json);
    }
    serde_json::from_str(json).unwrap_or_default()
}

/// A string or an integer, with its exact digits; nothing if it is empty or something else.
pub(super) fn plain(raw: Option<&RawValue>) -> Option<String> {
    let text = IdText::from_raw(raw?)?;
    text.non_empty()?;
    Some(text.into_owned())
}

/// As [`plain`], for what belongs to a person.
pub(super) fn personal(raw: Option<&RawValue>) -> Option<Redacted<String>> {
    plain(raw).map(Redacted::new)
}

/// The first characters of a platform's own word: it may stand in logs and must stay short.
pub(super) fn short(word: &str) -> String {
    word.chars().filter(|c| !c.is_control()).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_strings_with_exact_digits_and_other_numbers_stay_numbers() {
        let json = r#"{"app_id":263902037430900,"price":11,"big":123456789012345678901234567890,
            "id":9007199254740993,"f":1.5,"list":[{"id":7}],"target_id":null,"text":"\u00e4"}"#;
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        let expected = serde_json::json!({
            "app_id": "263902037430900", "price": 11, "big": "123456789012345678901234567890",
            "id": "9007199254740993", "f": 1.5, "list": [{"id": "7"}], "target_id": null, "text": "ä"
        });
        assert_eq!(kept(raw), expected);
    }

    #[test]
    fn what_is_too_large_is_named_and_left_out() {
        let json = format!("\"{}\"", "x".repeat(EXTRA_BYTES_MAX));
        let raw: &RawValue = serde_json::from_str(&json).unwrap();
        assert_eq!(kept(raw), Value::from("left out: 8194 bytes"));
    }
}
