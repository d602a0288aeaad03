//! The AMQP contract as a document: AsyncAPI 3, made from the topology and from the messages that the stages build.
//!
//! Called by `cargo xtask schema`, which writes `docs/asyncapi.yaml`. Pure: no broker, no config. Names of headers are
//! never written here: they are read off messages that the stages' own code made.

use crate::dead::{self, DeadLetter, Reason, Stage};
use crate::deliver::{EgressAnswer, EgressRequest, request_message};
use crate::wire::{HEADER_REPLAYED, TYPE_ANSWER, TYPE_EVENT, traceparent};
use bytes::Bytes;
use interline_broker::topology::{DeadLetter as DeadLetterTo, Exchange, Queue, Topology};
use interline_broker::{HeaderValue, OutMessage, topology};
use interline_envelope::{AccountRef, DispatchId, Platform, PlatformError};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// The prefix of the config's default.
const PREFIX: &str = "interline";
const PLATFORM: &str = "{platform}";
const ACCOUNT: &str = "{account}";
/// The example in the documents.
const EXAMPLE_PLATFORM: &str = "whatsapp";
const EXAMPLE_ACCOUNT: &str = "106540352242922";

/// The AsyncAPI 3.0 document of the exchanges, queues and messages.
///
/// # Errors
/// Never, as long as the example platform above is a platform id.
pub fn asyncapi() -> Result<Value, PlatformError> {
    Ok(json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Interline",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The exchanges and queues between a platform's backend, Interline's stages and an \
                operator. Written by `cargo xtask schema` from the code. The prefix `interline` is the setting \
                `broker.prefix`. Every message is persistent and published as mandatory with publisher confirms.",
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels(),
        "operations": operations(),
        "components": {
            "messages": messages()?,
            "schemas": {
                "EgressRequest": inline_schema::<EgressRequest<'_>>(),
                "EgressAnswer": inline_schema::<EgressAnswer>(),
            },
        },
    }))
}

// -- channels: the topology

fn channels() -> Value {
    let topology = Topology::interline(PREFIX, &[PLATFORM], &[(PLATFORM, ACCOUNT)], &[PLATFORM]);
    let exchanges = topology.exchanges.iter().map(|exchange| exchange_channel(exchange, &topology));
    let queues = topology.queues.iter().map(|queue| queue_channel(queue, &topology));
    Value::Object(exchanges.chain(queues).collect())
}

/// What a channel is called in the document: `interline.events.{platform}` is `queue-events`.
fn channel_id(kind: &str, name: &str) -> String {
    let stem = name.trim_start_matches(PREFIX).trim_start_matches('.').split('.').next();
    format!("{kind}-{}", stem.unwrap_or_default())
}

fn exchange_channel(exchange: &Exchange, topology: &Topology) -> (String, Value) {
    let bound = topology.bindings.iter().filter(|binding| binding.exchange == exchange.name);
    let routes: Vec<Value> = bound
        .map(|binding| json!({"queue": binding.queue, "routingKey": binding.routing_key}))
        .collect();
    let id = channel_id("exchange", &exchange.name);
    let key = if exchange.name == topology::dead_exchange(PREFIX) {
        format!("{{stage}}.{}", topology::account_key(PLATFORM, ACCOUNT))
    } else {
        topology::account_key(PLATFORM, ACCOUNT)
    };
    let mut channel = Map::from_iter([
        ("title".to_owned(), json!(exchange.name)),
        ("address".to_owned(), json!(key)),
        ("parameters".to_owned(), parameters(&key)),
        ("messages".to_owned(), carried(&id)),
        ("x-routes".to_owned(), json!(routes)),
    ]);
    channel.insert(
        "bindings".to_owned(),
        json!({"amqp": {
            "is": "routingKey",
            "exchange": {"name": exchange.name, "type": "topic", "durable": true, "autoDelete": false},
        }}),
    );
    (id, Value::Object(channel))
}

