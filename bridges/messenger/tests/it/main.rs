//! The Messenger codec against the platform's own bodies and against ours.

#[cfg(test)]
mod bounds;
#[cfg(test)]
mod goldens;
#[cfg(test)]
mod ids;
#[cfg(test)]
mod mistakes;
#[cfg(test)]
mod sending;
#[cfg(test)]
mod sends;
#[cfg(test)]
mod support;
#[cfg(test)]
mod webhooks;
