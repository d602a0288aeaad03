//! Every size in one place (G9).

use serde_json::{Map, Value};

/// The largest webhook body that is read, in bytes. Meta sends up to 3 MB; the rest is head-room.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The most items that one body may hold. Meta batches up to 1,000; two arrays of that are still read.
pub const ITEMS_MAX: usize = 5_000;
/// The most parts that one envelope may hold.
pub const PARTS_MAX: usize = 64;
/// The largest `extra` of an envelope, in bytes of JSON.
pub const EXTRA_BYTES_MAX: usize = 8 * 1024;
/// The largest encoded envelope, in bytes. What is larger is dead-lettered with its reason.
pub const ENVELOPE_BYTES_MAX: usize = 256 * 1024;
/// How deep a body may nest. `serde_json` refuses at 128.
pub const NESTING_MAX: usize = 128;

/// Keeps of `extra` what fits into [`EXTRA_BYTES_MAX`], in key order, and says in `truncated` how many were left out.
pub fn bounded_extra(extra: Map<String, Value>) -> Map<String, Value> {
    let mut kept = Map::new();
    let mut bytes = 0_usize;
    let mut dropped = 0_u64;
    for (key, value) in extra {
        // The encoded length is what the bound is about; values here are small, and this is no hot path.
        let cost = key.len() + value.to_string().len() + 4;
        if bytes + cost > EXTRA_BYTES_MAX {
            dropped += 1;
            continue;
        }
        bytes += cost;
        kept.insert(key, value);
    }
    if dropped > 0 {
        kept.insert("truncated".to_owned(), Value::from(dropped));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_is_bounded_and_says_what_it_left_out() {
        let mut extra = Map::new();
        extra.insert("big".into(), Value::from("x".repeat(EXTRA_BYTES_MAX)));
        extra.insert("small".into(), Value::from(1));
        let kept = bounded_extra(extra);
        assert_eq!(kept.get("small"), Some(&Value::from(1)));
        assert_eq!(kept.get("truncated"), Some(&Value::from(1)));
        assert!(!kept.contains_key("big"));
    }
}
