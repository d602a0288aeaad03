//! What is about another message: edits, deletions, reactions, statuses; and typing.

use super::draft::Draft;
use crate::{Action, Loss, ReactionRule, ReadRule, Reference, TypingRule};
use interline_envelope::{Part, ReactionAction, Redacted, StatusState};
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
        let emoji = reaction.emoji.as_ref().filter(|emoji| !emoji.as_exposed_str().is_empty());
        let emoji = match reaction.action {
            ReactionAction::Add => emoji,
            ReactionAction::Remove => None,
        };
        let known = reaction.emoji.as_ref().map(Redacted::as_exposed_str);
        if let Some(message) = self.input.target.native_id().filter(|_| self.can_react(known)) {
            // A reaction of nothing would be a removal.
            if reaction.action == ReactionAction::Remove || emoji.is_some() {
                let (message, emoji) = (message.clone(), emoji.cloned());
                self.push(Action::Reaction { message, emoji });
                return;
            }
        }
        self.fall_back(Loss::ReactionAsText);
        let actor = self.actor();
        let mentioned = self.mentioned(self.input.target);
        let text = match (reaction.action, emoji) {
            (ReactionAction::Remove, _) => {
                format!("{actor}removed their reaction to {mentioned}")
            }
            (ReactionAction::Add, Some(emoji)) => {
                format!("{actor}reacted {} to {mentioned}", emoji.as_exposed_str())
            }
            (ReactionAction::Add, None) => format!("{actor}reacted to {mentioned}"),
        };
        if self.input.target.excerpt().is_none() {
            self.quote_wordless();
        }
        self.say(&text);
    }

    /// True if the target can set this reaction, or remove it; `None`: one that is not known (a removal).
    ///
    /// Where authors are named it cannot: all reactions would be those of one account, each replacing the last, and
    /// nobody could tell whose it is.
    fn can_react(&self, emoji: Option<&str>) -> bool {
        if self.input.author.named {
            return false;
        }
        match &self.input.capabilities.reaction {
            ReactionRule::None => false,
            ReactionRule::Any => true,
            ReactionRule::Only(allowed) => emoji.is_none_or(|emoji| {
                emoji.is_empty() || allowed.iter().any(|own| bare(own).eq(bare(emoji)))
            }),
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
    words.map(Redacted::as_exposed_str).filter(|words| !words.trim().is_empty())
}
