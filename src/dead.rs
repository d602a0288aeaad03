//! Dead letters: what could not be delivered, with its body as it was and its story in headers.
//!
//! Nothing in a header is content or names a person; the body of a dispatch is sealed.

use crate::clock::now_ms;
use bytes::Bytes;
use interline_bridge_api::Class;
use interline_broker::{HeaderValue, OutMessage, Properties, topology};
use std::collections::BTreeMap;

/// The AMQP `type` of a dead letter.
pub const TYPE_DEAD: &str = "interline.dead";
/// Header: why.
pub const HEADER_REASON: &str = "interline-reason";
/// Header: at which stage.
pub const HEADER_STAGE: &str = "interline-stage";
/// Header: after how many attempts.
pub const HEADER_ATTEMPTS: &str = "interline-attempts";
/// Header: the last error, in words.
pub const HEADER_ERROR: &str = "interline-error";
/// Header: when it was first tried, UTC milliseconds.
pub const HEADER_FIRST: &str = "interline-first-ms";
/// Header: when it was given up, UTC milliseconds.
pub const HEADER_LAST: &str = "interline-last-ms";
/// Header: the exchange that a replay goes to.
pub const HEADER_EXCHANGE: &str = "interline-exchange";
/// Header: the routing key that a replay goes by.
pub const HEADER_ROUTING_KEY: &str = "interline-routing-key";
/// Header: the AMQP `type` that it had.
pub const HEADER_TYPE: &str = "interline-type";

/// The longest error text in a header, in bytes.
const ERROR_BYTES_MAX: usize = 512;
/// AMQP's bound for a routing key, in bytes.
const SHORT_STRING_BYTES_MAX: usize = 255;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident => $word:literal),+ $(,)?) => {
        /// Why something is a dead letter. A closed list: it stands in headers, logs and metrics.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[$doc])* $name,)+
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The word in headers and logs.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }
        }
    };
}

reasons! {
    /// The body is no event of its platform.
    Malformed => "malformed",
    /// One item of a body cannot be read.
    UnreadableItem => "unreadable-item",
    /// The bridge's code panicked on it.
    CodecPanicked => "codec-panicked",
    /// It was open in several runs of the daemon that crashed.
    Poison => "poison",
    /// Its account belongs to another app secret than the one that signed it.
    WrongSecret => "wrong-secret",
    /// Nobody in a conversation wrote it.
    NoConversation => "no-conversation",
    /// The kind of event is not bridged.
    NotBridged => "not-bridged",
    /// It is larger than an envelope may be.
    TooLarge => "too-large",
    /// The sender or the recipient left the conversation.
    NotAMember => "not-a-member",
    /// The bytes on an internal queue, or a stored plan, cannot be read.
    Unreadable => "unreadable",
    /// The target's codec cannot express what `fit` made of it.
    Unrenderable => "unrenderable",
    /// The target cannot get it in any form.
    Refused => "refused",
    /// A request may have been sent, and the policy is to hold it.
    Uncertain => "uncertain",
    /// It waited too long in a blocked lane.
    Expired => "expired",
    /// Its lane is blocked, and the store has no more room for what it holds.
    Overflow => "overflow",
    /// The operator's set-up is wrong.
    Config => "config",
    /// The platform will never take this request.
    Permanent => "permanent",
    /// The person cannot be reached.
    Recipient => "recipient",
    /// Another app owns the thread.
    Handover => "handover",
    /// The platform took it and said later that it failed.
    FailedLater => "failed-later",
}

impl Reason {
    /// The reason of a failure that is final; nothing for those that pass, or that the account waits out.
    pub const fn of(class: Class) -> Option<Self> {
        match class {
            Class::Reauth | Class::Throttle | Class::Retryable | Class::Blocked | Class::Window => {
                None
            }
            Class::Config => Some(Self::Config),
            Class::Permanent => Some(Self::Permanent),
            Class::Recipient => Some(Self::Recipient),
            Class::Handover => Some(Self::Handover),
        }
    }
}

/// Where a dead letter died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// HTTP.
    Ingest,
    /// Events to dispatches.
    Relay,
    /// Dispatches to the platform.
    Deliver,
}

impl Stage {
    /// Every stage.
    pub const ALL: [Self; 3] = [Self::Ingest, Self::Relay, Self::Deliver];

