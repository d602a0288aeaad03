//! The demo: a conversation of three people, and whether every phone shows what it must.
//!
//! What must be shown stands here in full, word for word and byte for byte. A check that fails says what it expected
//! and what it saw; it never ends the play, unless nothing is there that could be answered.

use super::cast::{ALICE, BOB, CARLA, CAST, Member, platform_name};
use super::screen;
use super::{Sandbox, SandboxError};
use bytes::Bytes;
use interline_embedded_broker::{EmbeddedBroker, Snapshot};
use interline_sandbox::{Counts, MediaKind, Phone, Platform, Seen};
use serde::Serialize;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

/// How long a phone may be watched for what it must show. Generous: it is no measure of speed.
pub const LIMIT: Duration = Duration::from_secs(30);
/// The longest text that Instagram takes, in bytes.
pub(super) const INSTAGRAM_TEXT_BYTES_MAX: usize = 1000;

const GREETING: &str = "Hi both! I am on WhatsApp. Where are you? 👋";
const ANSWER: &str = "On Messenger, and I can hear you.";
const HEART: &str = "❤";
const CAPTION: &str = "The *old harbour* this morning";
const CAPTION_WITHOUT_MARKS: &str = "The old harbour this morning";
const GOODBYE: &str = "See you there. From Instagram with love 💜";
/// A PNG of one pixel.
pub(super) const PHOTO: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x04\0\0\0\xb5\x1c\x0c\x02\
\0\0\0\x0bIDATx\xdacd`\0\0\0\x06\0\x020\x81\xd0/\0\0\0\0IEND\xaeB`\x82";
/// The head of an Ogg stream with Opus, as WhatsApp's voice notes begin.
pub(super) const OGG: &[u8] = b"OggS\0\x02\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\x01\x13\
OpusHead\x01\x01\x38\x01\x80\xbb\0\0\0\0\0";
/// The head of an MP4 sound file, as Messenger's voice clips begin.
pub(super) const MP4: &[u8] = b"\0\0\0\x1cftypM4A \0\0\0\0M4A mp42isom\0\0\0\0\0\0\0\x08mdat";

/// One thing that a phone, or the whole, must show.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What it is about.
    pub name: String,
    /// Whether it holds.
    pub holds: bool,
    /// What must be seen.
    pub expected: String,
    /// What is seen.
    pub seen: String,
}

/// What became of the play.
#[derive(Debug)]
pub struct Played {
    /// In the order of the play.
    pub checks: Vec<Check>,
    /// Every phone's screen at the end.
    pub screens: Vec<(Member, Vec<Seen>)>,
}

impl Played {
    /// True if every check holds.
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.holds)
    }
}

/// Plays it. Whatever does not come within `limit` is a check that fails.
///
/// # Errors
/// [`SandboxError`] if the daemon ends meanwhile. A check that fails is no error.
pub async fn play(sandbox: &mut Sandbox, limit: Duration) -> Result<Played, SandboxError> {
    let mut phones = HashMap::new();
    for member in CAST {
        phones.insert(member.name, sandbox.phone(&member)?);
    }
    let mut stage = Stage {
        phones,
        platforms: sandbox.platforms().all().map(Platform::clone),
        broker: sandbox.broker().clone(),
        heard: HashMap::new(),
        checks: Vec::new(),
        limit,
    };
    tokio::select! {
        played = stage.play() => played?,
        error = sandbox.ended() => return Err(error),
    }
    let mut screens = Vec::new();
    for member in CAST {
        screens.push((member, sandbox.phone(&member)?.view()));
    }
    Ok(Played { checks: stage.checks, screens })
}

/// One message that a phone must show.
enum Wanted {
    Text(String),
    Answer { to: String, text: String },
    File { kind: MediaKind, bytes: &'static [u8] },
}

impl Wanted {
    fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    fn fits(&self, seen: &Seen) -> bool {
        match self {
            Self::Text(text) => seen.text() == Some(text) && seen.quotes.is_none(),
            Self::Answer { to, text } => {
                seen.text() == Some(text) && seen.quotes.as_ref() == Some(to)
            }
            Self::File { kind, bytes } => {
                seen.media().is_some_and(|media| media.kind == *kind && media.is(bytes))
            }
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Text(text) => format!("“{text}”"),
            Self::Answer { text, .. } => format!("“{text}” as an answer"),
            Self::File { kind, bytes } => format!("{kind:?}, {} bytes", bytes.len()),
        }
    }
}

/// The same words for what is there.
fn words_of(seen: &Seen) -> String {
    let answer = if seen.quotes.is_some() { " as an answer" } else { "" };
    match (seen.media(), seen.text()) {
        (Some(media), _) => format!("{:?}, {} bytes{answer}", media.kind, media.bytes.len()),
        (None, Some(text)) => format!("“{text}”{answer}"),
        (None, None) => format!("{}{answer}", screen::words(&seen.content)),
    }
}

struct Stage {
    phones: HashMap<&'static str, Phone>,
    platforms: [Platform; 3],
    broker: EmbeddedBroker,
    /// How many messages each person has got so far, as far as they were expected.
    heard: HashMap<&'static str, usize>,
    checks: Vec<Check>,
    limit: Duration,
}

impl Stage {
    async fn play(&mut self) -> Result<(), SandboxError> {
        self.text_and_answer().await?;
        self.photo().await?;
        self.voices().await?;
        self.place().await?;
        self.long_text().await?;
        self.phone(CARLA)?.say(GOODBYE)?;
        for member in CARLA.others() {
            let wanted = [Wanted::text(format!("Carla: {GOODBYE}"))];
            self.expect(member, "text", CARLA, &wanted).await?;
        }
        self.nothing_else_happened().await
    }

