//! An answer that is no success, read whole: body, status, headers. PLATFORMS.md section 5.

use crate::classes::{Network, classify};
use crate::usage::retry_after;
use crate::{IdText, Text};
use interline_bridge_api::{Certainty, Class, Failure, Response, Scope};
use serde::Deserialize;

/// `{"error": {…}}`, as far as it decides anything. Its words may quote the request: never for a log line.
#[derive(Clone, PartialEq, Eq)]
pub struct ErrorBody {
    /// `code`.
    pub code: i64,
    /// `error_subcode`.
    pub subcode: Option<i64>,
    /// `is_transient`.
    pub is_transient: bool,
    /// `message`.
    pub message: String,
    /// `error_data.details`: WhatsApp's explanation.
    pub details: Option<String>,
}

impl std::fmt::Debug for ErrorBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ErrorBody")
            .field("code", &self.code)
            .field("subcode", &self.subcode)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Native<'a> {
    #[serde(borrow)]
    error: NativeError<'a>,
}

#[derive(Deserialize)]
struct NativeError<'a> {
    #[serde(borrow)]
    code: IdText<'a>,
    #[serde(borrow, default)]
    error_subcode: Option<IdText<'a>>,
    #[serde(default)]
    is_transient: Option<bool>,
    #[serde(borrow, default)]
    message: Option<Text<'a>>,
    #[serde(borrow, default)]
    error_data: Option<&'a serde_json::value::RawValue>,
}

#[derive(Deserialize)]
struct NativeData {
    details: Option<String>,
}

/// Reads a Graph error body; nothing if it is none (an HTML page, an empty answer, a success).
pub fn parse_error(body: &[u8]) -> Option<ErrorBody> {
    let native: Native<'_> = serde_json::from_slice(body).ok()?;
    let error = native.error;
    let details = error
        .error_data
        .and_then(|raw| serde_json::from_str::<NativeData>(raw.get()).ok())
        .and_then(|data| data.details);
    Some(ErrorBody {
        code: error.code.as_str().parse().ok()?,
        subcode: error.error_subcode.and_then(|subcode| subcode.as_str().parse().ok()),
        is_transient: error.is_transient.unwrap_or_default(),
        message: error.message.map(Text::into_owned).unwrap_or_default(),
        details,
    })
}

/// What an answer without the hoped-for content means.
///
/// A Graph error body says by its code what happened, and that nothing was sent. Without one the status decides:
/// a 4xx says no; a 5xx, or a 2xx that cannot be read, leaves open whether the message went out.
pub fn failure_of(network: Network, response: &Response) -> Failure {
    let mut failure = match parse_error(&response.body) {
        Some(error) => {
            let status = response.status;
            classify(network, status, error.code, error.subcode, error.is_transient)
        }
        None => failure_of_status(response.status),
    };
    // The usage headers ride on every answer; a wait that they name is about throttling and outages alone.
    if matches!(failure.class, Class::Throttle | Class::Retryable) {
        failure.retry_after = failure.retry_after.max(retry_after(response));
    }
    failure
}

fn failure_of_status(status: u16) -> Failure {
    let (class, scope, certainty) = match status {
        401 => (Class::Reauth, Scope::Account, Certainty::NotSent),
        403 => (Class::Config, Scope::Account, Certainty::NotSent),
        429 => (Class::Throttle, Scope::Account, Certainty::NotSent),
        408 | 425 => (Class::Retryable, Scope::Request, Certainty::NotSent),
        // A redirect, a wrong path or a wrong method: `api_url` is not the API.
        300..=399 | 404 | 405 => (Class::Config, Scope::Request, Certainty::NotSent),
        400..=499 => (Class::Permanent, Scope::Request, Certainty::NotSent),
        // 2xx without the ids, 5xx from anywhere on the way, and whatever else proxies invent.
        _ => (Class::Retryable, Scope::Request, Certainty::MaybeSent),
    };
    Failure {
        class,
        scope,
        retry_after: None,
        certainty,
        code: None,
        subcode: None,
        http_status: status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn check(status: u16, body: &str, class: Class, certainty: Certainty) -> Failure {
        let response = Response { status, headers: Vec::new(), body: body.into() };
        let failure = failure_of(Network::Messenger, &response);
        assert_eq!((failure.class, failure.certainty), (class, certainty), "{status} {body}");
        failure
    }

    #[test]
    fn an_answer_without_a_graph_body_leaves_a_send_uncertain_unless_the_status_says_no() {
        check(502, "<html>Bad Gateway</html>", Class::Retryable, Certainty::MaybeSent);
        check(503, "", Class::Retryable, Certainty::MaybeSent);
        check(200, "<html>", Class::Retryable, Certainty::MaybeSent);
        check(200, "{}", Class::Retryable, Certainty::MaybeSent);
        check(429, "", Class::Throttle, Certainty::NotSent);
        check(401, "", Class::Reauth, Certainty::NotSent);
        check(403, "", Class::Config, Certainty::NotSent);
        check(404, "", Class::Config, Certainty::NotSent);
        check(413, "", Class::Permanent, Certainty::NotSent);
        check(302, "", Class::Config, Certainty::NotSent);
    }

    #[test]
    fn a_graph_body_says_that_nothing_was_sent_but_for_the_one_that_says_it_was() {
        check(500, r#"{"error":{"code":2}}"#, Class::Retryable, Certainty::NotSent);
        let sent = r#"{"error":{"code":1,"error_subcode":1357046}}"#;
        check(500, sent, Class::Permanent, Certainty::Sent);
    }

    #[test]
    fn codes_are_read_as_numbers_or_strings_and_words_are_kept() {
        let body =
            br#"{"error":{"message":"m words","code":"131009","error_subcode":7,"is_transient":true,
            "error_data":{"messaging_product":"whatsapp","details":"d"}}}"#;
        let error = parse_error(body).unwrap();
        assert_eq!((error.code, error.subcode, error.is_transient), (131_009, Some(7), true));
        assert_eq!((error.message.as_str(), error.details.as_deref()), ("m words", Some("d")));
        assert!(!format!("{error:?}").contains("m words"), "its words stay out of logs");
        assert!(parse_error(b"[]").is_none());
        assert!(parse_error(br#"{"error":"x"}"#).is_none());
    }

    #[test]
    fn a_throttle_waits_as_long_as_the_headers_ask() {
        let headers = vec![("retry-after".to_owned(), "90".to_owned())];
        let body = br#"{"error":{"code":4}}"#.to_vec();
        let failure = failure_of(
            Network::WhatsApp,
            &Response { status: 400, headers: headers.clone(), body },
        );
        assert_eq!(failure.retry_after, Some(Duration::from_secs(90)));
        let body = br#"{"error":{"code":190}}"#.to_vec();
        let failure = failure_of(Network::WhatsApp, &Response { status: 401, headers, body });
        assert_eq!(failure.retry_after, None);
    }
}