fn queue_channel(queue: &Queue, topology: &Topology) -> (String, Value) {
    let bound = topology.bindings.iter().find(|binding| binding.queue == queue.name);
    let description = match (bound, &queue.dead_letter) {
        (Some(binding), _) => {
            format!("Bound to `{}` with `{}`.", binding.exchange, binding.routing_key)
        }
        (None, _) => "Published to through the default exchange.".to_owned(),
    };
    let given_up = queue.dead_letter.as_ref().map_or_else(String::new, |to: &DeadLetterTo| {
        format!(
            " What the broker itself gives up goes to `{}` with `{}`.",
            to.exchange, to.routing_key
        )
    });
    let id = channel_id("queue", &queue.name);
    let channel = json!({
        "title": queue.name,
        "address": queue.name,
        "description": format!("{description}{given_up}"),
        "parameters": parameters(&queue.name),
        "messages": carried(&id),
        "bindings": {"amqp": {
            "is": "queue",
            "queue": {"name": queue.name, "durable": true, "exclusive": false, "autoDelete": false},
        }},
        "x-arguments": queue.arguments(true),
    });
    (id, channel)
}

fn parameters(address: &str) -> Value {
    let known = [
        ("platform", "The bridge's id.", json!([EXAMPLE_PLATFORM])),
        ("account", "The account's id on the platform.", json!([EXAMPLE_ACCOUNT])),
        ("stage", "Where it died.", json!(Stage::ALL.map(Stage::as_str))),
    ];
    let used = known.into_iter().filter(|(name, ..)| address.contains(&format!("{{{name}}}")));
    used.map(|(name, description, examples)| {
        (name.to_owned(), json!({"description": description, "examples": examples}))
    })
    .collect()
}

/// Which messages travel where.
fn carried(channel: &str) -> Value {
    let names: &[&str] = match channel {
        "exchange-events" | "queue-events" => &["event", "answer"],
        "exchange-dispatch" | "queue-dispatch" => &["dispatch"],
        "queue-egress" => &["request"],
        _ => &["dead"],
    };
    names
        .iter()
        .map(|name| ((*name).to_owned(), json!({"$ref": format!("#/components/messages/{name}")})))
        .collect()
}

// -- operations: Interline's own view

fn operations() -> Value {
    let all = [
        ("ingest", "send", "exchange-events", "event", "A webhook's items, each once."),
        (
            "relay",
            "receive",
            "queue-events",
            "event",
            "Normalised, and bound for each participant.",
        ),
        ("relayAnswer", "receive", "queue-events", "answer", "Handed to the request that waits."),
        ("relayDispatch", "send", "exchange-dispatch", "dispatch", "One for each participant."),
        ("deliver", "receive", "queue-dispatch", "dispatch", "Sent to the platform."),
        (
            "deliverRequest",
            "send",
            "queue-egress",
            "request",
            "Of accounts with egress = \"queue\".",
        ),
        ("bury", "send", "exchange-dead", "dead", "What cannot be delivered, with its reason."),
        ("inspect", "receive", "queue-dead", "dead", "By `interline dead`."),
    ];
    all.into_iter()
        .map(|(name, action, channel, message, summary)| {
            let message = format!("#/channels/{channel}/messages/{message}");
            let operation = json!({
                "action": action,
                "channel": {"$ref": format!("#/channels/{channel}")},
                "messages": [{"$ref": message}],
                "summary": summary,
            });
            (name.to_owned(), operation)
        })
        .collect()
}

// -- messages: read off what the stages build

