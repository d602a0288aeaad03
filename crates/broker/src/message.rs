//! What is published and what is delivered: bytes with properties.
//!
//! Invariant: `Debug` shows sizes and header names, never a body or a header's value.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, ByteArray, FieldArray, FieldTable, LongString, ShortString};

use crate::errors::PublishError;

/// Largest body that is published, in bytes. RabbitMQ 4 refuses more by default (`max_message_size`).
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Largest sum of the properties and headers of a message, in bytes: they must fit into one frame of 128 KiB.
pub const PROPERTIES_BYTES_MAX: usize = 64 * 1024;
/// AMQP's bound for names, keys and ids.
pub(crate) const SHORT_STRING_BYTES_MAX: usize = 255;
/// How deep a header's tables and lists are read; the rest becomes [`HeaderValue::Null`].
const HEADER_DEPTH_MAX: usize = 16;

const DELIVERY_MODE_PERSISTENT: u8 = 2;
/// The header in which a quorum queue counts.
const DELIVERY_COUNT: &str = "x-delivery-count";

/// Headers by name. Names and values that stand in the code are borrowed: every message that is published has some.
pub type Headers = BTreeMap<Cow<'static, str>, HeaderValue>;

/// A header's value. The narrower numbers of AMQP are read as [`HeaderValue::Int`] and written as 64 bits.
#[derive(Clone, PartialEq)]
pub enum HeaderValue {
    /// Yes or no.
    Bool(bool),
    /// Any integer.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// Text. A long string that is not UTF-8 is read as [`HeaderValue::Bytes`].
    Text(Cow<'static, str>),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Seconds since the Unix epoch.
    Timestamp(u64),
    /// A list.
    List(Vec<Self>),
    /// A table.
    Table(Headers),
    /// Nothing.
    Null,
}

impl HeaderValue {
    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The number, if it is an integer.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        if let Self::Int(number) = self { Some(*number) } else { None }
    }

    fn bytes(&self) -> usize {
        1 + match self {
            Self::Bool(_) => 1,
            Self::Int(_) | Self::Double(_) | Self::Timestamp(_) => 8,
            Self::Text(text) => 4 + text.len(),
            Self::Bytes(bytes) => 4 + bytes.len(),
            Self::List(values) => 4 + values.iter().map(Self::bytes).sum::<usize>(),
            Self::Table(headers) => 4 + headers_bytes(headers),
            Self::Null => 0,
        }
    }

    fn is_writable(&self) -> bool {
        match self {
            Self::List(values) => values.iter().all(Self::is_writable),
            Self::Table(headers) => headers
                .iter()
                .all(|(name, value)| name.len() <= SHORT_STRING_BYTES_MAX && value.is_writable()),
            Self::Bool(_)
            | Self::Int(_)
            | Self::Double(_)
            | Self::Text(_)
            | Self::Bytes(_)
            | Self::Timestamp(_)
            | Self::Null => true,
        }
    }

    pub(crate) fn to_amqp(&self) -> AMQPValue {
        match self {
            Self::Bool(value) => AMQPValue::Boolean(*value),
            Self::Int(value) => AMQPValue::LongLongInt(*value),
            Self::Double(value) => AMQPValue::Double(*value),
            Self::Text(value) => AMQPValue::LongString(LongString::from(value.as_bytes())),
            Self::Bytes(value) => AMQPValue::ByteArray(ByteArray::from(value.as_slice())),
            Self::Timestamp(value) => AMQPValue::Timestamp(*value),
            Self::List(values) => AMQPValue::FieldArray(FieldArray::from(
                values.iter().map(Self::to_amqp).collect::<Vec<_>>(),
            )),
            Self::Table(headers) => AMQPValue::FieldTable(to_table(headers)),
            Self::Null => AMQPValue::Void,
        }
    }