    async fn text_and_answer(&mut self) -> Result<(), SandboxError> {
        let greeting = self.phone(ALICE)?.say(GREETING)?;
        for member in ALICE.others() {
            let wanted = [Wanted::text(format!("Alice: {GREETING}"))];
            self.expect(member, "text", ALICE, &wanted).await?;
        }
        // Each answers and reacts to the copy on the own screen.
        let (Some(at_bob), Some(at_carla)) = (self.last(BOB)?, self.last(CARLA)?) else {
            return Ok(());
        };
        self.phone(BOB)?.reply(&at_bob, ANSWER)?;
        for (member, to) in [(ALICE, greeting), (CARLA, at_carla)] {
            let wanted = [Wanted::Answer { to, text: format!("Bob: {ANSWER}") }];
            self.expect(member, "answer", BOB, &wanted).await?;
        }
        let Some(answer) = self.last(CARLA)? else { return Ok(()) };
        self.phone(CARLA)?.react(&answer, HEART)?;
        for member in CARLA.others() {
            let wanted = [Wanted::text(format!("Carla reacted {HEART} to \"{ANSWER}\""))];
            self.expect(member, "reaction", CARLA, &wanted).await?;
        }
        Ok(())
    }

    async fn photo(&mut self) -> Result<(), SandboxError> {
        self.phone(ALICE)?.photo(Bytes::from_static(PHOTO), "image/png", Some(CAPTION))?;
        for member in ALICE.others() {
            let wanted = [
                Wanted::File { kind: MediaKind::Image, bytes: PHOTO },
                Wanted::text(format!("Alice: {CAPTION_WITHOUT_MARKS}")),
            ];
            self.expect(member, "photo and caption", ALICE, &wanted).await?;
        }
        Ok(())
    }

    async fn voices(&mut self) -> Result<(), SandboxError> {
        // Messenger plays any sound; Instagram takes no Ogg, so that a line says what cannot be heard.
        self.phone(ALICE)?.voice(Bytes::from_static(OGG))?;
        let wanted = [
            Wanted::text("Alice sent a voice note"),
            Wanted::File { kind: MediaKind::Audio, bytes: OGG },
        ];
        self.expect(BOB, "voice note", ALICE, &wanted).await?;
        let wanted = [Wanted::text("[Alice sent a voice note that cannot be shown here]")];
        self.expect(CARLA, "voice note", ALICE, &wanted).await?;
        // Nothing in Messenger's webhook tells a voice clip from another sound.
        self.phone(BOB)?.voice(Bytes::from_static(MP4))?;
        for member in BOB.others() {
            let wanted = [
                Wanted::text("Bob sent an audio file"),
                Wanted::File { kind: MediaKind::Audio, bytes: MP4 },
            ];
            self.expect(member, "voice note", BOB, &wanted).await?;
        }
        Ok(())
    }

    async fn place(&mut self) -> Result<(), SandboxError> {
        let (name, address) = ("Café Central", "Herrengasse 14, Vienna");
        self.phone(ALICE)?.location(48.2104, 16.3654, Some(name), Some(address))?;
        for member in ALICE.others() {
            let link = "https://maps.google.com/?q=48.2104,16.3654";
            let wanted = [Wanted::text(format!("Alice: 📍 {name}, {address} {link}"))];
            self.expect(member, "place", ALICE, &wanted).await?;
        }
        Ok(())
    }

