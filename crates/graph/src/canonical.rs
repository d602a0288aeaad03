//! The canonical form of a JSON item: sorted keys, no white space, one spelling of each string, numbers as written.
//!
//! Ids of events without a native id are made of it, so that pretty-printed, compact and Meta-escaped (`\/`,
//! `\u00e4`) forms of one item have one id.

use interline_envelope::NESTING_MAX;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The canonical bytes of one JSON value.
///
/// # Errors
/// What `serde_json` says of the syntax, or that it nests deeper than [`NESTING_MAX`].
pub fn canonical(json: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    let raw: &RawValue = serde_json::from_slice(json)?;
    let mut out = Vec::with_capacity(json.len());
    write(raw, NESTING_MAX, &mut out)?;
    Ok(out)
}

/// The canonical bytes of one JSON value, or its bytes as they came where they have no canonical form.
pub fn canonical_or_raw(raw: &RawValue) -> Vec<u8> {
    canonical(raw.get().as_bytes()).unwrap_or_else(|_| raw.get().as_bytes().to_vec())
}

fn write(raw: &RawValue, levels: usize, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let json = raw.get();
    let Some(levels) = levels.checked_sub(1) else {
        return Err(serde::de::Error::custom("it nests too deeply for a canonical form"));
    };
    match json.as_bytes().first() {
        Some(b'{') => {
            let fields: BTreeMap<String, &RawValue> = serde_json::from_str(json)?;
            out.push(b'{');
            for (index, (key, value)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                serde_json::to_writer(&mut *out, key)?;
                out.push(b':');
                write(value, levels, out)?;
            }
            out.push(b'}');
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(json)?;
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(item, levels, out)?;
            }
            out.push(b']');
        }
        Some(b'"') => {
            let text: String = serde_json::from_str(json)?;
            serde_json::to_writer(&mut *out, &text)?;
        }
        _ => out.extend_from_slice(json.as_bytes()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_item_has_one_canonical_form() {
        let plain = canonical("{\"b\": [1, 2], \"a\": \"ä/😀\" }".as_bytes()).unwrap();
        let escaped = canonical(br#"{"a":"\u00e4\/\ud83d\ude00","b":[1,2]}"#).unwrap();
        assert_eq!(plain, escaped);
        assert_eq!(String::from_utf8(plain).unwrap(), r#"{"a":"ä/😀","b":[1,2]}"#);
    }

    #[test]
    fn numbers_keep_their_digits() {
        let json = br#"{"id":123456789012345678901234567890,"f":1.50}"#;
        let text = String::from_utf8(canonical(json).unwrap()).unwrap();
        assert_eq!(text, r#"{"f":1.50,"id":123456789012345678901234567890}"#);
    }

    #[test]
    fn what_nests_too_deeply_has_no_canonical_form() {
        let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        assert!(canonical(deep.as_bytes()).is_err());
        let raw: &RawValue = serde_json::from_str(&deep).unwrap();
        assert_eq!(canonical_or_raw(raw), deep.as_bytes());
    }
}
