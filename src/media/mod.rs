//! Media: what is a file at one platform becomes a file at another.
//!
//! Called by deliver while it plans. Everything here happens before the first intent, and nothing of it is seen by
//! anybody: what fails can be tried again from the start. It decides nothing about who may see what. It trusts neither
//! addresses, types, names nor sizes that an event tells.

mod body;
mod carry;
mod convert;
mod fetch;
mod guard;
mod link;
mod name;
mod range;
mod serve;
mod sniff;
mod spool;
#[cfg(test)]
mod tests;

pub(crate) use carry::Carried;
pub use carry::{Carrier, NotCarried};
pub use convert::Converter;
pub(crate) use guard::PublicResolver;
pub use link::Links;
pub use serve::MediaServer;
