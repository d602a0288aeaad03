//! The Messenger codec against the platform's own bodies and against ours.

mod support;
mod webhooks;
