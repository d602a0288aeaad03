//! Many messages of every kind, over all pairs of platforms, through many deaths; counted on the phones.
//!
//! Small by default. `INTERLINE_SHOW=full` sends ten thousand messages in two hundred conversations through ten kills.

use crate::harness::{Broker, Seat, World, instagram, messenger, whatsapp};
use crate::recorder::{Count, Recorder, SENT_AGAIN};
use interline_sandbox::{Content, Fault, Kind, Media, Order, Ordered, PhoneError, Seen};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long the whole may take before the count is made with what came: generous, no measure of speed.
const LIMIT: Duration = Duration::from_mins(20);
/// Pieces of 2.6 kB become one to three messages, depending on the platform.
const LONG_TEXT_WORDS: usize = 200;
/// What a latitude is multiplied by to give a message's number back.
const PLACES: f64 = 1000.0;

#[derive(Clone, Copy)]
struct Size {
    messages: usize,
    conversations: usize,
    deaths: usize,
}

impl Size {
    fn of_environment(deaths: usize, full_deaths: usize) -> Self {
        if std::env::var_os("INTERLINE_SHOW").is_some_and(|value| value == "full") {
            Self { messages: 10_000, conversations: 200, deaths: full_deaths }
        } else {
            Self { messages: 300, conversations: 20, deaths }
        }
    }

    /// Messages between two deaths.
    fn round(self) -> usize {
        self.messages / (self.deaths + 1)
    }
}

/// What all phones show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Total {
    all: Count,
    /// As they come where the message that they are about was never known: the first copy of a doubled one.
    reactions_in_words: usize,
    /// On WhatsApp and Messenger, which tell what became of a send.
    doubled_in_spite_of_marker: usize,
}

/// What was said, and what must be seen.
struct Show {
    size: Size,
    pairs: Vec<(Seat, Seat)>,
    said: usize,
    /// For each address what must come, in order.
    wanted: HashMap<String, Vec<String>>,
    /// Whose own message must bear a reaction.
    reactions: Vec<(Seat, String)>,
    kinds: HashMap<&'static str, usize>,
}

impl Show {
    fn new(size: Size) -> Self {
        let makers = [whatsapp, messenger, instagram];
        let pairs = (0..size.conversations)
            .map(|n| (makers[n % 3](n, "Alice"), makers[(n + 1 + n / 3 % 2) % 3](5000 + n, "Bob")))
            .collect();
        Self {
            size,
            pairs,
            said: 0,
            wanted: HashMap::new(),
            reactions: Vec::new(),
            kinds: HashMap::new(),
        }
    }

    async fn world(&self, broker: &Broker) -> World {
        let named = self.pairs.iter().enumerate();
        let conversations = named.map(|(n, (a, b))| (format!("c{n}"), vec![a.clone(), b.clone()]));
        let mut world = World::new(&broker.uri(), conversations.collect()).await;
        world.deliver = "settle_timeout = \"20s\"\nretry_backoff_min = \"50ms\"".to_owned();
        for platform in world.platforms.all() {
            platform.change_settings(|settings| settings.delivery.batch_max = 10);
        }
        world
    }

    fn say(&mut self, world: &World, count: usize) {
        for _ in 0..count {
            self.say_one(world);
            self.said += 1;
        }
    }