    /// More than Instagram takes in one message, full of signs that must not be cut.
    async fn long_text(&mut self) -> Result<(), SandboxError> {
        let text = long_text();
        self.phone(BOB)?.say(&text)?;
        let whole = format!("Bob: {text}");
        self.expect(ALICE, "long text", BOB, &[Wanted::text(&whole)]).await?;
        let last_word = text.rsplit(' ').next().unwrap_or_default();
        let ends = |view: &[Seen]| {
            let last = view.iter().rfind(|seen| !seen.mine).and_then(Seen::text);
            last.is_some_and(|text| text.ends_with(last_word))
        };
        let phone = self.phone(CARLA)?;
        // What is there is judged below, whether it came in time or not.
        let _in_time = phone.wait_for(ends, self.limit).await.is_ok();
        let heard = self.heard.entry(CARLA.name).or_default();
        let received = phone.received();
        let pieces: Vec<&str> = received.iter().skip(*heard).filter_map(Seen::text).collect();
        *heard = (*heard).max(received.len());
        let name = "Carla on Instagram reads Bob's long text, in parts that Instagram takes";
        self.checks.push(judge_pieces(name, &whole, &pieces));
        Ok(())
    }

    /// Waits until `member`'s phone has as many new messages as are wanted, and compares them.
    async fn expect(
        &mut self,
        member: Member,
        what: &str,
        by: Member,
        wanted: &[Wanted],
    ) -> Result<(), SandboxError> {
        let phone = self.phone(member)?;
        let heard = self.heard.entry(member.name).or_default();
        let enough = *heard + wanted.len();
        // What is there is judged, whether it came in time or not.
        let _in_time = phone.wait_for_received(enough, self.limit).await.is_ok();
        let received: Vec<Seen> =
            phone.received().into_iter().skip(*heard).take(wanted.len()).collect();
        *heard += received.len();
        let (platform, author) = (member.platform(), by.name);
        let name = format!("{} on {platform} gets {author}'s {what}", member.name);
        self.checks.push(judge(name, wanted, &received));
        Ok(())
    }

    /// The end of the play: nothing is under way, nothing more came than what was expected.
    async fn nothing_else_happened(&mut self) -> Result<(), SandboxError> {
        let (counts, empty) = quiet(&self.platforms, &self.broker, self.limit).await;
        self.checks.push(empty);
        for member in CAST {
            let expected = self.heard.get(member.name).copied().unwrap_or_default();
            let seen = self.phone(member)?.received().len();
            let name = format!("{} on {} sees nothing twice", member.name, member.platform());
            self.checks.push(equal(name, &messages(expected), &messages(seen)));
        }
        for (platform, counts) in self.platforms.iter().zip(counts) {
            self.checks.push(answered(platform, counts));
        }
        Ok(())
    }

    fn phone(&self, member: Member) -> Result<Phone, SandboxError> {
        let phone = self.phones.get(member.name).cloned();
        Ok(phone.ok_or(interline_sandbox::PhoneError::Gone)?)
    }

