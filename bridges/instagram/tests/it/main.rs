//! The Instagram codec against the platform's own bodies and against ours.

#[path = "../../../messenger/tests/it/support.rs"]
mod support;
mod webhooks;