    /// The next message: the conversations take turns, and so do the two people of each.
    fn say_one(&mut self, world: &World) {
        let n = self.said;
        let (a, b) = &self.pairs[n % self.pairs.len()];
        let turn = n / self.pairs.len();
        let (from, to) = if turn.is_multiple_of(2) { (a, b) } else { (b, a) };
        let (from, to) = (from.clone(), to.clone());
        let phone = world.phone(&from);
        let token = format!("#{n}");
        let received =
            phone.received().into_iter().rev().find(|seen| {
                seen.my_reaction.is_none() && matches!(&seen.content, Content::Text(_))
            });
        let mut tokens = vec![token.clone()];
        let kind = match ((n * 7 + turn) % 12, received) {
            (0, Some(seen)) => {
                phone.reply(&seen.native_id, format!("{token} in reply")).unwrap();
                "replies"
            }
            (1, Some(seen)) => {
                phone.react(&seen.native_id, "❤").unwrap();
                let own = world.phone(&to).view().into_iter();
                let own = own.rev().find(|own| own.mine && is_copy(own, &seen)).unwrap();
                self.reactions.push((to.clone(), own.native_id));
                tokens.clear();
                "reactions"
            }
            (2, _) => {
                let photo = [b"\xff\xd8\xff\xe0 ".as_slice(), token.as_bytes(), b" "].concat();
                phone.photo(photo, "image/jpeg", None).unwrap();
                "photos"
            }
            (3, _) => match phone.location(n as f64 / PLACES, 10.5, None, None) {
                Ok(_) => "places",
                Err(PhoneError::NotOnThisPlatform { .. }) => {
                    phone.say(format!("{token} instead of a place")).unwrap();
                    "texts"
                }
                Err(error) => panic!("a place cannot be sent: {error}"),
            },
            (4, _) => {
                tokens = (0..LONG_TEXT_WORDS).map(|word| format!("{token}.{word:03}")).collect();
                phone.say(tokens.join(" word ")).unwrap();
                "long texts"
            }
            _ => {
                phone.say(format!("{token} is said")).unwrap();
                "texts"
            }
        };
        *self.kinds.entry(kind).or_default() += 1;
        self.wanted.entry(to.address()).or_default().extend(tokens);
    }

    /// Waits until the last of everything has come, and counts.
    async fn count(&self, world: &World, recorder: &Recorder) -> Total {
        let ends = tokio::time::Instant::now() + LIMIT;
        let mut total = Total::default();
        for seat in self.pairs.iter().flat_map(|(a, b)| [a, b]) {
            let wanted = self.wanted.get(&seat.address()).map_or(&[][..], Vec::as_slice);
            let reactions: Vec<&str> = self
                .reactions
                .iter()
                .filter(|(of, _)| of.address() == seat.address())
                .map(|(_, native_id)| native_id.as_str())
                .collect();
            let standing = |view: &[Seen]| {
                let bears = |id: &&&str| {
                    view.iter().any(|seen| seen.native_id == **id && seen.reaction.is_some())
                };
                reactions.iter().filter(bears).count()
            };
            let came = |view: &[Seen]| {
                let words = view.iter().filter(|seen| is_reaction_in_words(seen)).count();
                let received = view.iter().filter(|seen| !seen.mine);
                standing(view) + words >= reactions.len()
                    && wanted.last().is_none_or(|last| {
                        received.into_iter().any(|seen| tokens(seen).contains(last))
                    })
            };
            // What has not come by then is counted as lost.
            let phone = world.phone(seat);
            drop(tokio::time::timeout_at(ends, phone.wait_for(came, LIMIT)).await);
            let view = phone.view();
            let words = view.iter().filter(|seen| is_reaction_in_words(seen)).count();
            let missing = reactions.len() - standing(&view);
            let received: Vec<Seen> =
                view.into_iter().filter(|seen| !seen.mine && !is_reaction_in_words(seen)).collect();
            let mut count = recorder.count(&received, wanted, tokens);
            count.lost += missing.saturating_sub(words);
            count.doubled += words.saturating_sub(missing);
            total.all += count;
            total.reactions_in_words += words;
            if seat.kind != Kind::Instagram {
                total.doubled_in_spite_of_marker += count.doubled;
            }
        }
        total
    }

    #[expect(clippy::print_stderr, reason = "the figures of a show are read by people")]
    fn print(&self, what: &str, count: &Count, since: Instant) {
        let mut kinds: Vec<_> = self.kinds.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
        kinds.sort();
        let Size { conversations, .. } = self.size;
        eprintln!(
            "{} messages ({}) in {conversations} conversations, {what}: {} shown, {} lost, {} out of order, \
             {} doubled; {:.1} s",
            self.said,
            kinds.join(", "),
            count.messages,
            count.lost,
            count.out_of_order,
            count.doubled,
            since.elapsed().as_secs_f64()
        );
    }
}

/// True if one phone's own message is what the other one received, or a piece of it.
fn is_copy(own: &Seen, received: &Seen) -> bool {
    tokens(received).first().is_some_and(|first| tokens(own).contains(first))
}

