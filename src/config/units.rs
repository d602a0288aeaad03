//! Durations (`"30s"`) and byte sizes (`"4MiB"`) as people write them.

use std::time::Duration;

/// The suffix of each unit and its length in milliseconds, the largest first.
const DURATION_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
/// The suffix of each unit and its bytes, the largest first.
const SIZE_UNITS: [(&str, u64); 4] =
    [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Reads `"250ms"`, `"30s"`, `"5m"`, `"12h"`, `"7d"`. A number alone is refused: nobody knows its unit.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    parse(text, &DURATION_UNITS).map(Duration::from_millis)
}

/// Reads `"4MiB"`, `"64KiB"`, `"512B"`.
pub(super) fn parse_bytes(text: &str) -> Option<u64> {
    parse(text, &SIZE_UNITS)
}

/// The shortest form that [`parse_duration`] reads back.
pub(crate) fn show_duration(duration: Duration) -> String {
    show(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), &DURATION_UNITS)
}

/// The shortest form that [`parse_bytes`] reads back.
pub(super) fn show_bytes(bytes: u64) -> String {
    show(bytes, &SIZE_UNITS)
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, suffix) = text.split_at(digits_end);
    let (_, factor) = units.iter().find(|(unit, _)| *unit == suffix.trim_start())?;
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

fn show(value: u64, units: &[(&str, u64)]) -> String {
    let whole = units.iter().find(|(_, factor)| value != 0 && value.is_multiple_of(*factor));
    let (unit, factor) = whole.or(units.last()).copied().unwrap_or(("", 1));
    format!("{}{unit}", value / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_come_back_as_they_were_written() {
        for (text, ms) in [("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("12h", 43_200_000)] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(ms)));
            assert_eq!(show_duration(Duration::from_millis(ms)), text);
        }
        assert_eq!(parse_duration("7 d"), Some(Duration::from_secs(7 * 86_400)));
        for bad in ["", "30", "s", "-1s", "1.5s", "1 fortnight", "99999999999999999999s", "30sec"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_have_binary_units() {
        assert_eq!(parse_bytes("4MiB"), Some(4 * 1024 * 1024));
        assert_eq!(show_bytes(4 * 1024 * 1024), "4MiB");
        assert_eq!(show_bytes(1000), "1000B");
        assert_eq!(show_bytes(0), "0B");
        for bad in ["4MB", "4", "MiB", "18446744073709551615GiB"] {
            assert_eq!(parse_bytes(bad), None, "{bad}");
        }
    }
}
