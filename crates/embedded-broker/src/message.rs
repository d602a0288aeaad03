//! A stored message and the headers that the broker itself adds to one.

use crate::codec::{ContentHead, read_properties, write_properties};
use amq_protocol::protocol::basic::AMQPProperties;
use amq_protocol::types::{AMQPValue, FieldTable};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A message as it was published; shared by every queue that holds it.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) exchange: String,
    pub(crate) routing_key: String,
    pub(crate) head: ContentHead,
    pub(crate) body: Bytes,
    /// Its own time to live, from `expiration`.
    pub(crate) time_to_live: Option<Duration>,
}

impl Message {
    /// What it counts for against the bounds of a queue and of the broker.
    pub(crate) fn stored_bytes(&self) -> u64 {
        (self.body.len() + self.head.properties.len()) as u64
    }
}

/// A message in one queue.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) message: Arc<Message>,
    /// True once it has been delivered and came back.
    pub(crate) redelivered: bool,
    /// How often it came back.
    pub(crate) delivery_count: u32,
    /// Held back until then by an ordered delay.
    pub(crate) due: Option<Instant>,
    /// When it leaves its queue unless it was delivered before.
    pub(crate) expires: Option<Instant>,
}

impl Entry {
    pub(crate) fn new(message: Arc<Message>, due: Option<Instant>) -> Self {
        Self { message, redelivered: false, delivery_count: 0, due, expires: None }
    }

    /// Whether its time to live is over.
    pub(crate) fn is_expired(&self) -> bool {
        self.expires.is_some_and(|expires| expires <= Instant::now())
    }

    /// The properties to deliver: the published bytes, with `x-delivery-count` where `counts` and it came back.
    pub(crate) fn properties(&self, counts: bool) -> Bytes {
        if !counts || self.delivery_count == 0 {
            return self.message.head.properties.clone();
        }
        with_headers(&self.message.head.properties, |headers| {
            headers.insert(
                "x-delivery-count".into(),
                AMQPValue::LongLongInt(i64::from(self.delivery_count)),
            );
        })
    }
}

/// `properties` with `change` made to their headers; as they are if the change does not fit the wire.
pub(crate) fn with_headers(properties: &Bytes, change: impl FnOnce(&mut FieldTable)) -> Bytes {
    let parsed: AMQPProperties = read_properties(properties).unwrap_or_default();
    let mut headers = parsed.headers().clone().unwrap_or_default();
    change(&mut headers);
    write_properties(&parsed.with_headers(headers)).unwrap_or_else(|| properties.clone())
}

/// `properties` without `expiration`; every other byte stays. As they are where there is none.
pub(crate) fn without_expiration(properties: &Bytes) -> Bytes {
    cut_expiration(properties).map_or_else(|| properties.clone(), Bytes::from)
}

/// Walks over the properties that stand before `expiration`. Source: AMQP 0-9-1, class `basic`.
fn cut_expiration(properties: &[u8]) -> Option<Vec<u8>> {
    const EXPIRATION: u16 = 1 << 8;
    let flags = u16::from_be_bytes(*properties.first_chunk()?);
    if flags & EXPIRATION == 0 {
        return None;
    }
    let short_string = |at: usize| Some(at + 1 + usize::from(*properties.get(at)?));
    let mut start = size_of_val(&flags);
    for bit in (9..16_u32).rev().filter(|bit| flags >> bit & 1 == 1) {
        start = match bit {
            13 => {
                let table_bytes = u32::from_be_bytes(*properties.get(start..)?.first_chunk()?);
                start + 4 + table_bytes as usize
            }
            11 | 12 => start + 1,
            _ => short_string(start)?,
        };
    }
    let mut cut = (flags & !EXPIRATION).to_be_bytes().to_vec();
    cut.extend_from_slice(properties.get(2..start)?);
    cut.extend_from_slice(properties.get(short_string(start)?..)?);
    Some(cut)
}

/// The number in `value`, whichever integer type the client chose.
pub(crate) fn integer(value: &AMQPValue) -> Option<i64> {
    match *value {
        AMQPValue::ShortShortInt(number) => Some(number.into()),
        AMQPValue::ShortShortUInt(number) => Some(number.into()),
        AMQPValue::ShortInt(number) => Some(number.into()),
        AMQPValue::ShortUInt(number) => Some(number.into()),
        AMQPValue::LongInt(number) => Some(number.into()),
        AMQPValue::LongUInt(number) => Some(number.into()),
        AMQPValue::LongLongInt(number) => Some(number),
        AMQPValue::Timestamp(number) => i64::try_from(number).ok(),
        AMQPValue::Boolean(_)
        | AMQPValue::Float(_)
        | AMQPValue::Double(_)
        | AMQPValue::DecimalValue(_)
        | AMQPValue::ShortString(_)
        | AMQPValue::LongString(_)
        | AMQPValue::FieldArray(_)
        | AMQPValue::FieldTable(_)
        | AMQPValue::ByteArray(_)
        | AMQPValue::Void => None,
    }
}

/// The text in `value`, whichever string type the client chose.
pub(crate) fn text(value: &AMQPValue) -> Option<String> {
    match value.as_long_string() {
        Some(long) => String::from_utf8(long.as_bytes().to_vec()).ok(),
        None => value.as_short_string().map(|short| short.as_str().to_owned()),
    }
}
