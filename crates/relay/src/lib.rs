//! Decides what becomes of an envelope: where it goes, who may hear it, and in what form.
//!
//! Called by the relay and deliver stages. Pure: no clock (the time is an argument), no I/O, no platform's name.
//! Bridges describe themselves in [`Capabilities`]; what they have to send is an [`Outgoing`].

mod capabilities;
mod outgoing;

pub use capabilities::{
    Capabilities, ChatKind, Formatting, MediaAccess, MediaRule, ReactionRule, ReadRule, TextLimit, TextUnit, TypingRule,
};
pub use outgoing::{
    Action, MediaSource, MessagingType, OutMedia, Outgoing, QuickReply, Recipient, ThreadControl, UploadSpec,
};
