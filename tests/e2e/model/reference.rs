//! What every phone has to show in the end: who said what, and what others see of it.
//!
//! It knows nothing of queues, lanes or retries. What is native where stands in docs/fidelity.md: reactions between two
//! people, but for Instagram, which shows hearts alone; everything else about a message is told in words.

use super::draw::HEART;
use interline_sandbox::{Kind, Seen};
use std::collections::HashMap;

/// How the bytes of each photo begin.
const PHOTO_BEGINS: &[u8] = b"\x89PNG\r\n\x1a\n";
/// Behind the name of who sent a photo, where photos have no captions.
const SENT_A_PHOTO: &str = " sent a photo";

/// A text that somebody said.
struct Message {
    author: usize,
    text: String,
    reply_to: Option<usize>,
    /// Its id on the author's own phone.
    own_id: String,
    /// It was taken back in the same breath: whoever has not got it yet never does.
    may_be_gone: bool,
    is_photo: bool,
    /// On whose phone it may stand behind what its author said later.
    late_on: Option<usize>,
}

/// What somebody did about a message.
#[derive(Clone, Debug)]
enum Deed {
    Reacted(&'static str),
    /// Took away the reaction that stood.
    Unreacted(&'static str),
    /// Nothing where the platform does not hand the new words over.
    Edited(Option<String>),
    TookBack,
}

struct Done {
    by: usize,
    of: usize,
    deed: Deed,
}

/// A bubble that a phone must show.
struct Wanted {
    text: String,
    quotes: Option<usize>,
    is: Is,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Is {
    Message(usize),
    /// In order behind what it is about, and behind what else its author did about it.
    About {
        by: usize,
        of: usize,
    },
    /// Names no message, so it has no place.
    Loose,
}

/// How a deed reaches somebody.
enum Shown {
    /// As the reaction that stands on the message from now on.
    Native(Option<&'static str>),
    Words {
        text: String,
        quotes: Option<usize>,
    },
}

pub(super) struct Reference {
    cast: Vec<Kind>,
    messages: Vec<Message>,
    done: Vec<Done>,
}

impl Reference {
    pub(super) fn new(cast: &[Kind]) -> Self {
        Self { cast: cast.to_vec(), messages: Vec::new(), done: Vec::new() }
    }

    /// What is said next: no two texts are the same.
    pub(super) fn next_text(&self) -> String {
        let words = ["harbour", "bread 🥨", "at nine?", "これは", "a walk 👨‍👩‍👧‍👦"];
        let n = self.messages.len();
        format!("#{n} {}", words[n % words.len()])
    }

    /// What only WhatsApp shows in one piece: each word behind the first says where it belongs.
    pub(super) fn next_long_text(&self) -> String {
        let n = self.messages.len();
        let words: Vec<String> = (0..400).map(|word| format!("{n}.{word}")).collect();
        format!("#{n} {}", words.join(" "))
    }

    /// What is sent next: no two photos have the same bytes.
    pub(super) fn next_photo(&self) -> Vec<u8> {
        [PHOTO_BEGINS, self.messages.len().to_string().as_bytes()].concat()
    }

    pub(super) fn sent_photo(&mut self, author: usize, own_id: String) {
        let n = self.said(author, String::new(), None, own_id);
        self.messages[n].text = format!("[photo {n}]");
        self.messages[n].is_photo = true;
    }

    /// A message may come to somebody behind what its author said later.
    pub(super) fn may_be_late(&mut self, message: usize, on: usize) {
        self.messages[message].late_on = Some(on);
    }

    /// The number of the message that it becomes.
    pub(super) fn said(
        &mut self,
        author: usize,
        text: String,
        reply_to: Option<usize>,
        own_id: String,
    ) -> usize {
        self.messages.push(Message {
            author,
            text,
            reply_to,
            own_id,
            may_be_gone: false,
            is_photo: false,
            late_on: None,
        });
        self.messages.len() - 1
    }

    pub(super) fn reacted(&mut self, by: usize, of: usize, emoji: &'static str) {
        self.done.push(Done { by, of, deed: Deed::Reacted(emoji) });
    }

    pub(super) fn unreacted(&mut self, by: usize, of: usize) {
        let before = self.done.iter().rev().find_map(|done| match done.deed {
            Deed::Reacted(emoji) if (done.by, done.of) == (by, of) => Some(emoji),
            Deed::Reacted(_) | Deed::Unreacted(_) | Deed::Edited(_) | Deed::TookBack => None,
        });
        let before = before.expect("only what was set is taken away");
        self.done.push(Done { by, of, deed: Deed::Unreacted(before) });
    }

    pub(super) fn edited(&mut self, by: usize, of: usize, text: Option<String>) {
        self.done.push(Done { by, of, deed: Deed::Edited(text) });
    }

    pub(super) fn took_back(&mut self, by: usize, of: usize, may_be_gone: bool) {
        self.messages[of].may_be_gone = may_be_gone;
        self.done.push(Done { by, of, deed: Deed::TookBack });
    }

    pub(super) fn author(&self, message: usize) -> usize {
        self.messages[message].author
    }

    pub(super) fn own_id(&self, message: usize) -> &str {
        &self.messages[message].own_id
    }

    /// A message as everybody but its author sees it.
    pub(super) fn line(&self, message: usize) -> String {
        let Message { author, text, is_photo, .. } = &self.messages[message];
        match (self.is_named(), is_photo) {
            (false, _) => text.clone(),
            (true, false) => format!("{}: {text}", self.alias(*author)),
            (true, true) => format!("{text} {}", self.alias(*author)),
        }
    }

    /// The id of a message that somebody else said; of a long one, that of any of its pieces.
    pub(super) fn id_in(&self, view: &[Seen], message: usize) -> Option<String> {
        let line = self.line(message);
        let bubble =
            bubbles(view).into_iter().find(|bubble| !bubble.mine && bubble.text == line)?;
        let piece = message % bubble.ids.len();
        bubble.ids.into_iter().nth(piece)
    }

    /// Authors are named where more than two hear each other.
    fn is_named(&self) -> bool {
        self.cast.len() > 2
    }

    /// Only WhatsApp hands names over.
    fn alias(&self, who: usize) -> &'static str {
        match self.cast[who] {
            Kind::WhatsApp => super::NAME_ON_WHATSAPP,
            Kind::Messenger => "Someone on Messenger",
            Kind::Instagram => "Someone on Instagram",
        }
    }

    fn shown(&self, done: &Done, to: usize) -> Shown {
        let actor =
            if self.is_named() { format!("{} ", self.alias(done.by)) } else { String::new() };
        let text = &self.messages[done.of].text;
        let takes = |emoji: &str| self.cast[to] != Kind::Instagram || emoji == HEART;
        let words = |text: String, quotes| Shown::Words { text, quotes };
        match &done.deed {
            Deed::Reacted(emoji) if !self.is_named() && takes(emoji) => Shown::Native(Some(emoji)),
            Deed::Reacted(emoji) => words(format!("{actor}reacted {emoji} to \"{text}\""), None),
            Deed::Unreacted(emoji) if !self.is_named() && takes(emoji) => Shown::Native(None),
            Deed::Unreacted(_) => {
                words(format!("{actor}removed their reaction to \"{text}\""), None)
            }
            Deed::Edited(Some(text)) => words(format!("✏️ {actor}edited: {text}"), Some(done.of)),
            Deed::Edited(None) => {
                words(format!("✏️ {actor}edited a message (new text not available)"), None)
            }
            Deed::TookBack => words(format!("🗑 {actor}deleted a message: \"{text}\""), None),
        }
    }

    /// Everything that others bring to one phone, in the order of doing.
    fn wanted(&self, to: usize, view: &[Bubble]) -> Vec<Wanted> {
        let is_gone = |n: usize| {
            let line = self.line(n);
            self.messages[n].may_be_gone && !view.iter().any(|bubble| bubble.text == line)
        };
        let messages = self.messages.iter().enumerate();
        let others = messages.filter(|(n, message)| message.author != to && !is_gone(*n));
        let mut wanted: Vec<Wanted> = others
            .map(|(n, message)| Wanted {
                text: self.line(n),
                quotes: message.reply_to,
                is: Is::Message(n),
            })
            .collect();
        for done in self.done.iter().filter(|done| done.by != to && !is_gone(done.of)) {
            if let Shown::Words { text, quotes } = self.shown(done, to) {
                let is = match done.deed {
                    Deed::Edited(None) => Is::Loose,
                    Deed::Reacted(_)
                    | Deed::Unreacted(_)
                    | Deed::Edited(Some(_))
                    | Deed::TookBack => Is::About { by: done.by, of: done.of },
                };
                wanted.push(Wanted { text, quotes, is });
            }
        }
        wanted
    }

    /// The reactions that stand on one phone in the end, by message. What can only be told takes away what was set.
    fn reactions(&self, on: usize) -> HashMap<usize, &'static str> {
        let mut stand = HashMap::new();
        for done in self.done.iter().filter(|done| done.by != on) {
            match self.shown(done, on) {
                Shown::Native(Some(emoji)) => drop(stand.insert(done.of, emoji)),
                Shown::Native(None) => drop(stand.remove(&done.of)),
                Shown::Words { .. } if matches!(done.deed, Deed::Reacted(_)) => {
                    stand.remove(&done.of);
                }
                Shown::Words { .. } => {}
            }
        }
        stand
    }

    /// Compares what a phone shows with what it has to show.
    ///
    /// # Errors
    /// Every difference, a line each.
    pub(super) fn check(&self, on: usize, view: &[Seen]) -> Result<(), String> {
        let view = &bubbles(view);
        let wanted = self.wanted(on, view);
        let mut wrong = Vec::new();
        // Where each bubble that is wanted stands.
        let mut places: Vec<Option<usize>> = vec![None; wanted.len()];
        for (place, bubble) in view.iter().enumerate().filter(|(_, bubble)| !bubble.mine) {
            let fits = |n: &usize| places[*n].is_none() && wanted[*n].text == bubble.text;
            match (0..wanted.len()).find(fits) {
                Some(n) => places[n] = Some(place),
                None => wrong.push(format!("too much: {:?}", bubble.text)),
            }
        }
        let missing = wanted.iter().zip(&places).filter(|(_, place)| place.is_none());
        wrong.extend(missing.map(|(wanted, _)| format!("missing: {:?}", wanted.text)));
        if wrong.is_empty() {
            let places: Vec<usize> = places.into_iter().flatten().collect();
            self.check_places(on, &wanted, &places, &mut wrong);
            self.check_bubbles(on, view, &wanted, &places, &mut wrong);
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    }

    /// Messages in each author's order; what is about one behind it, in the order of doing.
    fn check_places(
        &self,
        on: usize,
        wanted: &[Wanted],
        places: &[usize],
        wrong: &mut Vec<String>,
    ) {
        let mut last_of = HashMap::new();
        let mut last_about = HashMap::new();
        let place_of: HashMap<usize, usize> = wanted
            .iter()
            .zip(places)
            .filter_map(|(wanted, place)| match wanted.is {
                Is::Message(n) => Some((n, *place)),
                Is::About { .. } | Is::Loose => None,
            })
            .collect();
        for (one, &place) in wanted.iter().zip(places) {
            let before = match one.is {
                Is::Message(n) if self.messages[n].late_on == Some(on) => None,
                Is::Message(n) => last_of.insert(self.author(n), place),
                Is::About { by, of } => {
                    last_about.insert((by, of), place).max(place_of.get(&of).copied())
                }
                Is::Loose => None,
            };
            if before.is_some_and(|before| before > place) {
                wrong.push(format!("too early: {:?}", one.text));
            }
        }
    }

    /// Quotes and reactions.
    fn check_bubbles(
        &self,
        on: usize,
        view: &[Bubble],
        wanted: &[Wanted],
        places: &[usize],
        wrong: &mut Vec<String>,
    ) {
        let mut ids: HashMap<usize, &[String]> = HashMap::new();
        let own = self.messages.iter().enumerate().filter(|(_, message)| message.author == on);
        ids.extend(own.map(|(n, message)| (n, std::slice::from_ref(&message.own_id))));
        for (one, place) in wanted.iter().zip(places) {
            if let Is::Message(n) = one.is {
                ids.insert(n, &view[*place].ids);
            }
        }
        for (one, place) in wanted.iter().zip(places) {
            let should = one.quotes.and_then(|quoted| ids.get(&quoted).copied());
            let quotes = view[*place].quotes.as_ref();
            let is_right = match (quotes, should) {
                (Some(quotes), Some(should)) => should.contains(quotes),
                (quotes, should) => quotes.is_none() && should.is_none(),
            };
            if !is_right {
                wrong.push(format!("{:?} quotes {quotes:?} and not {should:?}", one.text));
            }
        }
        let stand = self.reactions(on);
        for bubble in view {
            let message = ids.iter().find(|(_, ids)| **ids == bubble.ids).map(|(n, _)| n);
            let should: Vec<&str> =
                message.and_then(|n| stand.get(n).copied()).into_iter().collect();
            if bubble.reactions != should {
                let Bubble { text, reactions, .. } = bubble;
                wrong.push(format!("{text:?} bears {reactions:?} and not {should:?}"));
            }
        }
    }

    /// What somebody said that their phone does not show as read. It is once all others have read what they have of it.
    pub(super) fn unread(&self, on: usize, view: &[Seen]) -> Vec<String> {
        let is_lasting = |seen: &&Seen| {
            let message = self.messages.iter().find(|message| message.own_id == seen.native_id);
            message.is_some_and(|message| message.author == on && !message.may_be_gone)
        };
        let unread = view.iter().filter(|seen| seen.mine && !seen.read && !seen.unsent);
        unread.filter(is_lasting).map(|seen| seen.text().unwrap_or_default().to_owned()).collect()
    }
}

/// What a phone shows as one thing: the pieces of a long text are.
struct Bubble {
    ids: Vec<String>,
    mine: bool,
    text: String,
    quotes: Option<String>,
    reactions: Vec<String>,
}

/// What a phone shows, without what Interline itself says.
fn bubbles(view: &[Seen]) -> Vec<Bubble> {
    let mut bubbles: Vec<Bubble> = Vec::new();
    for seen in view {
        // What its owner says may come between two pieces.
        let last = bubbles.iter_mut().rfind(|bubble| !bubble.mine);
        let text = &*words_of(seen);
        if !seen.mine && text.starts_with("Interline: ") {
            continue;
        }
        let reaction = seen.reaction.as_deref().map(|emoji| emoji.trim_end_matches('\u{FE0F}'));
        let reactions: Vec<String> = reaction.map(str::to_owned).into_iter().collect();
        match last {
            Some(before) if !seen.mine && goes_on(&before.text, text) => {
                before.ids.push(seen.native_id.clone());
                before.text = match before.text.strip_suffix(SENT_A_PHOTO) {
                    Some(name) => format!("{text} {name}"),
                    None => format!("{} {text}", before.text),
                };
                before.reactions.extend(reactions);
            }
            _ => bubbles.push(Bubble {
                ids: vec![seen.native_id.clone()],
                mine: seen.mine,
                text: text.to_owned(),
                quotes: seen.quotes.clone(),
                reactions,
            }),
        }
    }
    bubbles
}

/// What a bubble says; a photo says which it is, before its caption.
fn words_of(seen: &Seen) -> String {
    let caption = seen.text().unwrap_or_default();
    let Some(media) = seen.media() else { return caption.to_owned() };
    let number = media.bytes.strip_prefix(PHOTO_BEGINS).unwrap_or_default();
    format!("[photo {}] {caption}", String::from_utf8_lossy(number)).trim_end().to_owned()
}

/// True if a text is the next piece of a long one, or a photo that was announced.
fn goes_on(before: &str, text: &str) -> bool {
    if before.ends_with(SENT_A_PHOTO) && text.starts_with("[photo ") {
        return true;
    }
    let word = |word: Option<&str>| -> Option<(usize, usize)> {
        let (message, word) = word?.split_once('.')?;
        Some((message.parse().ok()?, word.parse().ok()?))
    };
    let last = word(before.split(' ').next_back());
    let next = last.map(|(message, word)| (message, word + 1));
    next.is_some() && next == word(text.split(' ').next())
}
