//! Which bytes of a medium are asked for (RFC 9110, section 14).

/// What a `Range` header asks of a file of known length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it.
    All,
    /// From the first of these bytes to the last, both included.
    Part { first: u64, last: u64 },
    /// Nothing that there is.
    Unsatisfiable,
}

/// Reads a header. What is no single range of bytes asks for all, as the RFC allows.
pub(super) fn wanted(header: Option<&str>, length: u64) -> Wanted {
    let Some((first, last)) = header.and_then(parsed) else { return Wanted::All };
    let (first, last) = match (first, last) {
        (Some(first), last) => (first, last.unwrap_or(u64::MAX)),
        (None, Some(0)) => return Wanted::Unsatisfiable,
        (None, Some(count)) => (length.saturating_sub(count), u64::MAX),
        (None, None) => return Wanted::All,
    };
    if last < first {
        return Wanted::All;
    }
    if first >= length {
        return Wanted::Unsatisfiable;
    }
    Wanted::Part { first, last: last.min(length - 1) }
}

fn parsed(header: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (unit, range) = header.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    let number = |text: &str| -> Option<Option<u64>> {
        if text.is_empty() {
            return Some(None);
        }
        // A sign or a comma is no digit.
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())
    };
    let found = (number(first)?, number(last)?);
    // A number that is too large for us is beyond every file.
    let huge = |text: &str, number: Option<u64>| {
        if text.is_empty() { None } else { Some(number.unwrap_or(u64::MAX)) }
    };
    Some((huge(first, found.0), huge(last, found.1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_the_rfc_says() {
        let part = |first, last| Wanted::Part { first, last };
        for (header, wanted) in [
            ("bytes=0-499", part(0, 499)),
            ("bytes=500-", part(500, 999)),
            ("bytes=-100", part(900, 999)),
            ("bytes=-5000", part(0, 999)),
            ("bytes=999-", part(999, 999)),
            ("bytes=0-99999999999999999999999", part(0, 999)),
            ("BYTES=1-1", part(1, 1)),
            ("bytes=1000-", Wanted::Unsatisfiable),
            ("bytes=99999999999999999999999-", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=5-4", Wanted::All),
            ("bytes=-", Wanted::All),
            ("bytes=0-1,5-6", Wanted::All),
            ("bytes=+1-2", Wanted::All),
            ("lines=0-1", Wanted::All),
            ("nonsense", Wanted::All),
        ] {
            assert_eq!(super::wanted(Some(header), 1000), wanted, "{header}");
        }
        assert_eq!(wanted(None, 1000), Wanted::All);
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Unsatisfiable);
    }
}
