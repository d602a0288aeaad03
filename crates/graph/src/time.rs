//! Timestamps. PLATFORMS.md section 2, "Timestamps": number or numeric string; below 10^11 it is seconds, else
//! milliseconds; some fixtures have ISO-8601.

use serde::de::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A timestamp in any of the platforms' forms, in milliseconds since the Unix epoch; nothing if it cannot be read.
/// Deserialising it never fails: a message with a broken clock is still a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub Option<i64>);

/// Below this a number counts seconds.
const SECONDS_BELOW: i64 = 100_000_000_000;

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&'de RawValue>::deserialize(deserializer)?.get();
        let text = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(json);
        Ok(Self(millis_of_text(text)))
    }
}

/// Reads `1718200000`, `1718200000123`, `2026-03-01T12:00:00.5Z` and `2026-03-01T12:00:00+0200`.
pub fn millis_of_text(text: &str) -> Option<i64> {
    let text = text.trim();
    // A fraction of a second or millisecond is cut off.
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    if !whole.is_empty() && whole.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: i64 = whole.parse().ok()?;
        return if number < SECONDS_BELOW { number.checked_mul(1000) } else { Some(number) };
    }
    iso_millis(text)
}

fn iso_millis(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let mut date_fields = date.splitn(3, '-').map(digits);
    let (year, month, day) = (date_fields.next()??, date_fields.next()??, date_fields.next()??);
    let zone_at = rest.find(['Z', 'z', '+', '-']);
    let (clock, zone) = zone_at.and_then(|at| rest.split_at_checked(at)).unwrap_or((rest, "Z"));
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut clock_fields = clock.splitn(3, ':').map(digits);
    let hour = clock_fields.next()??;
    let minute = clock_fields.next()??;
    let second = clock_fields.next().unwrap_or(Some(0))?;
    let in_range = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !in_range {
        return None;
    }
    digits(fraction)?;
    let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some((seconds - zone_seconds(zone)?) * 1000 + digits(&thousandths)?)
}

/// At most twelve decimal digits.
fn digits(text: &str) -> Option<i64> {
    let plain = !text.is_empty() && text.len() <= 12 && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

fn zone_seconds(zone: &str) -> Option<i64> {
    let (sign, offset) = match (zone.strip_prefix('+'), zone.strip_prefix('-')) {
        (Some(offset), _) => (1, offset),
        (_, Some(offset)) => (-1, offset),
        (None, None) => return zone.eq_ignore_ascii_case("z").then_some(0),
    };
    let plain: String = offset.chars().filter(|c| *c != ':').collect();
    let number = digits(&plain)?;
    let (hours, minutes) = match plain.len() {
        2 => (number, 0),
        4 => (number / 100, number % 100),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Days since 1970-01-01 of a Gregorian date. Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_timestamp_reads_as_milliseconds() {
        for (json, expected) in [
            ("\"1750000000\"", Some(1_750_000_000_000)),
            ("1750000000", Some(1_750_000_000_000)),
            ("1750000000123", Some(1_750_000_000_123)),
            ("\"1750000000123\"", Some(1_750_000_000_123)),
            ("99999999999", Some(99_999_999_999_000)),
            ("100000000000", Some(100_000_000_000)),
            ("1750000000.75", Some(1_750_000_000_000)),
            ("\"1970-01-01T00:00:00Z\"", Some(0)),
            ("\"2025-06-15T15:06:40.123Z\"", Some(1_750_000_000_123)),
            ("\"2025-06-15T17:06:40+0200\"", Some(1_750_000_000_000)),
            ("\"2025-06-15T09:36:40.5-05:30\"", Some(1_750_000_000_500)),
            ("\"2024-02-29T00:00:00Z\"", Some(1_709_164_800_000)),
            ("\"asdf\"", None),
            ("\"\"", None),
            ("-5", None),
            ("1e12", None),
            ("{}", None),
            ("null", None),
            ("\"99999999999999999999999\"", None),
            ("\"2025-13-15T15:06:40Z\"", None),
        ] {
            assert_eq!(serde_json::from_str::<Millis>(json).unwrap().0, expected, "{json}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC*|[0-9TZ:+. -]*") {
            let _ = millis_of_text(&text);
        }
    }
}
