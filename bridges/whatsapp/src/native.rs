//! The platform's own shapes, borrowed from the body. Lists stay raw, so that one bad item never fails its
//! neighbours; contents stay raw, so that a bad content never loses its sender.
//!
//! PLATFORMS.md section 2, "Envelope", and section 3.

use interline_graph::{IdText, Millis, Text};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// A list whose items are read one by one, or something else where a list should stand.
#[derive(Default)]
pub(crate) enum List<'a> {
    #[default]
    Absent,
    Items(Vec<&'a RawValue>),
    Malformed,
}

impl<'a> List<'a> {
    pub(crate) fn items(&self) -> &[&'a RawValue] {
        match self {
            Self::Items(items) => items,
            Self::Absent | Self::Malformed => &[],
        }
    }

    pub(crate) const fn is_malformed(&self) -> bool {
        matches!(self, Self::Malformed)
    }
}

struct ListVisitor;

impl<'de> Visitor<'de> for ListVisitor {
    type Value = List<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<&'de RawValue>()? {
            items.push(item);
        }
        Ok(List::Items(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(List::Malformed)
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(List::Absent)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(List::Malformed)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(List::Malformed)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(List::Malformed)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(List::Malformed)
    }
    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(List::Malformed)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for List<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor)
    }
}

/// The whole body, in one pass: what nearly every webhook is.
#[derive(Deserialize)]
pub(crate) struct TypedBody<'a> {
    #[serde(borrow, default)]
    pub(crate) object: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) entry: Vec<TypedEntry<'a>>,
}

#[derive(Deserialize)]
pub(crate) struct TypedEntry<'a> {
    #[serde(borrow, default)]
    pub(crate) id: Option<IdText<'a>>,
    #[serde(borrow, default)]
    pub(crate) time: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) object: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) field: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) changes: Vec<TypedChange<'a>>,
}

#[derive(Deserialize)]
pub(crate) struct TypedChange<'a> {
    #[serde(borrow, default)]
    pub(crate) field: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) value: Value<'a>,
}

/// The same, piece by piece: where the typed pass fails, or the whole value is wanted.
#[derive(Deserialize)]
pub(crate) struct LooseBody<'a> {
    #[serde(borrow, default)]
    pub(crate) object: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) entry: List<'a>,
}

#[derive(Deserialize)]
pub(crate) struct LooseEntry<'a> {
    #[serde(borrow, default)]
    pub(crate) id: Option<IdText<'a>>,
    #[serde(borrow, default)]
    pub(crate) time: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) object: Option<Text<'a>>,
    // One documented sample has `field` and `object` beside `changes`.
    #[serde(borrow, default)]
    pub(crate) field: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) changes: List<'a>,
}

#[derive(Deserialize)]
pub(crate) struct LooseChange<'a> {
    #[serde(borrow, default)]
    pub(crate) field: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) value: &'a RawValue,
}

/// `changes[].value`: one value can carry messages, statuses and errors together.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Value<'a> {
    #[serde(borrow)]
    pub(crate) metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) contacts: List<'a>,
    #[serde(borrow)]
    pub(crate) messages: List<'a>,
    #[serde(borrow)]
    pub(crate) message_echoes: List<'a>,
    #[serde(borrow)]
    pub(crate) history: List<'a>,
    #[serde(borrow)]
    pub(crate) statuses: List<'a>,
    #[serde(borrow)]
    pub(crate) errors: List<'a>,
    #[serde(borrow)]
    pub(crate) user_id_update: List<'a>,
    #[serde(borrow)]
    pub(crate) user_preferences: List<'a>,
    #[serde(borrow)]
    pub(crate) calls: List<'a>,
    #[serde(borrow)]
    pub(crate) state_sync: List<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Metadata<'a> {
    #[serde(borrow)]
    pub(crate) phone_number_id: Option<IdText<'a>>,
    #[serde(borrow)]
    pub(crate) display_phone_number: Option<IdText<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Contact<'a> {
    #[serde(borrow)]
    pub(crate) wa_id: Option<IdText<'a>>,
    #[serde(borrow)]
    pub(crate) user_id: Option<IdText<'a>>,
    #[serde(borrow)]
    pub(crate) parent_user_id: Option<IdText<'a>>,
    #[serde(borrow)]
    pub(crate) profile: Option<Profile<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Profile<'a> {
    #[serde(borrow)]
    pub(crate) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) username: Option<Text<'a>>,
}

