//! Decides what becomes of an envelope: where it goes, who may hear it, and in what form.
//!
//! Called by the relay and deliver stages. Pure: no clock (the time is an argument), no I/O, no platform's name.
//! Bridges describe themselves in [`Capabilities`]; what they have to send is an [`Outgoing`].

mod capabilities;
mod directory;
mod fit;
mod lane;
mod likeness;
mod outgoing;
mod pace;
mod plan;
mod route;
mod window;

pub use capabilities::{
    Capabilities, ChatKind, Formatting, MediaAccess, MediaRule, OwnStickers, ReactionRule,
    ReadRule, TextLimit, TextUnit, TypingRule,
};
pub use directory::{
    Attribution, Binding, Conversation, Directory, DirectoryError, Participant, Seat,
};
pub use fit::{
    Conversion, Conversions, MediaWay, caption_apart, excerpt, fit, instead_of_media, media_ways,
};
pub use lane::{LanePolicy, backoff, first_to_go};
pub use likeness::{likeness_of, likeness_of_echo};
pub use outgoing::{
    Action, MediaSource, MessagingType, OutMedia, Outgoing, QuickReply, Recipient, ThreadControl,
    UploadSpec,
};
pub use pace::{Bucket, Budgets, Charge, Pairs, Quota, Rate};
pub use plan::{
    FitInput, Form, Loss, Means, MediaLinks, OriginTraits, Plan, ReactionForm, Reference, Refusal,
};
pub use route::{ALIAS_GRAPHEMES_MAX, Absorbed, Route, alias, route, unnamed};
pub use window::{Passage, Window, opens_window};
