//! The Messenger Platform, which Instagram's messages run on too, from the platform's side.

pub(crate) mod attach;
pub(crate) mod send;
pub(crate) mod words;