/// One history chunk: `value.history[]`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct HistoryChunk<'a> {
    #[serde(borrow)]
    pub(crate) metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) threads: List<'a>,
    #[serde(borrow)]
    pub(crate) errors: List<'a>,
}

/// One chat of a history chunk.
#[derive(Deserialize)]
pub(crate) struct HistoryThread<'a> {
    #[serde(borrow)]
    pub(crate) id: IdText<'a>,
    #[serde(borrow, default)]
    pub(crate) messages: List<'a>,
}

/// A message, an echo, a message of the history, or what an edit changed a message to.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Message<'a> {
    #[serde(borrow)]
    pub(crate) from: Option<IdText<'a>>,
    #[serde(borrow)]
    pub(crate) from_user_id: Option<IdText<'a>>,
    #[serde(borrow)]
    pub(crate) from_parent_user_id: Option<IdText<'a>>,
    #[serde(borrow)]
    pub(crate) to: Option<IdText<'a>>,
    #[serde(borrow)]
    pub(crate) to_user_id: Option<IdText<'a>>,
    #[serde(borrow)]
    pub(crate) id: Option<IdText<'a>>,
    pub(crate) timestamp: Millis,
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) group_id: Option<IdText<'a>>,
    #[serde(borrow)]
    pub(crate) context: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) referral: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) errors: List<'a>,
    #[serde(borrow)]
    pub(crate) history_context: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) text: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) image: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) video: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) audio: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) voice: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) document: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) sticker: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) location: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) contacts: List<'a>,
    #[serde(borrow)]
    pub(crate) button: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) interactive: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) order: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) reaction: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) system: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) identity: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) edit: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) revoke: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) unsupported: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct MessageContext<'a> {
    #[serde(borrow)]
    pub(crate) id: Option<IdText<'a>>,
    pub(crate) forwarded: bool,
    pub(crate) frequently_forwarded: bool,
    #[serde(borrow)]
    pub(crate) referred_product: Option<&'a RawValue>,
}

/// `statuses[]`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct StatusItem<'a> {
    #[serde(borrow)]
    pub(crate) id: Option<IdText<'a>>,
    #[serde(borrow)]
    pub(crate) status: Option<Text<'a>>,
    pub(crate) timestamp: Millis,
    #[serde(borrow)]
    pub(crate) recipient_id: Option<IdText<'a>>,
    #[serde(borrow)]
    pub(crate) recipient_user_id: Option<IdText<'a>>,
    #[serde(borrow)]
    pub(crate) recipient_type: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) recipient_participant_id: Option<IdText<'a>>,
    #[serde(borrow)]
    pub(crate) recipient_participant_user_id: Option<IdText<'a>>,
    #[serde(borrow)]
    pub(crate) biz_opaque_callback_data: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) errors: List<'a>,
    #[serde(borrow)]
    pub(crate) conversation: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) pricing: Option<&'a RawValue>,
}

/// An error as it comes in events; older ones have `details` beside the code.
#[derive(Deserialize)]
pub(crate) struct NativeError<'a> {
    #[serde(borrow)]
    pub(crate) code: IdText<'a>,
    #[serde(borrow, default)]
    pub(crate) title: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) message: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) details: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) error_data: Option<NativeErrorData<'a>>,
}

#[derive(Deserialize)]
pub(crate) struct NativeErrorData<'a> {
    #[serde(borrow, default)]
    pub(crate) details: Option<Text<'a>>,
}

impl NativeError<'_> {
    pub(crate) fn detail(&self) -> Option<&str> {
        let data = self.error_data.as_ref().and_then(|data| data.details.as_ref());
        data.or(self.details.as_ref()).map(Text::as_str)
    }

    pub(crate) fn title(&self) -> &str {
        self.title.as_ref().or(self.message.as_ref()).map(Text::as_str).unwrap_or_default()
    }
}