fn messages() -> Result<Value, PlatformError> {
    let account = AccountRef::new(Platform::new(EXAMPLE_PLATFORM)?, EXAMPLE_ACCOUNT);
    let id = DispatchId::from_bytes([0; 16]);
    let event = crate::ingest::event(PREFIX, EXAMPLE_PLATFORM, EXAMPLE_ACCOUNT, Bytes::new());
    let trace = traceparent(&[0; 16], &[0; 8]);
    let dispatch = crate::relay::dispatch_message(PREFIX, &account, id, Vec::new(), Some(trace));
    let queue = topology::egress_queue(PREFIX, EXAMPLE_PLATFORM);
    let request = request_message(queue, "il1.<dispatch>.<request>", Vec::new());
    let dead = dead_example(id).into_message(PREFIX);
    let native = json!({
        "description": "What the platform's webhook says, one item or a whole body. Envelopes are made of it: \
            see envelope.schema.json.",
        "x-envelope": {"$ref": "./envelope.schema.json"},
    });
    let sealed = json!({
        "type": "string",
        "format": "binary",
        "description": "XChaCha20-Poly1305 under a subkey of the root key; inside stands a dispatch v1.",
        "x-sealed": {"$ref": "./dispatch.schema.json"},
    });
    let as_it_was = json!({
        "description": "The body as it was: native bytes of an event, ciphertext of a dispatch.",
    });
    Ok(json!({
        "event": described("A native event of a platform.", &event, native),
        "dispatch": described("An envelope bound for one participant.", &dispatch, sealed),
        "request": described(
            "A rendered request for a platform whose backend consumes RabbitMQ itself; no credentials.",
            &request,
            json!({"$ref": "#/components/schemas/EgressRequest"}),
        ),
        "answer": {
            "summary": "The backend's answer to a request, published to the platform's events.",
            "contentType": "application/json",
            "correlationId": {"location": "$message.header#/correlation_id"},
            "payload": {"$ref": "#/components/schemas/EgressAnswer"},
            "bindings": {"amqp": {"messageType": TYPE_ANSWER}},
            "x-properties": ["correlation_id", "type"],
        },
        "dead": described("What could not be delivered, with its story.", &dead, as_it_was),
    }))
}

fn dead_example(id: DispatchId) -> DeadLetter {
    DeadLetter {
        reason: Reason::Refused,
        stage: Stage::Deliver,
        attempts: 1,
        error: String::new(),
        first_ms: 0,
        body: Bytes::new(),
        message_id: id.to_string(),
        kind: TYPE_EVENT,
        exchange: topology::dispatch_exchange(PREFIX),
        routing_key: topology::account_key(EXAMPLE_PLATFORM, EXAMPLE_ACCOUNT),
        replayed: 0,
    }
}

fn described(summary: &str, message: &OutMessage, payload: Value) -> Value {
    let of = &message.properties;
    let properties = [
        ("message_id", of.message_id.is_some()),
        ("correlation_id", of.correlation_id.is_some()),
        ("type", of.kind.is_some()),
        ("content_type", of.content_type.is_some()),
        ("expiration", of.expiration.is_some()),
    ];
    let set: Vec<&str> =
        properties.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect();
    let headers: Map<String, Value> =
        of.headers.iter().map(|(name, value)| (name.to_string(), header(name, value))).collect();
    let mut out = Map::from_iter([
        ("summary".to_owned(), json!(summary)),
        ("payload".to_owned(), payload),
        ("bindings".to_owned(), json!({"amqp": {"messageType": of.kind}})),
        ("x-properties".to_owned(), json!(set)),
    ]);
    out.insert(
        "contentType".to_owned(),
        json!(of.content_type.as_deref().unwrap_or("application/octet-stream")),
    );
    if of.correlation_id.is_some() {
        out.insert(
            "correlationId".to_owned(),
            json!({"location": "$message.header#/correlation_id"}),
        );
    }
    if !headers.is_empty() {
        out.insert("headers".to_owned(), json!({"type": "object", "properties": headers}));
    }
    Value::Object(out)
}

