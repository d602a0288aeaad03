//! A plan in the making: it adds requests, and keeps count of what is lost.

use super::excerpt::shortened;
use super::lead::Lead;
use super::lines;
use super::marks::{self, Change};
use super::split::{is_within, split};
use super::visible::is_visible;
use crate::{Action, FitInput, Form, Formatting, Loss, Outgoing, Plan, Reference, Refusal};
use interline_envelope::{Part, Redacted, ReplyTo};
use std::borrow::Cow;

/// How much of a message is quoted where it is answered, in grapheme clusters.
const QUOTE_GRAPHEMES: usize = 80;
/// How much of a message is quoted where it is reacted to or deleted.
const MENTION_GRAPHEMES: usize = 40;

pub(super) struct Draft<'a> {
    pub(super) input: &'a FitInput<'a>,
    pub(super) plan: Plan,
    /// The target's own id of what the first message quotes.
    pub(super) quote: Option<&'a Redacted<String>>,
    /// What the first words have to begin with.
    pub(super) lead: Lead<'a>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(input: &'a FitInput<'a>) -> Self {
        let alias = input.author.alias.as_exposed_str();
        let lead = Lead::of(alias, input.author.named, input.capabilities.formatting);
        let plan = Plan { outgoings: Vec::new(), losses: Vec::new(), form: Form::Native };
        Self { input, plan, quote: None, lead }
    }

    pub(super) fn finish(self) -> Plan {
        self.plan
    }

    /// Plans a message: each part in order.
    pub(super) fn message(&mut self) {
        self.answer();
        if self.input.envelope.forwarded {
            self.lead.forwarded = self.input.mark_forwarded;
            if !self.input.mark_forwarded {
                self.lose(Loss::ForwardedDropped);
            }
        }
        let parts = &self.input.envelope.parts;
        for run in parts.chunk_by(|a, b| is_media(a) && is_media(b)) {
            match run {
                [Part::Media(_), ..] => self.media(run),
                [part, ..] => self.part(part),
                [] => {}
            }
        }
        self.say_at_least_something();
    }

    /// An item that could not be read: at least it is told that there was one.
    pub(super) fn unsupported(&mut self) {
        if self.input.envelope.parts.is_empty() {
            self.unreadable("a message");
        } else {
            self.message();
        }
    }

    /// Quotes what a message answers, as far as that is known.
    fn answer(&mut self) {
        match &self.input.envelope.reply_to {
            None => {}
            Some(ReplyTo::Message { .. }) => self.quote_native(self.input.reply),
            Some(ReplyTo::Story { story }) => {
                let url = story.url.as_ref().map(Redacted::as_exposed_str).unwrap_or_default();
                let limit = self.input.capabilities.text;
                // A link that has to be cut leads nowhere.
                let url = if is_within(limit, url) { url } else { "" };
                let actor = self.actor();
                let story = format!("{actor}replied to your story {url}");
                self.lead.story = Some(story.trim_end().to_owned());
                self.fall_back(Loss::StoryAsText);
            }
        }
    }

    /// Lets the first message quote `reference`; where the target cannot, its beginning is quoted in words.
    pub(super) fn quote_native(&mut self, reference: &'a Reference) {
        if let Some(id) = reference.native_id().filter(|_| self.input.capabilities.reply) {
            self.quote = Some(id);
            return;
        }
        let Some(excerpt) = reference.excerpt() else {
            self.lose(Loss::ReplyDropped);
            return;
        };
        let words = self.mention(excerpt, QUOTE_GRAPHEMES);
        let author = match reference {
            Reference::Known { author: Some(author), .. } => {
                let author = self.plain(author.as_exposed_str());
                format!("{author}: ")
            }
            Reference::Known { author: None, .. }
            | Reference::Native { .. }
            | Reference::None
            | Reference::Unknown => String::new(),
        };
        self.lead.reply = Some(format!("> {author}{words}"));
        self.lose(Loss::ReplyAsText);
    }

    fn part(&mut self, part: &'a Part) {
        match part {
            Part::Text { text, .. } => self.words(text.as_exposed_str()),
            // Runs of media are planned together.
            Part::Media(_) => self.media(std::slice::from_ref(part)),
            Part::Location(place) => {
                if self.input.capabilities.location {
                    self.announce("a location");
                    self.push(Action::Location(place.clone()));
                } else {
                    self.fall_back(Loss::LocationAsText);
                    self.say_plain(&lines::location(place));
                }
            }
            Part::Contacts { contacts, .. } if contacts.is_empty() => {
                self.unreadable("a contact");
            }
            Part::Contacts { contacts, .. } => {
                // A card without a name is refused by platforms that have cards.
                let all_named = contacts.iter().all(|card| is_visible(card.name.as_exposed_str()));
                if self.input.capabilities.contacts && all_named {
                    self.announce(if contacts.len() == 1 { "a contact" } else { "contacts" });
                    self.push(Action::Contacts(contacts.clone()));
                } else {
                    self.fall_back(Loss::ContactsAsText);
                    self.say_plain(&lines::contacts(contacts));
                }
            }
            Part::Choice(choice) => match lines::choice(choice) {
                Some((text, loss)) => {
                    self.fall_back(loss);
                    self.say_plain(&text);
                }
                None => self.unreadable(super::excerpt::noun_of(part)),
            },
            Part::Share(share) => match lines::share(share, self.input.capabilities.text) {
                Some((text, Loss::StoryAsText)) => {
                    self.fall_back(Loss::StoryAsText);
                    let actor = self.actor();
                    self.say_plain(&format!("{actor}{text}"));
                }
                Some((text, loss)) => {
                    self.fall_back(loss);
                    self.say_plain(&text);
                }
                None => self.unreadable(super::excerpt::noun_of(part)),
            },
            Part::Order(order) => {
                self.fall_back(Loss::OrderAsText);
                self.say_plain(&lines::order(order));
            }
            // `fit` refuses the whole envelope before a part of it is planned.
            Part::Sealed { .. } => self.lose(Loss::Sealed),
            Part::Unsupported { native_type, .. } if is_edit(native_type) => {
                self.edit_without_text()
            }
            Part::Unsupported { native_type, .. } => {
                self.unreadable(&lines::native_noun(native_type));
            }
            Part::Other(_) => {
                let noun = lines::native_noun(part.type_name());
                self.unreadable(&noun);
            }
        }
    }

    /// An empty message is still a message.
    fn say_at_least_something(&mut self) {
        if !self.plan.outgoings.is_empty() || matches!(self.plan.form, Form::Refusal(_)) {
            return;
        }
        if self.lead.story.is_some() {
            let text = self.with_lead(Cow::Borrowed(""));
            self.say(&text);
        } else {
            self.placeholder(Loss::Empty, "an empty message");
        }
    }

    /// A person's own words.
    pub(super) fn words(&mut self, text: &str) {
        if !is_visible(text) {
            self.lose(Loss::Empty);
            return;
        }
        let words = self.translated(text);
        let text = self.with_lead(words);
        self.say(&text);
    }

    /// Words of ours about what a person did, with their literal marks guarded.
    pub(super) fn say_plain(&mut self, text: &str) {
        let text = self.plain(text);
        let text = self.with_lead(text);
        self.say(&text);
    }

    /// Says who did it where that must be told and the thing itself has no room for words.
    pub(super) fn announce(&mut self, noun: &str) {
        if self.lead.is_empty() {
            return;
        }
        let body = match self.lead.name.take() {
            Some(name) => format!("{name} sent {noun}"),
            None => String::new(),
        };
        let text = self.with_lead(Cow::Owned(body));
        self.say(&text);
    }

    /// A line in place of what nobody here can read.
    pub(super) fn unreadable(&mut self, noun: &str) {
        self.placeholder(Loss::Unreadable, &format!("{noun} that cannot be bridged"));
    }

    /// A line in place of what cannot be shown.
    fn placeholder(&mut self, loss: Loss, what: &str) {
        let text = self.placeholder_text(loss, what);
        let text = self.with_lead(Cow::Owned(text));
        self.say(&text);
    }

    /// `[Alice sent …]`. It always says who sent it, named or not: there is nothing else to see.
    pub(super) fn placeholder_text(&mut self, loss: Loss, what: &str) -> String {
        self.lose(loss);
        self.degrade(Form::Placeholder);
        let alias = self.plain(self.input.author.alias.as_exposed_str()).into_owned();
        self.lead.name = None;
        format!("[{alias} sent {what}]")
    }

    /// The author's name and a space where it must be told, else nothing.
    pub(super) fn actor(&mut self) -> String {
        self.lead.name.take().map_or_else(String::new, |name| format!("{name} "))
    }

    /// The first words of another message, on one line, in the target's dialect.
    pub(super) fn mention(&self, excerpt: &str, graphemes_max: usize) -> String {
        // A quarter of the limit, so that a quote never crowds out what it is quoted for.
        let bytes_max = (self.input.capabilities.text.max / 4).max(1);
        let short = shortened(excerpt, graphemes_max, bytes_max);
        self.plain(&short).into_owned()
    }

    /// `"first 40 characters…"`, or `a message` where its words are not known.
    pub(super) fn mentioned(&self, reference: &Reference) -> String {
        reference.excerpt().map_or_else(
            || "a message".to_owned(),
            |excerpt| format!("\"{}\"", self.mention(excerpt, MENTION_GRAPHEMES)),
        )
    }

    /// A person's own words in the target's dialect.
    pub(super) fn translated<'t>(&mut self, text: &'t str) -> Cow<'t, str> {
        let (text, change) = marks::translate(
            text,
            self.input.origin.formatting,
            self.input.capabilities.formatting,
        );
        match change {
            Change::None => {}
            Change::Removed => self.lose(Loss::FormattingRemoved),
            Change::Guarded => self.lose(Loss::MarksNeutralised),
        }
        text
    }

    /// Words that carry no formatting, in the target's dialect.
    pub(super) fn plain<'t>(&self, text: &'t str) -> Cow<'t, str> {
        marks::translate(text, Formatting::Plain, self.input.capabilities.formatting).0
    }

    pub(super) fn with_lead<'t>(&mut self, body: Cow<'t, str>) -> Cow<'t, str> {
        if self.lead.is_empty() {
            return body;
        }
        Cow::Owned(std::mem::take(&mut self.lead).before(&body))
    }

    /// Adds a text, in as many messages as it takes.
    pub(super) fn say(&mut self, text: &str) {
        let limit = self.input.capabilities.text;
        if is_within(limit, text) {
            self.push_text(text);
            return;
        }
        let Some(pieces) = split(text, limit) else {
            self.lose(Loss::TextNotShown);
            self.degrade(Form::Refusal(Refusal::NoRoom));
            self.plan.outgoings.clear();
            return;
        };
        if pieces.len() > 1 {
            self.lose(Loss::TextSplit);
        }
        for piece in pieces {
            self.push_text(piece);
        }
    }

    fn push_text(&mut self, text: &str) {
        if !is_visible(text) {
            return;
        }
        let link_preview = text.contains("https://") || text.contains("http://");
        let text = Redacted::new(text.to_owned());
        self.push(Action::Text { text, link_preview, quick_replies: Vec::new() });
    }

    /// Adds one request. The first that is shown as a message carries the quote.
    pub(super) fn push(&mut self, action: Action) {
        if matches!(self.plan.form, Form::Refusal(_)) {
            return;
        }
        let mut outgoing = Outgoing::new(self.input.to.clone(), action);
        outgoing.reply_to = self.quote.take().cloned();
        self.plan.outgoings.push(outgoing);
    }

    /// Plans nothing, and says so.
    pub(super) fn show_nothing(&mut self, loss: Loss) {
        self.lose(loss);
        self.plan.form = Form::Nothing;
    }

    /// Something arrives as something else.
    pub(super) fn fall_back(&mut self, loss: Loss) {
        self.lose(loss);
        self.degrade(Form::Fallback);
    }

    pub(super) fn lose(&mut self, loss: Loss) {
        if !self.plan.losses.contains(&loss) {
            self.plan.losses.push(loss);
        }
    }

    /// The form of a plan is that of its worst part.
    pub(super) fn degrade(&mut self, form: Form) {
        let rank = |form: Form| match form {
            Form::Native => 0,
            Form::Fallback => 1,
            Form::Placeholder => 2,
            Form::Nothing => 3,
            Form::Refusal(_) => 4,
        };
        if rank(form) > rank(self.plan.form) {
            self.plan.form = form;
        }
    }
}

const fn is_media(part: &Part) -> bool {
    matches!(part, Part::Media(_))
}

/// A platform's word for an edit whose new text it does not hand over.
fn is_edit(native_type: &str) -> bool {
    native_type.rsplit(['/', '.', ':']).next() == Some("edit")
}