/// What identifies a message: the words that begin with `#`, a place's latitude, a photo's bytes.
fn tokens(seen: &Seen) -> Vec<String> {
    match &seen.content {
        Content::Media(Media { bytes, .. }) => words(&String::from_utf8_lossy(bytes)),
        Content::Album(files) => {
            files.iter().flat_map(|file| words(&String::from_utf8_lossy(&file.bytes))).collect()
        }
        Content::Location(place) => vec![of_latitude(place.latitude)],
        Content::Text(text) => match text.split_once("?q=").and_then(|(_, q)| q.split_once(',')) {
            Some((latitude, _)) => vec![of_latitude(latitude.parse().unwrap())],
            // The lines before tell what a reply is about.
            None => words(text.rsplit("\n\n").next().unwrap_or_default()),
        },
        Content::Contacts(_)
        | Content::Choices { .. }
        | Content::Heart
        | Content::PlatformSticker(_)
        | Content::Template(_)
        | Content::Unsupported(_) => panic!("nobody sent {:?}", seen.content),
    }
}

fn is_reaction_in_words(seen: &Seen) -> bool {
    !seen.mine && seen.text().is_some_and(|text| text.contains('❤'))
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().filter(|word| word.starts_with('#')).map(str::to_owned).collect()
}

fn of_latitude(latitude: f64) -> String {
    format!("#{:.0}", latitude * PLACES)
}

/// The next send of each platform after some others is taken and hangs.
fn order_hangs(world: &World, after: usize) -> Vec<Ordered> {
    let order = Order::next(Fault::TakeThenHang).after(after as u64);
    world.platforms.all().map(|platform| platform.order(order.clone())).to_vec()
}

async fn until_struck(world: &World, orders: &[Ordered]) {
    let struck = async {
        while orders.iter().any(|order| order.struck() == 0) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let struck = tokio::time::timeout(LIMIT, struck).await;
    assert!(struck.is_ok(), "too little is sent:\n{}", world.log());
}

fn accepted(world: &World) -> u64 {
    world.platforms.all().map(|platform| platform.counts().messages_accepted).iter().sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g5_ten_thousand_messages_through_ten_kills() {
    let Some(broker) = Broker::rabbit().await else { return };
    let mut show = Show::new(Size::of_environment(3, 10));
    let mut world = show.world(&broker).await;
    let mut recorder = Recorder::default();
    let since = Instant::now();
    world.start();
    for _ in 0..show.size.deaths {
        let hangs = order_hangs(&world, show.size.round() / 10);
        show.say(&world, show.size.round());
        until_struck(&world, &hangs).await;
        recorder.kill(&mut world).await;
        world.start();
    }
    show.say(&world, show.size.messages - show.said);
    let total = show.count(&world, &recorder).await;
    let count = total.all;
    assert_eq!(world.stop().await, Some(0));
    let again = world.log().matches(SENT_AGAIN).count();
    let what = format!(
        "{} kills with {} requests open at the platforms, {again} sent again with unknown fate, \
         {} reactions in words",
        recorder.kills(),
        recorder.open(),
        total.reactions_in_words
    );
    show.print(&what, &count, since);
    assert!(recorder.open() >= 3 * recorder.kills() as u64, "three hang at each kill");
    assert_eq!((count.lost, count.out_of_order, count.unexplained), (0, 0, 0), "{count:?}");
    assert!(count.doubled <= again, "{count:?}, {again} sent again");
    assert_eq!(total.doubled_in_spite_of_marker, 0, "{total:?}");
    let after = show.count(&world, &recorder).await;
    assert_eq!(after, total, "nothing came later");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_ten_thousand_messages_through_three_restarts_of_the_broker() {
    let Some(mut broker) = Broker::rabbit().await else { return };
    let mut show = Show::new(Size::of_environment(3, 3));
    let mut world = show.world(&broker).await;
    let recorder = Recorder::default();
    let since = Instant::now();
    world.start();
    for _ in 0..show.size.deaths {
        let flowing = accepted(&world) + show.size.round() as u64 / 3;
        show.say(&world, show.size.round());
        let flows = async {
            while accepted(&world) < flowing {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(tokio::time::timeout(LIMIT, flows).await.is_ok(), "{}", world.log());
        broker.restart();
    }
    show.say(&world, show.size.messages - show.said);
    let total = show.count(&world, &recorder).await;
    let count = total.all;
    assert_eq!(world.stop().await, Some(0));
    assert_eq!(total.reactions_in_words, 0, "every reaction stands on its message");
    show.print("3 restarts of the broker", &count, since);
    let wanted = Count { messages: count.messages, ..Count::default() };
    assert_eq!(count, wanted, "0 lost, 0 out of order, 0 doubled");
}
