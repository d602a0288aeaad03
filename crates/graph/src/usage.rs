//! What the rate headers say. PLATFORMS.md section 4, "Rates", "Headers".

use interline_bridge_api::{Quota, Response};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// The longest wait that a platform's header can ask for.
const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How much of a quota is used, in percent, rounded up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of the calls.
    pub calls_percent: u32,
    /// Of the time.
    pub time_percent: u32,
    /// Of the processor time.
    pub cpu_percent: u32,
}

impl Usage {
    /// The quota that is nearest to its end.
    pub fn highest_percent(&self) -> u32 {
        self.calls_percent.max(self.time_percent).max(self.cpu_percent)
    }
}

/// One entry of `X-Business-Use-Case-Usage`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusinessUsage {
    /// The business object: a page, an Instagram account, a WhatsApp business account.
    pub id: String,
    /// The use case: `messenger`, `whatsapp`, …
    pub kind: String,
    /// How much is used.
    pub usage: Usage,
    /// How long calls are blocked; absent if they are not. (The header counts minutes.)
    pub blocked_for: Option<Duration>,
}

/// What an answer's headers say about quotas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageReport {
    /// `X-App-Usage`.
    pub app: Option<Usage>,
    /// `X-Business-Use-Case-Usage`: several ids, and several entries for each, are possible.
    pub business: Vec<BusinessUsage>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NativeUsage {
    call_count: f64,
    total_time: f64,
    total_cputime: f64,
    #[serde(rename = "type")]
    kind: String,
    estimated_time_to_regain_access: f64,
}

impl NativeUsage {
    fn usage(&self) -> Usage {
        Usage {
            calls_percent: whole(self.call_count),
            time_percent: whole(self.total_time),
            cpu_percent: whole(self.total_cputime),
        }
    }
}

/// Rounds up into `0..=u32::MAX`; what is no number is 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
fn whole(percent: f64) -> u32 {
    percent.ceil().clamp(0.0, f64::from(u32::MAX)) as u32
}

/// Reads both usage headers; one that is absent or unreadable is left out.
pub fn parse_usage(response: &Response) -> UsageReport {
    let app = response
        .header("x-app-usage")
        .and_then(|json| serde_json::from_str::<NativeUsage>(json).ok())
        .map(|native| native.usage());
    let business = response
        .header("x-business-use-case-usage")
        .and_then(|json| serde_json::from_str::<BTreeMap<String, Vec<NativeUsage>>>(json).ok())
        .unwrap_or_default()
        .into_iter()
        .flat_map(|(id, entries)| entries.into_iter().map(move |entry| (id.clone(), entry)))
        .map(|(id, native)| {
            let minutes = whole(native.estimated_time_to_regain_access);
            BusinessUsage {
                id,
                usage: native.usage(),
                blocked_for: (minutes > 0)
                    .then(|| Duration::from_secs(u64::from(minutes) * 60).min(WAIT_MAX)),
                kind: native.kind,
            }
        })
        .collect();
    UsageReport { app, business }
}

/// How long the platform asks to wait: the longest of `Retry-After` (seconds) and the times until the use cases
/// regain access, at most a day.
pub fn retry_after(response: &Response) -> Option<Duration> {
    let header = response
        .header("retry-after")
        .and_then(|seconds| seconds.trim().parse::<u64>().ok())
        .map(|seconds| Duration::from_secs(seconds).min(WAIT_MAX));
    let blocked = parse_usage(response).business.into_iter().filter_map(|entry| entry.blocked_for);
    blocked.chain(header).max()
}

/// How much of its quota the account has used: that of the many that is nearest to its end.
pub fn quota(response: &Response) -> Quota {
    // Nearly every answer has neither header, or one of them.
    let report = parse_usage(response);
    let business = report.business.iter().map(|entry| entry.usage);
    let highest = report.app.into_iter().chain(business).map(|usage| usage.highest_percent());
    Quota {
        used_percent: highest.max().unwrap_or_default(),
        blocked_for: report.business.iter().filter_map(|entry| entry.blocked_for).max(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(headers: &[(&str, &str)]) -> Response {
        let headers = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Response { status: 400, headers, body: Vec::new() }
    }

    #[test]
    fn both_usage_headers_are_read_with_all_their_ids_and_entries() {
        let report = parse_usage(&response(&[
            ("x-app-usage", r#"{"call_count":28,"total_time":25,"total_cputime":24.2}"#),
            (
                "x-business-use-case-usage",
                r#"{"1":[{"type":"messenger","call_count":100,"total_cputime":25,"total_time":25,
                "estimated_time_to_regain_access":19},{"type":"pages","call_count":1}],"2":[{}]}"#,
            ),
        ]));
        let app = Usage { calls_percent: 28, time_percent: 25, cpu_percent: 25 };
        assert_eq!(report.app, Some(app));
        assert_eq!(app.highest_percent(), 28);
        assert_eq!(report.business.len(), 3);
        let first = report.business.first().unwrap();
        assert_eq!((first.id.as_str(), first.kind.as_str()), ("1", "messenger"));
        assert_eq!(first.blocked_for, Some(Duration::from_secs(19 * 60)));
        assert_eq!(report.business.get(1).unwrap().blocked_for, None);
    }

    #[test]
    fn the_quota_that_is_nearest_to_its_end_counts() {
        let business = r#"{"1":[{"call_count":81.2}],"2":[{"total_time":90,
            "estimated_time_to_regain_access":3}]}"#;
        let app = ("x-app-usage", r#"{"call_count":28,"total_time":95,"total_cputime":2}"#);
        let of = |headers: &[(&str, &str)]| quota(&response(headers));
        let blocked_for = Some(Duration::from_secs(3 * 60));
        let both = of(&[app, ("x-business-use-case-usage", business)]);
        assert_eq!(both, Quota { used_percent: 95, blocked_for });
        let one = of(&[("x-business-use-case-usage", business)]);
        assert_eq!(one, Quota { used_percent: 90, blocked_for });
        assert_eq!(of(&[]), Quota::default());
    }

    #[test]
    fn the_longest_wait_counts_and_minutes_are_minutes() {
        let business = r#"{"1":[{"estimated_time_to_regain_access":2}]}"#;
        let both = response(&[("retry-after", "30"), ("x-business-use-case-usage", business)]);
        assert_eq!(retry_after(&both), Some(Duration::from_secs(2 * 60)));
        assert_eq!(retry_after(&response(&[("retry-after", "7")])), Some(Duration::from_secs(7)));
        assert_eq!(retry_after(&response(&[("retry-after", "99999999")])), Some(WAIT_MAX));
        assert_eq!(retry_after(&response(&[("retry-after", "Wed, 21 Oct 2026")])), None);
        assert_eq!(retry_after(&response(&[("x-business-use-case-usage", "no json")])), None);
        assert_eq!(retry_after(&response(&[])), None);
    }
}