    fn from_amqp(value: &AMQPValue, depth: usize) -> Self {
        if depth > HEADER_DEPTH_MAX {
            return Self::Null;
        }
        match value {
            AMQPValue::Boolean(value) => Self::Bool(*value),
            AMQPValue::ShortShortInt(value) => Self::Int(i64::from(*value)),
            AMQPValue::ShortShortUInt(value) => Self::Int(i64::from(*value)),
            AMQPValue::ShortInt(value) => Self::Int(i64::from(*value)),
            AMQPValue::ShortUInt(value) => Self::Int(i64::from(*value)),
            AMQPValue::LongInt(value) => Self::Int(i64::from(*value)),
            AMQPValue::LongUInt(value) => Self::Int(i64::from(*value)),
            AMQPValue::LongLongInt(value) => Self::Int(*value),
            AMQPValue::Float(value) => Self::Double(f64::from(*value)),
            AMQPValue::Double(value) => Self::Double(*value),
            AMQPValue::DecimalValue(value) => {
                Self::Double(f64::from(value.value) / 10f64.powi(i32::from(value.scale)))
            }
            AMQPValue::ShortString(value) => Self::Text(value.as_str().to_owned().into()),
            AMQPValue::LongString(value) => match std::str::from_utf8(value.as_bytes()) {
                Ok(text) => Self::Text(text.to_owned().into()),
                Err(_) => Self::Bytes(value.as_bytes().to_vec()),
            },
            AMQPValue::FieldArray(values) => Self::List(
                values.as_slice().iter().map(|value| Self::from_amqp(value, depth + 1)).collect(),
            ),
            AMQPValue::Timestamp(value) => Self::Timestamp(*value),
            AMQPValue::FieldTable(table) => Self::Table(from_table(table, depth + 1)),
            AMQPValue::ByteArray(value) => Self::Bytes(value.as_slice().to_vec()),
            AMQPValue::Void => Self::Null,
        }
    }
}

impl fmt::Debug for HeaderValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.bytes())
    }
}

impl From<&'static str> for HeaderValue {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for HeaderValue {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<i64> for HeaderValue {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for HeaderValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

pub(crate) fn to_table(headers: &Headers) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in headers {
        table.insert(ShortString::from(&**name), value.to_amqp());
    }
    table
}

fn from_table(table: &FieldTable, depth: usize) -> Headers {
    table
        .inner()
        .iter()
        .map(|(name, value)| {
            (name.as_str().to_owned().into(), HeaderValue::from_amqp(value, depth))
        })
        .collect()
}

fn headers_bytes(headers: &Headers) -> usize {
    headers.iter().map(|(name, value)| 1 + name.len() + value.bytes()).sum()
}

/// A message's properties: those of AMQP that Interline uses.
#[derive(Clone, Default, PartialEq)]
pub struct Properties {
    /// Ours is unique for each message in flight; returns are matched by it. At most 255 bytes, as all texts here.
    pub message_id: Option<String>,
    /// What it answers.
    pub correlation_id: Option<String>,
    /// AMQP's `type`: what the body is.
    pub kind: Option<Cow<'static, str>>,
    /// The body's media type.
    pub content_type: Option<Cow<'static, str>>,
    /// How long the message may wait in a queue, in milliseconds as a decimal number.
    pub expiration: Option<String>,
    /// Headers by name.
    pub headers: Headers,
}

impl Properties {
    pub(crate) fn to_amqp(&self) -> BasicProperties {
        let mut properties =
            BasicProperties::default().with_delivery_mode(DELIVERY_MODE_PERSISTENT);
        if let Some(text) = &self.message_id {
            properties = properties.with_message_id(text.as_str().into());
        }
        if let Some(text) = &self.correlation_id {
            properties = properties.with_correlation_id(text.as_str().into());
        }
        if let Some(text) = &self.kind {
            properties = properties.with_type((&**text).into());
        }
        if let Some(text) = &self.content_type {
            properties = properties.with_content_type((&**text).into());
        }
        if let Some(text) = &self.expiration {
            properties = properties.with_expiration(text.as_str().into());
        }
        if !self.headers.is_empty() {
            properties = properties.with_headers(to_table(&self.headers));
        }
        properties
    }

    pub(crate) fn from_amqp(properties: &BasicProperties) -> Self {
        let text =
            |value: &Option<ShortString>| value.as_ref().map(|text| text.as_str().to_owned());
        Self {
            message_id: text(properties.message_id()),
            correlation_id: text(properties.correlation_id()),
            kind: text(properties.kind()).map(Cow::Owned),
            content_type: text(properties.content_type()).map(Cow::Owned),
            expiration: text(properties.expiration()),
            headers: properties
                .headers()
                .as_ref()
                .map(|table| from_table(table, 0))
                .unwrap_or_default(),
        }
    }