fn header(name: &str, value: &HeaderValue) -> Value {
    let kind = match value {
        HeaderValue::Bool(_) => "boolean",
        HeaderValue::Int(_) | HeaderValue::Timestamp(_) => "integer",
        HeaderValue::Double(_) => "number",
        HeaderValue::Text(_) | HeaderValue::Bytes(_) => "string",
        HeaderValue::List(_) => "array",
        HeaderValue::Table(_) => "object",
        HeaderValue::Null => "null",
    };
    let words: Option<Vec<&str>> = match name {
        dead::HEADER_REASON => Some(Reason::ALL.iter().map(|reason| reason.as_str()).collect()),
        dead::HEADER_STAGE => Some(Stage::ALL.map(Stage::as_str).to_vec()),
        _ => None,
    };
    let means = match name {
        dead::HEADER_ATTEMPTS => Some("After how many attempts."),
        dead::HEADER_ERROR => Some("The last error in words, without content."),
        dead::HEADER_FIRST => Some("When it was first tried, UTC milliseconds."),
        dead::HEADER_LAST => Some("When it was given up, UTC milliseconds."),
        dead::HEADER_EXCHANGE => Some("The exchange that a replay goes to."),
        dead::HEADER_ROUTING_KEY => Some("The routing key that a replay goes by."),
        dead::HEADER_TYPE => Some("The AMQP type that it had, and that a replay gets."),
        HEADER_REPLAYED => Some("How many times an operator replayed it."),
        _ => None,
    };
    let mut schema = Map::from_iter([("type".to_owned(), json!(kind))]);
    schema.extend(words.map(|words| ("enum".to_owned(), json!(words))));
    schema.extend(means.map(|means| ("description".to_owned(), json!(means))));
    Value::Object(schema)
}

/// A schema without references, as it can stand inside another document.
fn inline_schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every `$ref` into the document itself.
    fn references(value: &Value, out: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value.as_str() {
                        Some(to) if name == "$ref" => out.push(to.to_owned()),
                        _ => references(value, out),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, out)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn every_reference_of_the_contract_leads_somewhere() {
        let document = asyncapi().unwrap();
        let mut all = Vec::new();
        references(&document, &mut all);
        assert!(all.len() > 20, "{} references", all.len());
        for to in all {
            match to.strip_prefix('#') {
                Some(pointer) => assert!(document.pointer(pointer).is_some(), "{to}"),
                None => {
                    let beside = ["./envelope.schema.json", "./dispatch.schema.json"];
                    assert!(beside.contains(&to.as_str()), "{to}");
                }
            }
        }
    }

    #[test]
    fn the_contract_has_a_channel_for_every_exchange_and_queue_of_the_topology() {
        let topology =
            Topology::interline(PREFIX, &[PLATFORM], &[(PLATFORM, ACCOUNT)], &[PLATFORM]);
        let document = asyncapi().unwrap();
        let channels = document["channels"].as_object().unwrap();
        let titles: Vec<&str> =
            channels.values().map(|channel| channel["title"].as_str().unwrap()).collect();
        assert_eq!(channels.len(), topology.exchanges.len() + topology.queues.len());
        let exchanges = topology.exchanges.iter().map(|exchange| &exchange.name);
        for name in exchanges.chain(topology.queues.iter().map(|queue| &queue.name)) {
            assert!(titles.contains(&name.as_str()), "{name}");
        }
    }

    #[test]
    fn the_contract_says_which_headers_a_dead_letter_has_and_every_reason() {
        let document = asyncapi().unwrap();
        let headers = &document["components"]["messages"]["dead"]["headers"]["properties"];
        let reasons = headers[dead::HEADER_REASON]["enum"].as_array().unwrap();
        assert_eq!(reasons.len(), Reason::ALL.len());
        assert!(reasons.contains(&json!(Reason::NotAMember.as_str())));
        assert_eq!(headers[dead::HEADER_LAST]["type"], "integer");
        assert!(headers.as_object().unwrap().len() >= 10);
    }
}
