//! The native shapes, borrowed from the body. Whatever is rare stays raw until it is needed, and whatever may be
//! malformed stays raw until its own neighbours are safe.

use crate::{IdText, Millis, Text};
use serde::Deserialize;
use serde_json::value::RawValue;

/// A webhook body whose entries all have the documented shape.
#[derive(Deserialize)]
pub(super) struct Body<'a> {
    #[serde(borrow)]
    pub(super) object: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) entry: Option<Vec<Entry<'a>>>,
}

/// A webhook body of which one entry has not.
#[derive(Deserialize)]
pub(super) struct LooseBody<'a> {
    #[serde(borrow)]
    pub(super) object: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) entry: Option<&'a RawValue>,
}

/// One entry: an account's events.
#[derive(Deserialize)]
pub(super) struct Entry<'a> {
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) time: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) messaging: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    pub(super) standby: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    pub(super) changes: Option<Vec<&'a RawValue>>,
    /// Comments may come as `field` and `value` directly on the entry.
    #[serde(borrow)]
    pub(super) field: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) value: Option<&'a RawValue>,
}

/// An entry of which one array is something else.
#[derive(Deserialize)]
pub(super) struct LooseEntry<'a> {
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) time: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) messaging: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) standby: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) changes: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) field: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) value: Option<&'a RawValue>,
}

/// One element of `changes[]`.
#[derive(Deserialize)]
pub(super) struct Change<'a> {
    #[serde(borrow)]
    pub(super) field: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) value: Option<&'a RawValue>,
}

/// Sender or recipient.
#[derive(Deserialize)]
pub(super) struct Party<'a> {
    #[serde(borrow)]
    pub(super) id: Option<IdText<'a>>,
    /// A person known only from a plugin's checkbox.
    #[serde(borrow)]
    pub(super) user_ref: Option<IdText<'a>>,
}

/// One event with its commonest content; the rest is [`Rare`].
#[derive(Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow)]
    pub(super) sender: Option<Party<'a>>,
    #[serde(borrow)]
    pub(super) recipient: Option<Party<'a>>,
    #[serde(default)]
    pub(super) timestamp: Millis,
    #[serde(borrow)]
    pub(super) message: Option<Message<'a>>,
    #[serde(borrow)]
    pub(super) hop_context: Option<&'a RawValue>,
}

/// What can still be read of an event that is malformed somewhere.
#[derive(Deserialize)]
pub(super) struct Heading<'a> {
    #[serde(borrow)]
    pub(super) sender: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) recipient: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) timestamp: Millis,
    #[serde(borrow)]
    pub(super) message: Option<&'a RawValue>,
}

/// The flags of a message that is malformed somewhere.
#[derive(Default, Deserialize)]
pub(super) struct Flags<'a> {
    #[serde(borrow)]
    pub(super) is_echo: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) is_self: Option<&'a RawValue>,
}

/// `message`.
#[derive(Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    pub(super) mid: Option<IdText<'a>>,
    #[serde(borrow)]
    pub(super) text: Option<Text<'a>>,
    pub(super) is_echo: Option<bool>,
    pub(super) is_self: Option<bool>,
    pub(super) is_deleted: Option<bool>,
    pub(super) is_unsupported: Option<bool>,
    #[serde(borrow)]
    pub(super) app_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) attachments: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) quick_reply: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) reply_to: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) referral: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) commands: Option<&'a RawValue>,
}

/// Everything that an event may carry instead of a message.
#[derive(Default, Deserialize)]
pub(super) struct Rare<'a> {
    #[serde(borrow)]
    pub(super) message_edit: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) reaction: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) read: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) delivery: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) postback: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) order: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) referral: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) lead: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) pass_thread_control: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) take_thread_control: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) request_thread_control: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) app_roles: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) optin: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) account_linking: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) policy_enforcement: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) response_feedback: Option<&'a RawValue>,
}

/// `message_edit`.
#[derive(Deserialize)]
pub(super) struct MessageEdit<'a> {
    #[serde(borrow)]
    pub(super) mid: Option<IdText<'a>>,
    #[serde(borrow)]
    pub(super) text: Option<Text<'a>>,
    /// Integer in the documentation's table, string in its example.
    #[serde(borrow)]
    pub(super) num_edit: Option<IdText<'a>>,
}

/// `reaction`.
#[derive(Deserialize)]
pub(super) struct Reaction<'a> {
    #[serde(borrow)]
    pub(super) mid: Option<IdText<'a>>,
    #[serde(borrow)]
    pub(super) action: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) emoji: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) reaction: Option<Text<'a>>,
}

/// `read` and `delivery`.
#[derive(Deserialize)]
pub(super) struct Receipt<'a> {
    #[serde(borrow)]
    pub(super) mid: Option<IdText<'a>>,
    #[serde(borrow)]
    pub(super) mids: Option<Vec<IdText<'a>>>,
    #[serde(default)]
    pub(super) watermark: Millis,
}

/// `postback`.
#[derive(Deserialize)]
pub(super) struct Postback<'a> {
    #[serde(borrow)]
    pub(super) mid: Option<IdText<'a>>,
    #[serde(borrow)]
    pub(super) title: Option<IdText<'a>>,
    #[serde(borrow)]
    pub(super) payload: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) referral: Option<&'a RawValue>,
}

/// `order`, of the `send_cart` field.
#[derive(Deserialize)]
pub(super) struct Cart<'a> {
    #[serde(borrow)]
    pub(super) products: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    pub(super) note: Option<IdText<'a>>,
    #[serde(borrow)]
    pub(super) catalog_id: Option<IdText<'a>>,
}

/// `message.reply_to`.
#[derive(Deserialize)]
pub(super) struct ReplyTo<'a> {
    #[serde(borrow)]
    pub(super) mid: Option<IdText<'a>>,
    pub(super) is_self_reply: Option<bool>,
    #[serde(borrow)]
    pub(super) story: Option<Story<'a>>,
}

/// `message.reply_to.story`.
#[derive(Deserialize)]
pub(super) struct Story<'a> {
    #[serde(borrow)]
    pub(super) id: Option<IdText<'a>>,
    #[serde(borrow)]
    pub(super) url: Option<Text<'a>>,
}

/// One element of `attachments[]`. `title` and `url` may stand beside `type` or inside `payload`.
#[derive(Deserialize)]
pub(super) struct Attachment<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) title: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) url: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) payload: Option<&'a RawValue>,
}

/// The payload of an attachment: every field that any type has.
#[derive(Default, Deserialize)]
pub(super) struct Payload<'a> {
    #[serde(borrow)]
    pub(super) url: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) title: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) text: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) sticker_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) reel_video_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) ig_post_media_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) coordinates: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) elements: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) product: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) booking_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) status: Option<&'a RawValue>,
}

/// The coordinates of a legacy location: `long`, elsewhere `lng`.
#[derive(Deserialize)]
pub(super) struct Coordinates {
    pub(super) lat: f64,
    #[serde(alias = "lng")]
    pub(super) long: f64,
}

/// One element of a template.
#[derive(Default, Deserialize)]
pub(super) struct Element<'a> {
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) attachment_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) title: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) subtitle: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) url: Option<&'a RawValue>,
}

/// The product of a product template.
#[derive(Deserialize)]
pub(super) struct Product<'a> {
    #[serde(borrow)]
    pub(super) elements: Option<&'a RawValue>,
}
