//! What a person is told when something that they sent could not be delivered: which sentence, in which language, and
//! how often.
//!
//! Called by deliver. Pure: the clock is an argument; sending is the caller's. The sentences stand in `catalogues/`, a
//! file a language, in Fluent's form.
//!
//! *Invariant:* a notice names nobody but by the name that the person knows already, and repeats nothing that was said.
//! *Invariant:* one cause is told once an hour in one place.

mod catalogue;
mod cause;
mod language;
mod limiter;

pub use catalogue::notice;
pub use cause::Cause;
pub use language::Language;
pub use limiter::{HOUR, Limiter};
