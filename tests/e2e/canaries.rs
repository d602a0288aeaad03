//! Looks for what must not be somewhere: in plain bytes, as JSON escapes it, in hex, in base64, as a list of numbers.

use memchr::memmem::Finder;
use std::fmt::Write as _;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 of `bytes` without padding.
fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let at = |n: usize| u32::from(chunk.get(n).copied().unwrap_or(0));
        let group = at(0) << 16 | at(1) << 8 | at(2);
        for n in 0..=chunk.len() {
            let six = usize::try_from(group >> (18 - 6 * n) & 63).unwrap();
            text.push(char::from(BASE64[six]));
        }
    }
    text
}

/// What base64 makes of `bytes` in the midst of others, for each of the three places where they can begin: without the
/// characters that depend on the neighbours.
fn base64_inside(bytes: &[u8]) -> Vec<String> {
    let each = (0..3_usize).map(|before| {
        let shifted: Vec<u8> =
            std::iter::repeat_n(0, before).chain(bytes.iter().copied()).collect();
        let text = base64(&shifted);
        let first = (before * 8).div_ceil(6);
        let whole = shifted.len() * 8 / 6;
        text.get(first..whole).unwrap().to_owned()
    });
    each.collect()
}

/// Every form in which a canary could be written.
fn forms(canary: &str) -> Vec<Vec<u8>> {
    let bytes = canary.as_bytes();
    let escaped = serde_json::to_string(canary).unwrap();
    let mut escaped_ascii = String::new();
    for unit in canary.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => escaped_ascii.push(char::from(byte)),
            Ok(_) | Err(_) => write!(escaped_ascii, "\\u{unit:04x}").unwrap(),
        }
    }
    let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
    let mut forms = vec![
        canary.to_owned(),
        escaped.trim_matches('"').to_owned(),
        escaped_ascii,
        hex::encode(bytes),
        hex::encode_upper(bytes),
        numbers.join(", "),
        numbers.join(","),
    ];
    for inside in base64_inside(bytes) {
        forms.push(inside.replace('+', "-").replace('/', "_"));
        forms.push(inside);
    }
    forms.sort();
    forms.dedup();
    forms.into_iter().map(String::into_bytes).collect()
}

/// The canaries of a run.
#[derive(Default)]
pub(crate) struct Canaries(Vec<String>);

impl Canaries {
    /// Adds one, and gives it back. Short ones would be found by chance.
    pub(crate) fn add(&mut self, canary: impl Into<String>) -> String {
        let canary = canary.into();
        assert!(canary.len() >= 8, "{canary} is too short for a canary");
        if !self.0.contains(&canary) {
            self.0.push(canary.clone());
        }
        canary
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Those that are found in any form.
    pub(crate) fn found_in(&self, haystack: &[u8]) -> Vec<&str> {
        let found = |canary: &&String| {
            let forms = forms(canary);
            forms.iter().any(|form| Finder::new(form).find(haystack).is_some())
        };
        self.0.iter().filter(found).map(String::as_str).collect()
    }
}

#[test]
fn g8_the_search_finds_a_canary_in_every_form() {
    let mut canaries = Canaries::default();
    let canary = canaries.add("Kanarienvögel \"+1\"/7");
    let bytes = canary.as_bytes();
    assert_eq!(base64(b"light work."), "bGlnaHQgd29yay4");
    let mut haystacks = vec![
        canary.clone(),
        serde_json::json!({"a": {"b": canary}}).to_string(),
        format!("{:?}", bytes),
        hex::encode(bytes),
        hex::encode_upper(bytes),
        r#"{"text":"Kanarienv\u00f6gel "+1"/7"}"#.to_owned(),
    ];
    for before in 0..3 {
        for after in 0..3 {
            let text =
                ["x".repeat(before).as_bytes(), bytes, "y".repeat(after).as_bytes()].concat();
            haystacks.push(base64(&text));
        }
    }
    for haystack in haystacks {
        assert_eq!(canaries.found_in(haystack.as_bytes()), [&canary], "{haystack}");
    }
    assert!(canaries.found_in(b"Kanarienvogel, hex 4b616e617269, S2FuYXJpZW4").is_empty());
}
