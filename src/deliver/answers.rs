//! Requests that leave through a queue, and the answers of the platform's backend on their way back.
//!
//! The request goes to `interline.egress.<platform>`; the answer comes to the platform's events queue with AMQP type
//! `interline.answer` and our marker as correlation id. The relay takes it from there and hands it over here.

use super::http::TransportError;
use crate::wire::{Marker, TYPE_REQUEST};
use interline_bridge_api::{Bridge, Method, Outcome, Request, RequestBody, Response};
use interline_broker::{Delivery, OutMessage, Properties, Publisher};
use interline_store::{Store, StoreError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tracing::{debug, warn};

/// Everybody who waits for an answer, by marker. Bounded by the requests under way.
#[derive(Clone, Debug, Default)]
pub struct Answers(Arc<Mutex<HashMap<String, oneshot::Sender<Response>>>>);

/// A rendered request on an egress queue, without credentials.
#[derive(Serialize, JsonSchema)]
pub(crate) struct EgressRequest<'a> {
    /// The HTTP method.
    method: Method,
    /// The path below the API's address, without a leading slash.
    route: &'a str,
    /// Query parameters, in order.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    query: &'a [(String, String)],
    /// Headers besides the content type and the credentials, in order.
    headers: &'a [(String, String)],
    /// The JSON body; null for none.
    body: Option<&'a Value>,
    /// The correlation id that the answer has to carry.
    marker: &'a str,
}

/// What a platform's backend answers to a request.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct EgressAnswer {
    /// The HTTP status.
    status: u16,
    /// The headers.
    #[serde(default)]
    headers: HashMap<String, String>,
    /// The body: a JSON value, or its text.
    #[serde(default)]
    body: Value,
}

impl Answers {
    /// Publishes a request and waits for its answer.
    pub(super) async fn ask(
        &self,
        publisher: &Publisher,
        queue: String,
        request: &Request,
        timeout: Duration,
    ) -> Result<Response, TransportError> {
        let marker = request.marker.clone().unwrap_or_default();
        let body = match &request.body {
            RequestBody::Json(body) => Some(body),
            RequestBody::Empty => None,
            // A file cannot ride on this queue: such media were sent by URL, or as a line of text.
            RequestBody::Multipart { .. } => return Err(TransportError::Unbuildable(None)),
        };
        let wire = EgressRequest {
            method: request.method,
            route: &request.route,
            query: &request.query,
            headers: &request.headers,
            body,
            marker: &marker,
        };
        let body = serde_json::to_vec(&wire).map_err(|_| TransportError::Unbuildable(None))?;
        let (tell, told) = oneshot::channel();
        self.lock().insert(marker.clone(), tell);
        let _listening = Listening { answers: self, marker: &marker };
        publisher
            .publish(request_message(queue, &marker, body))
            .await
            .map_err(TransportError::Egress)?;
        match tokio::time::timeout(timeout, told).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(_)) | Err(_) => Err(TransportError::NoEgressAnswer),
        }
    }

    /// Hands an answer to whoever waits for it. Where nobody does any more (the daemon was started anew), a success
    /// is recorded by its marker; a failure is left to `settle_timeout`.
    ///
    /// # Errors
    /// [`StoreError`] if a success cannot be recorded: the answer must not be acknowledged.
    pub(crate) async fn hand_over(
        &self,
        bridge: &dyn Bridge,
        store: &dyn Store,
        delivery: &Delivery,
    ) -> Result<(), StoreError> {
        let correlation_id = delivery.correlation_id().unwrap_or_default();
        let Some(marker) = Marker::parse(correlation_id) else {
            warn!(
                disposition = "absorbed",
                "an answer without a marker of ours as its correlation id"
            );
            return Ok(());
        };
        let Some(response) = read(&delivery.body) else {
            warn!(
                disposition = "absorbed",
                "an answer that is not {{status, headers, body}}; its request times out"
            );
            return Ok(());
        };
        // Durable before the answer is acknowledged: a crash in this moment must not make the send uncertain.
        let plan = store.plan_of(marker.dispatch, marker.request).await?;
        let request = plan.and_then(|plan| serde_json::from_slice::<Request>(&plan).ok());
        let interpret = |request| bridge.interpret(&request, &response);
        // A panic of the codec shows again where the answer is waited for (G10).
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| request.map(interpret)));
        if let Ok(Some(Outcome::Sent { native_ids })) = outcome {
            store.settle(marker.dispatch, marker.request, native_ids).await?;
        }
        let waiting = self.lock().remove(correlation_id);
        if waiting.is_none_or(|waiting| waiting.send(response).is_err()) {
            debug!("an answer came that nobody waits for any more");
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, oneshot::Sender<Response>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An encoded [`EgressRequest`] as it goes to an egress queue, through the default exchange.
pub(crate) fn request_message(queue: String, marker: &str, body: Vec<u8>) -> OutMessage {
    OutMessage {
        exchange: String::new(),
        routing_key: queue,
        body: body.into(),
        properties: Properties {
            message_id: Some(marker.to_owned()),
            correlation_id: Some(marker.to_owned()),
            kind: Some(TYPE_REQUEST.into()),
            content_type: Some("application/json".into()),
            ..Properties::default()
        },
    }
}

/// Takes the entry away again, however the wait ends.
struct Listening<'a> {
    answers: &'a Answers,
    marker: &'a str,
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.answers.lock().remove(self.marker);
    }
}

fn read(body: &[u8]) -> Option<Response> {
    let answer: EgressAnswer = serde_json::from_slice(body).ok()?;
    let headers = answer
        .headers
        .into_iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .collect();
    let body = match answer.body.as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => serde_json::to_vec(&answer.body).ok()?,
    };
    Some(Response { status: answer.status, headers, body })
}
