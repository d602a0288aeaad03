//! The Instagram codec against the platform's own bodies and against ours.

#[cfg(test)]
mod goldens;
#[cfg(test)]
mod ids;
#[cfg(test)]
mod mistakes;
#[cfg(test)]
#[path = "../../../messenger/tests/it/sending.rs"]
mod sending;
#[cfg(test)]
mod sends;
#[cfg(test)]
#[path = "../../../messenger/tests/it/support.rs"]
mod support;
#[cfg(test)]
mod webhooks;
