//! The bounds of a webhook body, before anything is parsed (G9, G10).

use interline_bridge_api::BodyError;
use interline_envelope::{BODY_BYTES_MAX, NESTING_MAX};

/// Checks length and nesting of `body` in one pass, without allocation and without recursion.
///
/// # Errors
/// [`BodyError::TooLarge`], or [`BodyError::Json`] if it nests deeper than [`NESTING_MAX`].
pub fn check_body(body: &[u8]) -> Result<(), BodyError> {
    if body.len() > BODY_BYTES_MAX {
        return Err(BodyError::TooLarge { bytes: body.len() });
    }
    // Fewer opening brackets than levels: nothing can be too deep. This holds for every single event.
    if opened_brackets(body) > NESTING_MAX && nests_too_deeply(body) {
        let error = format!("it nests deeper than {NESTING_MAX} levels");
        return Err(BodyError::Json(serde::de::Error::custom(error)));
    }
    Ok(())
}

/// Counts `{` and `[` in one-byte sums, sixteen bytes at a time on common processors: every event passes here.
fn opened_brackets(body: &[u8]) -> usize {
    // The two differ in one bit, which is set in `{`; no other byte becomes `{` by setting it.
    let of_chunk =
        |chunk: &[u8]| chunk.iter().fold(0_u8, |sum, byte| sum + u8::from(byte | 0x20 == b'{'));
    body.chunks(usize::from(u8::MAX)).map(|chunk| usize::from(of_chunk(chunk))).sum()
}

fn nests_too_deeply(body: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > NESTING_MAX {
                    return true;
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Why a piece of JSON could not be read, without its content: serde's own message quotes the value.
pub fn reason_of(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Data => "a field is missing or of another type",
        serde_json::error::Category::Syntax => "not JSON",
        serde_json::error::Category::Eof => "cut off",
        serde_json::error::Category::Io => "not readable",
    };
    format!("{what}, line {} column {}", error.line(), error.column())
}

/// The error of a whole body: JSON of another shape is foreign, everything else is not JSON.
pub fn foreign_or_json(expected: &'static str, error: serde_json::Error) -> BodyError {
    if error.is_data() {
        return BodyError::Foreign { expected, why: reason_of(&error) };
    }
    BodyError::Json(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_over_the_limit_is_refused_with_its_length() {
        let body = vec![b' '; BODY_BYTES_MAX + 1];
        let error = check_body(&body).unwrap_err();
        assert!(matches!(error, BodyError::TooLarge { bytes } if bytes == body.len()));
    }

    #[test]
    fn nesting_is_bounded_and_brackets_in_strings_do_not_count() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(check_body(deep(NESTING_MAX).as_bytes()).is_ok());
        let error = check_body(deep(NESTING_MAX + 1).as_bytes()).unwrap_err();
        assert!(error.to_string().contains("nests deeper than 128"), "{error}");
        let text = format!(r#"{{"a":"{}\"{}"}}"#, "[".repeat(300), "{".repeat(300));
        assert!(check_body(text.as_bytes()).is_ok());
        assert!(check_body("[]".repeat(1000).as_bytes()).is_ok());
    }

    #[test]
    fn only_opening_brackets_are_counted() {
        let all: Vec<u8> = (0..=u8::MAX).collect();
        assert_eq!(opened_brackets(&all), 2);
        assert_eq!(opened_brackets(&vec![b'['; 1000]), 1000);
        assert_eq!(opened_brackets(b""), 0);
    }

    #[test]
    fn a_reason_never_quotes_the_value() {
        let error = serde_json::from_str::<u64>("\"my secret\"").unwrap_err();
        assert!(error.to_string().contains("secret"));
        assert!(!reason_of(&error).contains("secret"));
        let shown = foreign_or_json("whatsapp", error).to_string();
        assert!(!shown.contains("secret"), "{shown}");
    }
}
