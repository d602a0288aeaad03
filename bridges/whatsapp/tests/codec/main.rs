//! The WhatsApp codec from outside: what webhooks mean, what requests look like, what is refused.

mod shared_webhooks;
mod support;
