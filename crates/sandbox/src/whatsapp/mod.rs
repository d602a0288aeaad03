//! WhatsApp's Cloud API and webhooks, from the platform's side.

pub(crate) mod send;
pub(crate) mod validate;
pub(crate) mod words;
