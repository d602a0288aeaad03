//! Several requests in one: `POST /` with `batch=[{"method", "relative_url", "body"}, …]`.
//!
//! They are done one after the other, each with the token of the whole or its own, and each has its status and its body,
//! which is JSON in a string. Ordered faults strike the whole only.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::endpoints::{Outcome, process};
use crate::graph_error::GraphError;
use crate::request::{Call, Route, read_form};
use crate::state::Hub;

/// The most requests of one batch.
const REQUESTS_MAX: usize = 50;

pub(crate) async fn run(hub: &Arc<Hub>, call: &Call) -> Result<Value, GraphError> {
    let Some(requests) = call.params.get("batch").and_then(Value::as_array) else {
        return Err(GraphError::unknown_path());
    };
    if requests.len() > REQUESTS_MAX {
        let words =
            format!("Too many requests in batch message. Maximum batch size is {REQUESTS_MAX}");
        return Err(GraphError::parameter(words));
    }
    let mut answers = Vec::new();
    for request in requests {
        let (code, body) = match one(hub, call, request).await {
            Ok(body) => (200, body),
            Err(error) => (error.status, error.body_json(hub.kind, hub.ids.trace())),
        };
        let header = json!({"name": "Content-Type", "value": "text/javascript; charset=UTF-8"});
        answers.push(json!({"code": code, "headers": [header], "body": body.to_string()}));
    }
    Ok(json!(answers))
}

async fn one(hub: &Arc<Hub>, whole: &Call, request: &Value) -> Result<Value, GraphError> {
    let text = |key: &str| request.get(key).and_then(Value::as_str);
    let (Some(method), Some(url)) = (text("method"), text("relative_url")) else {
        return Err(GraphError::parameter(
            "Each request of a batch has a method and a relative_url",
        ));
    };
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let mut params = Map::new();
    read_form(query.as_bytes(), &mut params);
    match request.get("body") {
        Some(Value::String(body)) => read_form(body.as_bytes(), &mut params),
        Some(Value::Object(body)) => params.extend(body.clone()),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_)) | None => {}
    }
    let own = params.remove("access_token").and_then(|token| token.as_str().map(str::to_owned));
    let token = own.or_else(|| whole.token.clone());
    let call = Call { route: Route::of(method, path), token, params, upload: None };
    process(hub, &call, None).await.map(Outcome::into_json)
}
