//! What Messenger and Instagram share: the `entry[].messaging[]` webhook format and the Send API.
//!
//! Called by the two bridges, which add a [`Dialect`]: names, limits and what only one of them has. Pure, like all
//! of this crate. Refuses to guess: an event that cannot be read becomes an `unsupported` envelope or an
//! [`interline_bridge_api::ItemError`], and never fails its neighbours.
//!
//! Facts: PLATFORMS.md sections 2 to 6, 8 and 9, as each module names them.
//!
//! The walk: `walk` takes a body apart (`single` is its shortcut for one message), `event` opens one event and says who spoke to whom, `normalize` makes its
//! envelope, `content` and `share` its parts, `split` hands each event on as a body of its own; `render` and
//! `answer` are the Send API.

mod account;
mod answer;
mod builder;
mod content;
mod dialect;
mod event;
mod kept;
mod normalize;
mod render;
mod share;
mod single;
mod split;
mod walk;
mod wire;

pub use dialect::{Dialect, Emoji, SendRules};
