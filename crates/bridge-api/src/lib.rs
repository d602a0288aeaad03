//! The contract that bridge adapters implement. A bridge is a codec: pure functions from bytes to envelopes and
//! from what is to be sent to requests. The daemon does the HTTP, holds the secrets, retries, records.
//!
//! The numbered MUSTs stand in `docs/bridge-contract.md`.

mod bridge;
mod outcome;
mod request;

pub use bridge::{
    BodyError, Bridge, Item, ItemError, Manifest, Normalized, RenderContext, RenderError, Role,
    Split, WebhookScheme,
};
pub use interline_relay::{Action, Budgets, Capabilities, Charge, ChatKind, Outgoing, Quota, Rate};
pub use outcome::{Certainty, Class, Failure, Fault, Located, Outcome, RetryVerdict, Scope};
pub use request::{Method, MultipartFile, Request, RequestBody, Response};
