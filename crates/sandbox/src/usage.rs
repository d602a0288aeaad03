//! The calls of an hour, and the headers that tell an app how much of its limits it has used.
//!
//! `X-App-Usage` stands on every answer of the API, `X-Business-Use-Case-Usage` on the answers to sends and on errors
//! that name a wait. Percent, and minutes. Source: platform facts, section 4 (headers).

use axum::http::{HeaderMap, HeaderName};
use serde_json::{Value, json};

use crate::graph_error::GraphError;
use crate::limits::{Usage, minutes};
use crate::request::Route;
use crate::state::Hub;

const APP: HeaderName = HeaderName::from_static("x-app-usage");
const BUSINESS: HeaderName = HeaderName::from_static("x-business-use-case-usage");

/// Counts a call of the API; downloads from the media hosts are none.
pub(crate) fn count(hub: &Hub, route: &Route) -> Result<(), GraphError> {
    if !is_api(route) {
        return Ok(());
    }
    let mut state = hub.lock();
    let (clock, most) = (state.clock.clone(), state.settings.limits.calls_per_hour);
    state.hour.count(&clock, most).map_err(|wait| GraphError {
        regain_minutes: Some(minutes(wait)),
        ..GraphError::app_throttle()
    })
}

/// Puts the headers onto an answer.
pub(crate) fn tell(hub: &Hub, account: Option<&str>, route: &Route, headers: &mut HeaderMap) {
    if !is_api(route) {
        return;
    }
    let state = hub.lock();
    let counted = Usage::of_calls(state.hour.percent(state.settings.limits.calls_per_hour));
    let usage = state.settings.usage.unwrap_or(counted);
    drop(state);
    put(headers, APP, &percents(usage));
    if let (Some(account), Route::Messages(_), false) =
        (account, route, headers.contains_key(BUSINESS))
    {
        put(headers, BUSINESS, &business(hub, account, usage));
    }
}

/// Puts the header of an account that has to wait onto an error.
pub(crate) fn tell_throttled(
    hub: &Hub,
    account: Option<&str>,
    regain_minutes: u32,
    headers: &mut HeaderMap,
) {
    let usage = Usage { call_count: 100, total_time: 25, total_cputime: 25, regain_minutes };
    put(headers, BUSINESS, &business(hub, account.unwrap_or("0"), usage));
}

fn is_api(route: &Route) -> bool {
    !matches!(route, Route::LookAside | Route::Cdn(_))
}

fn percents(usage: Usage) -> Value {
    json!({
        "call_count": usage.call_count,
        "total_time": usage.total_time,
        "total_cputime": usage.total_cputime,
    })
}

fn business(hub: &Hub, account: &str, usage: Usage) -> Value {
    let mut entry = percents(usage);
    if let Some(fields) = entry.as_object_mut() {
        fields.insert("type".into(), json!(hub.kind.word()));
        fields.insert("estimated_time_to_regain_access".into(), json!(usage.regain_minutes));
    }
    json!({ account: [entry] })
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &Value) {
    if let Ok(value) = value.to_string().parse() {
        headers.insert(name, value);
    }
}
