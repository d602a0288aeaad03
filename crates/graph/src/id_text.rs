//! Texts and ids as they stand in webhooks, borrowed from the body where that is possible.
//!
//! PLATFORMS.md section 3: ids are opaque texts with exact digits; `app_id`, `sticker_id`, `reel_video_id` come as
//! JSON numbers, possibly beyond 2^53, and must never pass through a float.

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// A JSON string, borrowed from the body if it has no escapes. (`Cow` alone would always copy inside an `Option`.)
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Text<'a>(Cow<'a, str>);

/// An id that came as a JSON string or as an integer, with its exact digits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct IdText<'a>(Cow<'a, str>);

macro_rules! text_like {
    ($name:ident) => {
        impl<'a> $name<'a> {
            /// Wraps a text.
            pub fn new(text: impl Into<Cow<'a, str>>) -> Self {
                Self(text.into())
            }

            /// The text. It may belong to a person: never for a log line.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Takes the text out, copying it if it is borrowed.
            pub fn into_owned(self) -> String {
                self.0.into_owned()
            }

            /// Nothing if it is empty: older drafts send empty strings for absent ids.
            pub fn non_empty(&self) -> Option<&str> {
                (!self.0.is_empty()).then_some(&*self.0)
            }
        }

        impl std::fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("<redacted>")
            }
        }
    };
}
text_like!(Text);
text_like!(IdText);

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }
    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Borrowed(text)))
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
    fn visit_string<E: Error>(self, text: String) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(text)))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

impl<'a> IdText<'a> {
    /// Reads a raw JSON value; nothing unless it is a string or an integer.
    pub fn from_raw(raw: &'a RawValue) -> Option<Self> {
        let json = raw.get();
        if let Some(rest) = json.strip_prefix('"') {
            let inner = rest.strip_suffix('"')?;
            if inner.contains('\\') {
                return serde_json::from_str(json).ok().map(|text: String| Self(Cow::Owned(text)));
            }
            return Some(Self(Cow::Borrowed(inner)));
        }
        let digits = json.strip_prefix('-').unwrap_or(json);
        let is_integer = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_integer.then_some(Self(Cow::Borrowed(json)))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for IdText<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(deserializer)?;
        // Nothing of the value stands in the message: it may be a person's id.
        IdText::from_raw(raw).ok_or_else(|| Error::custom("an id is a string or an integer"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_id(json: &str, expected: Option<&str>) {
        let id = serde_json::from_str::<IdText<'_>>(json).ok();
        assert_eq!(id.as_ref().map(IdText::as_str), expected, "{json}");
    }

    #[test]
    fn ids_keep_their_exact_digits_whatever_their_json_type_is() {
        check_id("\"263902037430900\"", Some("263902037430900"));
        check_id("263902037430900", Some("263902037430900"));
        check_id("9007199254740993", Some("9007199254740993"));
        check_id("18446744073709551617", Some("18446744073709551617"));
        let long = "7".repeat(60);
        check_id(&long, Some(&long));
        check_id("\"00123\"", Some("00123"));
        check_id("-5", Some("-5"));
    }

    #[test]
    fn an_escaped_id_equals_its_plain_form() {
        check_id(r#""a\/b\u0041""#, Some("a/bA"));
        check_id(r#""""#, Some(""));
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for json in ["1.5", "1e17", "true", "{}", "[]"] {
            check_id(json, None);
        }
        let absent: Option<IdText<'_>> = serde_json::from_str("null").unwrap();
        assert!(absent.is_none());
    }

    #[test]
    fn a_plain_text_is_borrowed_and_an_escaped_one_copied() {
        let plain: Option<Text<'_>> = serde_json::from_str(r#""hello""#).unwrap();
        assert!(matches!(plain, Some(Text(Cow::Borrowed("hello")))));
        let escaped: Text<'_> = serde_json::from_str(r#""h\u00e9""#).unwrap();
        assert_eq!(escaped.as_str(), "hé");
        assert_eq!(format!("{escaped:?}"), "<redacted>");
    }
}
