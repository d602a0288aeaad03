//! What the three Meta platforms share: signatures, ids and times, error classes, rate headers, bounds of a body.
//!
//! Called by the bridges and by ingest. Pure: no clock, no I/O, no platform's event format.
//! Facts stand in PLATFORMS.md; each module names its section.

mod body;
mod canonical;
mod challenge;
mod classes;
mod error;
mod id_text;
pub mod messaging;
mod signature;
mod time;
mod usage;

pub use body::{check_body, foreign_or_json, reason_of};
pub use canonical::{canonical, canonical_or_raw};
pub use challenge::{ChallengeError, answer_challenge};
pub use classes::{Network, classify};
pub use error::{ErrorBody, failure_of, parse_error};
pub use id_text::{IdText, Text};
pub use signature::{SIGNATURE_HEADER, SignatureError, sign, verify_signature};
pub use time::{Millis, millis_of_text};
pub use usage::{BusinessUsage, Usage, UsageReport, parse_usage, quota, retry_after};
