//! Bytes as Meta sends them, and their signature.
//!
//! Compact JSON, non-ASCII as `\uXXXX` with lower-case hex (surrogate pairs above the BMP), `/` as `\/`.
//! `X-Hub-Signature-256` is an HMAC-SHA256 over exactly these bytes. Source: platform facts, section 2.

use std::io;

use hmac::{Hmac, Mac};
use serde::Serialize as _;
use serde_json::Value;
use serde_json::ser::{Formatter, Serializer};
use sha2::Sha256;

struct MetaStyle;

impl Formatter for MetaStyle {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        let mut units = [0; 2];
        for character in fragment.chars() {
            if character == '/' {
                writer.write_all(b"\\/")?;
            } else if character.is_ascii() {
                writer.write_all(&[u8::try_from(character).unwrap_or(b'?')])?;
            } else {
                for unit in character.encode_utf16(&mut units) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

/// `body` as Meta writes it.
pub(crate) fn meta_bytes(body: &Value) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    let mut serializer = Serializer::with_formatter(&mut bytes, MetaStyle);
    if let Err(error) = body.serialize(&mut serializer) {
        // Writing a `Value` into memory has no way to fail; an empty body would show in every test.
        tracing::error!(%error, "a webhook body could not be written");
        bytes.clear();
    }
    bytes
}

/// The value of `X-Hub-Signature-256` for `body`.
#[must_use]
pub fn signature(app_secret: &str, body: &[u8]) -> String {
    format!("sha256={}", hmac_hex(app_secret.as_bytes(), body))
}

pub(crate) fn hmac_hex(key: &[u8], body: &[u8]) -> String {
    // HMAC takes a key of any length, so there is no error to see here.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bodies_are_compact_with_escaped_slashes_and_lower_case_escapes() {
        let body = json!({"text": "äöå 👍 https://example.com/a\n\"q\" \\ \u{1}"});
        assert_eq!(
            String::from_utf8(meta_bytes(&body)).unwrap(),
            r#"{"text":"\u00e4\u00f6\u00e5 \ud83d\udc4d https:\/\/example.com\/a\n\"q\" \\ \u0001"}"#
        );
        assert_eq!(serde_json::from_slice::<Value>(&meta_bytes(&body)).unwrap(), body);
    }
}
