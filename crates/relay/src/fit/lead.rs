//! What stands before the first words that are shown: whom it answers, who says it, that it was forwarded.

use crate::Formatting;
use crate::fit::marks;
use std::borrow::Cow;

/// Pending until something with words takes it.
#[derive(Default)]
pub(super) struct Lead<'a> {
    /// `> Bob: See you at eight…`
    pub(super) reply: Option<String>,
    /// The author's alias, where it must be told.
    pub(super) name: Option<Cow<'a, str>>,
    /// True to say that it was forwarded.
    pub(super) forwarded: bool,
    /// `replied to your story https://…`
    pub(super) story: Option<String>,
}

impl<'a> Lead<'a> {
    pub(super) const fn is_empty(&self) -> bool {
        self.reply.is_none() && self.name.is_none() && !self.forwarded && self.story.is_none()
    }

    /// The author's name, where it must be told, in the target's dialect.
    pub(super) fn of(alias: &'a str, named: bool, target: Formatting) -> Self {
        let name = named.then(|| marks::translate(alias, Formatting::Plain, target).0);
        Self { name, ..Self::default() }
    }

    /// The lead and `body` behind it; the name alone where there is no body.
    pub(super) fn before(self, body: &str) -> String {
        let mut text = String::with_capacity(body.len() + 64);
        if let Some(reply) = &self.reply {
            text.push_str(reply);
            text.push_str("\n\n");
        }
        let has_more = self.forwarded || self.story.is_some() || !body.is_empty();
        if let Some(name) = &self.name {
            text.push_str(name);
            text.push_str(if has_more { ": " } else { "" });
        }
        if self.forwarded {
            text.push_str("↪ forwarded\n");
        }
        if let Some(story) = &self.story {
            text.push_str(story);
            text.push_str("\n\n");
        }
        text.push_str(body);
        if body.is_empty() {
            text.truncate(text.trim_end().len());
        }
        text
    }
}
