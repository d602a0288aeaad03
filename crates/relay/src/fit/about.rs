//! What is about another message: edits, deletions, reactions, statuses; and typing.

use super::draft::Draft;
use super::visible::is_visible;
use crate::{Action, Loss, ReactionForm, ReactionRule, ReadRule, Reference, TypingRule};
use interline_envelope::{Part, ReactionAction, Redacted, StatusState, SystemChange};
use std::borrow::Cow;

impl Draft<'_> {
    /// A change is said anew, quoting the old copy: no platform lets a business change what it sent.
    pub(super) fn edit(&mut self) {
        if self.input.target != &Reference::None {
            self.quote_native(self.input.target);
        }
        let words: Vec<&str> = self.input.envelope.parts.iter().filter_map(own_words).collect();
        if words.is_empty() {
            self.edit_without_text();
            return;
        }
        self.fall_back(Loss::EditAsMessage);
        let words = words.join("\n");
        let words = self.translated(&words);
        let actor = self.actor();
        let text = self.with_lead(Cow::Owned(format!("✏️ {actor}edited: {words}")));
        self.say(&text);
    }

    /// A change whose new words the platform does not hand over.
    pub(super) fn edit_without_text(&mut self) {
        self.fall_back(Loss::EditTextMissing);
        let actor = self.actor();
        let text = format!("✏️ {actor}edited a message (new text not available)");
        let text = self.with_lead(Cow::Owned(text));
        self.say(&text);
    }

    /// A deletion is told. What never arrived is not missed.
    pub(super) fn delete(&mut self) {
        if self.input.target == &Reference::Unknown {
            self.show_nothing(Loss::DeleteOfUnknown);
            return;
        }
        self.fall_back(Loss::DeleteAsMessage);
        let actor = self.actor();
        let mut text = format!("🗑 {actor}deleted a message");
        if self.input.target.excerpt().is_some() {
            text = format!("{text}: {}", self.mentioned(self.input.target));
        } else {
            self.quote_wordless();
        }
        self.say(&text);
    }

    /// A reaction is set on the target's copy, or said in words.
    pub(super) fn reaction(&mut self) {
        let Some(reaction) = &self.input.envelope.reaction else {
            self.unreadable("a reaction");
            return;
        };
        let emoji = reaction.emoji.as_ref().filter(|emoji| is_visible(emoji.as_exposed_str()));
        let message = self.input.target.native_id().filter(|_| self.reacts_as_the_author());
        match (reaction.action, emoji, message) {
            (ReactionAction::Add, Some(emoji), Some(message)) if self.can_set(emoji) => {
                let (message, emoji) = (message.clone(), Some(emoji.clone()));
                self.push(Action::Reaction { message, emoji });
            }
            (ReactionAction::Add, emoji, message) => {
                // The new one can only be told: the old one must not stay as if it still held.
                let is_set = self.input.earlier_reaction == Some(ReactionForm::Native);
                if let Some(message) = message.filter(|_| is_set) {
                    self.push(Action::Reaction { message: message.clone(), emoji: None });
                }
                let emoji =
                    emoji.map_or_else(String::new, |emoji| format!(" {}", emoji.as_exposed_str()));
                self.say_reaction(&format!("reacted{emoji} to"));
            }
            (ReactionAction::Remove, emoji, Some(message)) if self.can_unset(emoji) => {
                self.push(Action::Reaction { message: message.clone(), emoji: None });
            }
            (ReactionAction::Remove, ..) => self.say_reaction("removed their reaction to"),
        }
    }

    fn say_reaction(&mut self, what: &str) {
        self.fall_back(Loss::ReactionAsText);
        let actor = self.actor();
        let mentioned = self.mentioned(self.input.target);
        if self.input.target.excerpt().is_none() {
            self.quote_wordless();
        }
        self.say(&format!("{actor}{what} {mentioned}"));
    }

    /// False where authors are named: all reactions would be those of one account, each replacing the last, and nobody
    /// could tell whose it is.
    fn reacts_as_the_author(&self) -> bool {
        !self.input.author.named && self.input.capabilities.reaction != ReactionRule::None
    }

    fn can_set(&self, emoji: &Redacted<String>) -> bool {
        match &self.input.capabilities.reaction {
            ReactionRule::None => false,
            ReactionRule::Any => true,
            ReactionRule::Only(allowed) => {
                allowed.iter().any(|own| bare(own).eq(bare(emoji.as_exposed_str())))
            }
        }
    }

    /// True if what is removed had been set. Where nobody knows, it had been if the target could set it; a removal
    /// that does not say of what is told, where the target cannot set everything.
    fn can_unset(&self, emoji: Option<&Redacted<String>>) -> bool {
        match (self.input.earlier_reaction, emoji) {
            (Some(ReactionForm::Native), _) => true,
            (Some(ReactionForm::Text), _) => false,
            (None, Some(emoji)) => self.can_set(emoji),
            (None, None) => self.input.capabilities.reaction == ReactionRule::Any,
        }
    }

    /// Where the words of a message are not known, the target's own copy of it is quoted.
    fn quote_wordless(&mut self) {
        self.quote = self.input.target.native_id().filter(|_| self.input.capabilities.reply);
    }

    /// Receipts are shown by the target's own means or not at all: a line for each would be noise.
    pub(super) fn status(&mut self) {
        let is_read = match self.input.envelope.status.as_ref().map(|status| &status.state) {
            Some(StatusState::Read | StatusState::Played) => true,
            Some(
                StatusState::Sent
                | StatusState::Delivered
                | StatusState::Failed
                | StatusState::Other(_),
            )
            | None => false,
        };
        let ids = match self.input.target {
            Reference::Native { ids, .. } => ids.as_slice(),
            Reference::None | Reference::Known { .. } | Reference::Unknown => &[],
        };
        match (self.input.capabilities.read, ids.last()) {
            (ReadRule::Message, Some(id)) if is_read => {
                self.push(Action::MarkRead { message: Some(id.clone()) });
            }
            (ReadRule::Thread, _) if is_read => self.push(Action::MarkRead { message: None }),
            (ReadRule::None | ReadRule::Message | ReadRule::Thread, _) => {
                self.show_nothing(Loss::StatusNotShown);
            }
        }
    }

    /// A new number is told, without saying which: the others may want to know that it is still the same person.
    pub(super) fn system(&mut self) {
        let change = self.input.envelope.system.as_ref().map(|system| system.change);
        if change != Some(SystemChange::Number) {
            self.show_nothing(Loss::NotForPeople);
            return;
        }
        self.fall_back(Loss::NumberChangeAsText);
        let alias = self.plain(self.input.author.alias.as_exposed_str()).into_owned();
        self.lead.name = None;
        self.say(&format!("ℹ️ {alias} has a new number"));
    }

    /// Typing is shown where that has no side effect.
    pub(super) fn typing(&mut self) {
        match self.input.capabilities.typing {
            TypingRule::Free => self.push(Action::Typing { on: true, message: None }),
            TypingRule::None | TypingRule::MarksRead => self.show_nothing(Loss::TypingNotShown),
        }
    }
}

/// An emoji without the selector that only asks for colour.
fn bare(emoji: &str) -> impl Iterator<Item = char> + '_ {
    emoji.chars().filter(|c| *c != '\u{FE0F}')
}

/// The words that an edited message has now.
fn own_words(part: &Part) -> Option<&str> {
    let words = match part {
        Part::Text { text, .. } => Some(text),
        Part::Media(media) => media.caption.as_ref(),
        Part::Location(_)
        | Part::Contacts { .. }
        | Part::Choice(_)
        | Part::Share(_)
        | Part::Order(_)
        | Part::Sealed { .. }
        | Part::Unsupported { .. }
        | Part::Other(_) => None,
    };
    words.map(Redacted::as_exposed_str).filter(|words| is_visible(words))
}