    /// The word in headers and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Relay => "relay",
            Self::Deliver => "deliver",
        }
    }
}

/// One dead letter.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// Why.
    pub reason: Reason,
    /// Where.
    pub stage: Stage,
    /// How often it was tried.
    pub attempts: u32,
    /// The last error. Never holds content.
    pub error: String,
    /// When it was first tried, UTC milliseconds.
    pub first_ms: i64,
    /// The body as it was.
    pub body: Bytes,
    /// Its message id: the dispatch's, or a hash of the event's bytes.
    pub message_id: String,
    /// Its AMQP `type`.
    pub kind: &'static str,
    /// The exchange that it came by; a replay goes there.
    pub exchange: String,
    /// The routing key that it came by.
    pub routing_key: String,
    /// How many times it was replayed before.
    pub replayed: u32,
}

impl DeadLetter {
    /// The message for the dead-letter exchange.
    pub fn into_message(self, prefix: &str) -> OutMessage {
        let mut error = self.error;
        let mut body = self.body;
        if body.len() > interline_broker::BODY_BYTES_MAX {
            // The broker would not take it, and the event would come again for ever.
            error = format!("its body of {} bytes is too large to be kept: {error}", body.len());
            body = Bytes::new();
        }
        cut(&mut error, ERROR_BYTES_MAX);
        let mut routing_key = format!("{}.{}", self.stage.as_str(), self.routing_key);
        cut(&mut routing_key, SHORT_STRING_BYTES_MAX);
        let headers = BTreeMap::from([
            (HEADER_REASON.into(), self.reason.as_str().into()),
            (HEADER_STAGE.into(), self.stage.as_str().into()),
            (HEADER_ATTEMPTS.into(), HeaderValue::Int(i64::from(self.attempts))),
            (HEADER_ERROR.into(), error.into()),
            (HEADER_FIRST.into(), HeaderValue::Int(self.first_ms)),
            (HEADER_LAST.into(), HeaderValue::Int(now_ms())),
            (HEADER_EXCHANGE.into(), self.exchange.into()),
            (HEADER_ROUTING_KEY.into(), self.routing_key.into()),
            (HEADER_TYPE.into(), self.kind.into()),
            (crate::wire::HEADER_REPLAYED.into(), HeaderValue::Int(i64::from(self.replayed))),
        ]);
        OutMessage {
            exchange: topology::dead_exchange(prefix),
            routing_key,
            body,
            properties: Properties {
                message_id: Some(self.message_id),
                kind: Some(TYPE_DEAD.into()),
                headers,
                ..Properties::default()
            },
        }
    }
}

/// Cuts a text to at most `bytes_max`, between two characters.
fn cut(text: &mut String, bytes_max: usize) {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(body: Bytes, routing_key: &str, error: &str) -> OutMessage {
        let letter = DeadLetter {
            reason: Reason::TooLarge,
            stage: Stage::Relay,
            attempts: 1,
            error: error.to_owned(),
            first_ms: 1,
            body,
            message_id: "m".to_owned(),
            kind: crate::wire::TYPE_EVENT,
            exchange: "interline.events".to_owned(),
            routing_key: routing_key.to_owned(),
            replayed: 0,
        };
        letter.into_message("interline")
    }

    #[test]
    fn g10_whatever_died_its_letter_is_within_what_the_broker_takes() {
        let body = Bytes::from(vec![b' '; interline_broker::BODY_BYTES_MAX + 1]);
        let large = letter(body, &"k".repeat(255), &"\u{1F600}".repeat(400));
        assert!(large.body.is_empty());
        assert!(large.routing_key.starts_with("relay.k") && large.routing_key.len() == 255);
        let error = large.properties.headers.get(HEADER_ERROR).and_then(HeaderValue::as_text);
        let error = error.unwrap();
        assert!(error.starts_with("its body of 16777217 bytes") && error.len() <= 512, "{error}");
    }

    #[test]
    fn a_letter_keeps_the_body_and_the_key_that_a_replay_goes_by() {
        let kept = letter(Bytes::from_static(b"x"), "whatsapp.1", "why");
        assert_eq!((&kept.body[..], kept.routing_key.as_str()), (&b"x"[..], "relay.whatsapp.1"));
        let key = kept.properties.headers.get(HEADER_ROUTING_KEY);
        assert_eq!(key.and_then(HeaderValue::as_text), Some("whatsapp.1"));
    }
}
