//! The common schema that every platform's events are normalised into: envelope v1, dispatch v1, their ids.
//!
//! Pure: no clock, no I/O, no platform. Everything else in the house depends on this crate, and it on nothing.
//! Field names are fixed by `docs/envelope.schema.json`, which is generated from the types here.
//!
//! *Invariant:* unknown fields survive a round trip ([`Unknown`]), so an older daemon never strips what a newer
//! adapter wrote.
//! *Invariant:* what belongs to a person (ids, names, texts) is [`Redacted`]; it has no `Display`, and its `Debug`
//! prints `<redacted>`.

mod address;
mod bounds;
mod dispatch;
mod envelope;
mod id;
mod keys;
mod part;
mod redacted;
mod schema;

pub use address::{AccountRef, Address, AddressError, Platform, PlatformError};
pub use bounds::{
    BODY_BYTES_MAX, ENVELOPE_BYTES_MAX, EXTRA_BYTES_MAX, ITEMS_MAX, NESTING_MAX, PARTS_MAX,
    bounded_extra,
};
pub use dispatch::{Author, Dispatch, DispatchError, Origin};
pub use envelope::{
    Direction, Envelope, EnvelopeError, Kind, Person, Reaction, ReactionAction, Referral, ReplyTo,
    Status, StatusError, StatusState, StoryRef, SystemChange, SystemEvent, Target, Unknown,
};
pub use id::{DispatchId, EnvelopeId, IdError, IdInput, IdKey, LaneId, NativeKey};
pub use keys::{ROOT_KEY_BYTES, RootKey, Seal, SealError, Subkey};
pub use part::{
    Choice, ChoiceOf, ContactCard, Location, Media, MediaKind, Order, OrderItem, Part, Share,
    ShareOf,
};
pub use redacted::Redacted;
pub use schema::{dispatch_schema, envelope_schema};