    /// The platform's id of the newest message that a phone got.
    fn last(&self, member: Member) -> Result<Option<String>, SandboxError> {
        Ok(self.phone(member)?.received().pop().map(|seen| seen.native_id))
    }
}

/// Sentences with families, skin tones and flags: some 2,300 bytes in 1,000 characters.
fn long_text() -> String {
    let mut text = String::from("Here is the plan.");
    for stop in 1..=24 {
        let more = write!(text, " At stop {stop} we walk 🚶🏽‍♀️🚶🏿‍♂️, we eat 🥨🧀, we sleep 👨‍👩‍👧‍👦🏳️‍🌈.");
        debug_assert!(more.is_ok(), "a String takes every write");
    }
    // The last words stand nowhere else, so that the last part is known by them.
    text + " That is all!"
}

fn judge(name: String, wanted: &[Wanted], received: &[Seen]) -> Check {
    let holds = wanted.len() == received.len()
        && wanted.iter().zip(received).all(|(wanted, seen)| wanted.fits(seen));
    let joined = |words: Vec<String>| match words.is_empty() {
        true => "nothing".to_owned(),
        false => words.join(", then "),
    };
    let mut seen = joined(received.iter().map(words_of).collect());
    let expected = joined(wanted.iter().map(Wanted::words).collect());
    if !holds && seen == expected {
        seen.push_str(" (to another message, or with other bytes)");
    }
    Check { name, holds, expected, seen }
}

/// `whole` in several pieces, none over the limit, cut at spaces only.
fn judge_pieces(name: &str, whole: &str, pieces: &[&str]) -> Check {
    let sizes: Vec<String> = pieces.iter().map(|piece| piece.len().to_string()).collect();
    let fit = pieces.iter().all(|piece| piece.len() <= INSTAGRAM_TEXT_BYTES_MAX);
    let same = pieces.join(" ") == whole;
    let differs = if same { "the same words" } else { "other words" };
    Check {
        name: name.to_owned(),
        holds: pieces.len() > 1 && fit && same,
        expected: format!(
            "the same words in parts of at most {INSTAGRAM_TEXT_BYTES_MAX} bytes, cut at spaces"
        ),
        seen: format!("{differs} in {} part(s) of {} bytes", pieces.len(), sizes.join(" and ")),
    }
}

pub(super) fn equal(name: String, expected: &str, seen: &str) -> Check {
    let (expected, seen) = (expected.to_owned(), seen.to_owned());
    Check { name, holds: expected == seen, expected, seen }
}

fn messages(count: usize) -> String {
    format!("{count} messages from the others")
}

/// Waits until nothing is under way, and judges whether every queue is empty; with the platforms' numbers of that moment.
pub(super) async fn quiet(
    platforms: &[Platform; 3],
    broker: &EmbeddedBroker,
    limit: Duration,
) -> ([Counts; 3], Check) {
    let (counts, left) = match tokio::time::timeout(limit, settled(platforms, broker, limit)).await
    {
        Ok(counts) => (counts, "none".to_owned()),
        Err(_) => (platforms.each_ref().map(Platform::counts), left_over(&broker.snapshot())),
    };
    (counts, equal("Every queue is empty, also the dead letters".to_owned(), "none", &left))
}

/// Waits until nothing is under way, neither at a platform nor in a queue, and answers with the platforms' numbers of
/// that moment.
async fn settled(
    platforms: &[Platform; 3],
    broker: &EmbeddedBroker,
    limit: Duration,
) -> [Counts; 3] {
    let quiet = |counts: Counts| counts.updates == counts.updates_taken && counts.in_flight == 0;
    loop {
        for platform in platforms {
            platform.wait_for_counts(quiet).await;
        }
        let empty = broker.wait_until(is_empty, limit).await.is_ok();
        // One may have begun anew while the other was waited for.
        let counts = platforms.each_ref().map(Platform::counts);
        if empty && counts.into_iter().all(quiet) && is_empty(&broker.snapshot()) {
            return counts;
        }
    }
}

/// Whether the daemon took every update of a platform, and sent it nothing that its rules refuse.
pub(super) fn answered(platform: &Platform, counts: Counts) -> Check {
    let Counts { updates, updates_taken, refused, .. } = counts;
    let platform = platform_name(platform.kind());
    let name = format!("{platform} was answered and refused nothing");
    let expected = format!("{updates} of {updates} updates taken, 0 sends refused");
    let seen = format!("{updates_taken} of {updates} updates taken, {refused} sends refused");
    equal(name, &expected, &seen)
}

fn is_empty(broker: &Snapshot) -> bool {
    broker.queues.values().all(|depth| depth.ready + depth.unacked == 0)
}

fn left_over(broker: &Snapshot) -> String {
    if is_empty(broker) {
        return "none".to_owned();
    }
    let full = broker.queues.iter().filter(|(_, depth)| depth.ready + depth.unacked > 0);
    let told: Vec<String> =
        full.map(|(name, depth)| format!("{} in {name}", depth.ready + depth.unacked)).collect();
    told.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::screen::tests::seen;
    use interline_sandbox::Content;

    fn text(native_id: &str, text: &str) -> Seen {
        seen(native_id, false, Content::Text(text.to_owned()))
    }

    #[test]
    fn a_check_holds_only_for_exactly_what_is_wanted() {
        let wanted = [Wanted::text("one"), Wanted::text("two")];
        let judged = |received: &[Seen]| judge(String::new(), &wanted, received);
        assert!(judged(&[text("a", "one"), text("b", "two")]).holds);
        assert!(!judged(&[text("b", "two"), text("a", "one")]).holds, "the order counts");
        assert!(!judged(&[text("a", "one")]).holds, "one is missing");
        let none = judged(&[]);
        assert_eq!((none.holds, none.seen.as_str()), (false, "nothing"));
        assert_eq!(none.expected, "“one”, then “two”");
    }

    #[test]
    fn an_answer_to_another_message_does_not_pass() {
        let wanted = [Wanted::Answer { to: "a".to_owned(), text: "yes".to_owned() }];
        let mut answer = text("b", "yes");
        assert!(!judge(String::new(), &wanted, std::slice::from_ref(&answer)).holds);
        answer.quotes = Some("a".to_owned());
        assert!(judge(String::new(), &wanted, std::slice::from_ref(&answer)).holds);
        answer.quotes = Some("c".to_owned());
        let check = judge(String::new(), &wanted, std::slice::from_ref(&answer));
        assert!(!check.holds && check.seen.contains("another message"), "{}", check.seen);
    }

    #[test]
    fn parts_pass_only_if_they_fit_and_say_the_same() {
        let whole = long_text();
        assert!(whole.len() > 2 * INSTAGRAM_TEXT_BYTES_MAX, "it takes three parts at least");
        assert!(whole.chars().count() <= 2000, "Messenger lets nobody say more");
        assert!(!judge_pieces("", &whole, &[&whole]).holds, "one part is too long");
        let words: Vec<&str> = whole.split(' ').collect();
        assert!(judge_pieces("", &whole, &words).holds);
        assert!(!judge_pieces("", &whole, &words[1..]).holds, "a word is missing");
    }
}
