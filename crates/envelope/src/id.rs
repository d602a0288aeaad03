//! Deterministic ids: the same event has the same id however often and in whatever batch it comes.

use crate::{Address, Kind, RootKey, Subkey};
use hmac::{Hmac, Mac};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Sha256;
use std::borrow::Cow;

/// A text that is no id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("an id is {digits} lower-case hex digits")]
pub struct IdError {
    digits: usize,
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// From raw bytes, as they stand in a store row.
            pub const fn from_bytes(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// The raw bytes.
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }

            /// Reads the hex form.
            ///
            /// # Errors
            /// [`IdError`] if it has another length or another character.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                let mut bytes = [0_u8; $bytes];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| IdError { digits: 2 * $bytes })?;
                Ok(Self(bytes))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut text = [0_u8; 2 * $bytes];
                hex::encode_to_slice(self.0, &mut text).map_err(|_| std::fmt::Error)?;
                f.write_str(std::str::from_utf8(&text).map_err(|_| std::fmt::Error)?)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let pattern = format!("^[0-9a-f]{{{}}}$", 2 * $bytes);
                json_schema!({"type": "string", "pattern": pattern})
            }
        }
    };
}

hex_id!(
    /// Names an event. 128 bits of HMAC-SHA256, as 32 hex digits. It may stand in logs: without K_id it says nothing.
    EnvelopeId,
    16
);
hex_id!(
    /// Names an envelope bound for one participant; the prefix of the markers that our sends carry.
    DispatchId,
    16
);
hex_id!(
    /// Names a lane: one conversation and one target.
    LaneId,
    8
);

/// What identifies an event within its chat.
#[derive(Clone, Copy, Debug)]
pub enum NativeKey<'a> {
    /// The platform's id for it.
    Id(&'a str),
    /// Where the platform gives none: the item in canonical JSON (sorted keys, no white space).
    CanonicalItem(&'a [u8]),
}

/// Everything that an envelope id is made of.
#[derive(Clone, Copy, Debug)]
pub struct IdInput<'a> {
    /// What the event is.
    pub kind: Kind,
    /// The bridge's id.
    pub platform: &'a str,
    /// The operator's account.
    pub account: &'a str,
    /// The native conversation.
    pub chat: &'a str,
    /// Who did it.
    pub actor: &'a str,
    /// Its native id or bytes.
    pub native: NativeKey<'a>,
    /// The platform's clock, in milliseconds since the Unix epoch, unclamped.
    pub time_ms: i64,
    /// What tells two events with one native id apart. Status: state and participant; reaction: action and emoji;
    /// edit: its number; else empty.
    pub discriminator: &'a [&'a str],
}

/// K_id, ready to use. It never rotates: ids must stay equal over redeliveries.
#[derive(Clone)]
pub struct IdKey(Hmac<Sha256>);

impl std::fmt::Debug for IdKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdKey(<redacted>)")
    }
}

impl IdKey {
    /// Derives K_id from the root key.
    pub fn new(root: &RootKey) -> Self {
        Self::from_subkey(&root.subkey(Subkey::Id))
    }

    /// The published test key: `interline normalize` without a config, and tests.
    pub fn published_test_key() -> Self {
        Self::new(&RootKey::published_test_key())
    }

    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    fn from_subkey(subkey: &[u8]) -> Self {
        Self(Hmac::new_from_slice(subkey).expect("HMAC takes keys of every length"))
    }

    /// The id of an event: equal for redelivered, rebatched and raw forms; different for a reaction that was set,
    /// changed and set again.
    pub fn envelope_id(&self, input: &IdInput<'_>) -> EnvelopeId {
        let mut mac = self.0.clone();
        field(&mut mac, b"envelope/1");
        field(&mut mac, input.kind.as_str().as_bytes());
        field(&mut mac, input.platform.as_bytes());
        field(&mut mac, input.account.as_bytes());
        field(&mut mac, input.chat.as_bytes());
        field(&mut mac, input.actor.as_bytes());
        match input.native {
            NativeKey::Id(id) => {
                field(&mut mac, b"id");
                field(&mut mac, id.as_bytes());
            }
            NativeKey::CanonicalItem(bytes) => {
                field(&mut mac, b"item");
                field(&mut mac, bytes);
            }
        }
        field(&mut mac, &input.time_ms.to_be_bytes());
        for part in input.discriminator {
            field(&mut mac, part.as_bytes());
        }
        EnvelopeId::from_bytes(truncated(mac))
    }

    /// The id of an envelope bound for one participant.
    pub fn dispatch_id(&self, envelope: EnvelopeId, to: &Address) -> DispatchId {
        let mut mac = self.0.clone();
        field(&mut mac, b"dispatch/1");
        field(&mut mac, envelope.as_bytes());
        address(&mut mac, to);
        DispatchId::from_bytes(truncated(mac))
    }

    /// The lane of one conversation and one target.
    pub fn lane_id(&self, conversation: &str, to: &Address) -> LaneId {
        let mut mac = self.0.clone();
        field(&mut mac, b"lane/1");
        field(&mut mac, conversation.as_bytes());
        address(&mut mac, to);
        LaneId::from_bytes(truncated(mac))
    }
}

fn address(mac: &mut Hmac<Sha256>, to: &Address) {
    field(mac, to.account.platform.as_str().as_bytes());
    field(mac, to.account.account.as_bytes());
    field(mac, to.user.as_exposed_str().as_bytes());
}

/// Length-prefixed, so that no two lists of fields run into the same bytes.
fn field(mac: &mut Hmac<Sha256>, bytes: &[u8]) {
    mac.update(&(bytes.len() as u64).to_be_bytes());
    mac.update(bytes);
}

fn truncated<const N: usize>(mac: Hmac<Sha256>) -> [u8; N] {
    let full: [u8; 32] = mac.finalize().into_bytes().into();
    let mut out = [0_u8; N];
    out.copy_from_slice(&full[..N]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(native: &str, discriminator: &[&str]) -> EnvelopeId {
        IdKey::published_test_key().envelope_id(&IdInput {
            kind: Kind::Reaction,
            platform: "whatsapp",
            account: "1",
            chat: "2",
            actor: "2",
            native: NativeKey::Id(native),
            time_ms: 1,
            discriminator,
        })
    }

    #[test]
    fn equal_events_have_equal_ids_and_the_discriminator_tells_others_apart() {
        assert_eq!(message("m", &["add", "❤️"]), message("m", &["add", "❤️"]));
        assert_ne!(message("m", &["add", "❤️"]), message("m", &["remove", "❤️"]));
        assert_ne!(message("m", &["add", "❤️"]), message("m", &["add❤️"]));
        assert_ne!(message("m", &[]), message("n", &[]));
    }

    #[test]
    fn an_id_is_read_back_from_its_hex_form() {
        let id = message("m", &[]);
        assert_eq!(EnvelopeId::parse(&id.to_string()), Ok(id));
        assert!(EnvelopeId::parse("xyz").is_err());
        assert_eq!(id.to_string().len(), 32);
    }

    #[test]
    fn a_dispatch_id_differs_for_each_participant() {
        let key = IdKey::published_test_key();
        let (a, b) =
            (Address::parse("whatsapp/1/2").unwrap(), Address::parse("whatsapp/1/3").unwrap());
        let id = message("m", &[]);
        assert_ne!(key.dispatch_id(id, &a), key.dispatch_id(id, &b));
        assert_eq!(key.dispatch_id(id, &a), key.dispatch_id(id, &a));
        assert_ne!(key.lane_id("x", &a), key.lane_id("y", &a));
    }
}