    fn short_strings(&self) -> [(&'static str, Option<&str>); 5] {
        [
            ("message id", self.message_id.as_deref()),
            ("correlation id", self.correlation_id.as_deref()),
            ("type", self.kind.as_deref()),
            ("content type", self.content_type.as_deref()),
            ("expiration", self.expiration.as_deref()),
        ]
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Properties")
            .field("message_id", &self.message_id)
            .field("kind", &self.kind)
            .field("header_names", &self.headers.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// A message to publish. It is always sent persistent and mandatory.
#[derive(Clone, PartialEq)]
pub struct OutMessage {
    /// Empty for the default exchange, whose routing keys are queue names.
    pub exchange: String,
    /// At most 255 bytes.
    pub routing_key: String,
    /// At most [`PROPERTIES_BYTES_MAX`] in all.
    pub properties: Properties,
    /// At most [`BODY_BYTES_MAX`].
    pub body: Bytes,
}

impl OutMessage {
    /// Refuses here what would make the broker close the connection.
    pub(crate) fn check_bounds(&self) -> Result<(), PublishError> {
        let too_large =
            |what, bytes, bytes_max| Err(PublishError::TooLarge { what, bytes, bytes_max });
        let named =
            [("exchange", Some(&*self.exchange)), ("routing key", Some(&*self.routing_key))];
        let mut total_bytes = headers_bytes(&self.properties.headers);
        for (what, text) in named.into_iter().chain(self.properties.short_strings()) {
            let bytes = text.map_or(0, str::len);
            if bytes > SHORT_STRING_BYTES_MAX {
                return too_large(what, bytes, SHORT_STRING_BYTES_MAX);
            }
            total_bytes += bytes;
        }
        for (name, value) in &self.properties.headers {
            if name.len() > SHORT_STRING_BYTES_MAX || !value.is_writable() {
                return too_large("header name", name.len(), SHORT_STRING_BYTES_MAX);
            }
        }
        if total_bytes > PROPERTIES_BYTES_MAX {
            return too_large("set of properties", total_bytes, PROPERTIES_BYTES_MAX);
        }
        if self.body.len() > BODY_BYTES_MAX {
            return too_large("body", self.body.len(), BODY_BYTES_MAX);
        }
        Ok(())
    }
}

impl fmt::Debug for OutMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutMessage")
            .field("exchange", &self.exchange)
            .field("routing_key", &self.routing_key)
            .field("properties", &self.properties)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

/// Which delivery, of which consumer: an [`Acker`](crate::Acker) ignores the tags of any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryTag {
    pub(crate) generation: u64,
    pub(crate) number: u64,
}

/// A message taken from a queue. It stays the queue's until it is acked.
#[derive(Clone)]
pub struct Delivery {
    /// What to ack.
    pub tag: DeliveryTag,
    /// True where it may have been delivered before.
    pub redelivered: bool,
    /// Where it was published to.
    pub exchange: String,
    /// With which key.
    pub routing_key: String,
    /// Its body.
    pub body: Bytes,
    /// As they came: whoever wants little of them is not to pay for all.
    amqp: BasicProperties,
}

impl Delivery {
    pub(crate) fn from_amqp(delivery: lapin::message::Delivery, generation: u64) -> Self {
        Self {
            tag: DeliveryTag { generation, number: delivery.delivery_tag },
            redelivered: delivery.redelivered,
            exchange: delivery.exchange.into(),
            routing_key: delivery.routing_key.into(),
            amqp: delivery.properties,
            body: Bytes::from(delivery.data),
        }
    }

    /// `message` as it comes back from a broker in memory: through the same encoding as over a connection.
    pub(crate) fn in_memory(
        message: &OutMessage,
        tag: DeliveryTag,
        redelivered: bool,
        delivery_count: Option<i64>,
    ) -> Self {
        let mut amqp = message.properties.to_amqp();
        if let Some(count) = delivery_count {
            let mut headers = amqp.headers().clone().unwrap_or_default();
            headers.insert(ShortString::from(DELIVERY_COUNT), AMQPValue::LongLongInt(count));
            amqp = amqp.with_headers(headers);
        }
        Self {
            tag,
            redelivered,
            exchange: message.exchange.clone(),
            routing_key: message.routing_key.clone(),
            body: message.body.clone(),
            amqp,
        }
    }

    /// All properties.
    #[must_use]
    pub fn properties(&self) -> Properties {
        Properties::from_amqp(&self.amqp)
    }

    /// The sender's id for it.
    #[must_use]
    pub fn message_id(&self) -> Option<&str> {
        self.amqp.message_id().as_ref().map(ShortString::as_str)
    }

    /// What it answers.
    #[must_use]
    pub fn correlation_id(&self) -> Option<&str> {
        self.amqp.correlation_id().as_ref().map(ShortString::as_str)
    }

    /// AMQP's `type`: what the body is.
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        self.amqp.kind().as_ref().map(ShortString::as_str)
    }

    /// The text in a header.
    #[must_use]
    pub fn text_header(&self, name: &str) -> Option<&str> {
        let value = self.amqp.headers().as_ref()?.inner().get(name)?;
        if let AMQPValue::ShortString(text) = value {
            return Some(text.as_str());
        }
        let AMQPValue::LongString(text) = value else { return None };
        std::str::from_utf8(text.as_bytes()).ok()
    }

    /// The number in a header.
    #[must_use]
    pub fn int_header(&self, name: &str) -> Option<i64> {
        let value = self.amqp.headers().as_ref()?.inner().get(name)?;
        HeaderValue::from_amqp(value, 0).as_int()
    }

    /// How often a quorum queue has delivered it without an ack; classic queues do not count.
    #[must_use]
    pub fn delivery_count(&self) -> Option<u64> {
        u64::try_from(self.int_header(DELIVERY_COUNT)?).ok()
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("tag", &self.tag)
            .field("redelivered", &self.redelivered)
            .field("delivery_count", &self.delivery_count())
            .field("exchange", &self.exchange)
            .field("routing_key", &self.routing_key)
            .field("properties", &self.properties())
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> OutMessage {
        OutMessage {
            exchange: "x".into(),
            routing_key: "k".into(),
            properties: Properties { message_id: Some("m".into()), ..Properties::default() },
            body: Bytes::from_static(b"telltale-body"),
        }
    }

    #[test]
    fn headers_survive_the_way_to_amqp_and_back() {
        let inner = Headers::from([
            ("n".into(), HeaderValue::Null),
            ("t".into(), HeaderValue::Timestamp(7)),
        ]);
        let headers = Headers::from([
            ("bool".into(), true.into()),
            ("int".into(), i64::MIN.into()),
            ("double".into(), HeaderValue::Double(0.1)),
            ("text".into(), "grüße 👨‍👩‍👧".into()),
            ("bytes".into(), HeaderValue::Bytes(vec![0, 255, 128])),
            (
                "list".into(),
                HeaderValue::List(vec![1.into(), "a".into(), HeaderValue::Table(inner)]),
            ),
        ]);
        let properties = Properties {
            kind: Some("interline.dispatch".into()),
            headers,
            ..Properties::default()
        };
        assert!(Properties::from_amqp(&properties.to_amqp()) == properties);
    }

    #[test]
    fn what_would_close_the_connection_is_refused_before_it_is_sent() {
        assert!(message().check_bounds().is_ok());
        let long = "k".repeat(256);
        let mut cases = vec![message(), message(), message(), message(), message()];
        cases[0].routing_key.clone_from(&long);
        cases[1].properties.message_id = Some(long.clone());
        cases[2].properties.headers.insert(long.into(), true.into());
        cases[3].properties.headers.insert("h".into(), "v".repeat(PROPERTIES_BYTES_MAX).into());
        cases[4].body = vec![0; BODY_BYTES_MAX + 1].into();
        for case in cases {
            assert!(matches!(case.check_bounds(), Err(PublishError::TooLarge { .. })), "{case:?}");
        }
    }

    #[test]
    fn debug_shows_neither_bodies_nor_header_values() {
        let mut message = message();
        message.properties.headers.insert("name".into(), "telltale-header".into());
        assert!(!format!("{message:?}").contains("telltale"));
    }

    #[test]
    fn a_header_of_endless_depth_is_cut_and_not_followed() {
        let mut value = AMQPValue::Boolean(true);
        for _ in 0..1000 {
            value = AMQPValue::FieldArray(FieldArray::from(vec![value]));
        }
        let read = HeaderValue::from_amqp(&value, 0);
        assert!(read.bytes() < 200);
    }
}
