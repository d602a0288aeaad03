//! Random conversations through duplicates, reordering, failing platforms and kills; what every phone shows in the end is
//! compared with a small model of what it has to show.
//!
//! A seed says everything that happens; only when it happens is the machine's. `INTERLINE_MODEL_SEED=N` plays that one
//! seed, and with `INTERLINE_MODEL_SEEDS=M` that one and those behind it. `cargo xtask soak` plays many.

mod draw;
mod reference;

use crate::harness::{
    Broker, INSTAGRAM, LIMIT, MESSENGER, Seat, World, instagram, messenger, tail, whatsapp,
};
use crate::queues::{Queues, reasons};
use draw::{Act, Play, Then};
use interline_sandbox::{Kind, Order, Phone, Seen};
use reference::Reference;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const NAME_ON_WHATSAPP: &str = "Alice";
/// Seeds of an ordinary run: as many as take half a minute.
const SEEDS: u64 = 20;
/// Plays at a time: most of each is waiting.
const AT_ONCE: usize = 6;
/// People need a moment between two things that they do; platforms count time in milliseconds.
const A_MOMENT: Duration = Duration::from_millis(2);
/// How long two webhooks that are to change places wait for each other.
const LINGER: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g5_random_conversations_show_in_the_end_what_the_model_says() {
    let (first, count) = seeds();
    let started = Instant::now();
    let mut left = first..first.saturating_add(count);
    let mut open: HashMap<tokio::task::Id, Play> = HashMap::new();
    let mut plays = JoinSet::new();
    loop {
        while plays.len() < AT_ONCE
            && let Some(seed) = left.next()
        {
            let play = Play::of(seed);
            open.insert(plays.spawn(perform(play.clone())).id(), play);
        }
        let Some(ended) = plays.join_next_with_id().await else { break };
        match ended {
            Ok((id, ())) => report(&open.remove(&id).unwrap(), started),
            Err(error) => fail(&open.remove(&error.id()).unwrap(), error),
        }
    }
}

/// The first seed and how many.
fn seeds() -> (u64, u64) {
    let number = |name| {
        let value = std::env::var(name).ok()?;
        Some(value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
    };
    match (number("INTERLINE_MODEL_SEED"), number("INTERLINE_MODEL_SEEDS")) {
        (Some(first), count) => (first, count.unwrap_or(1)),
        (None, count) => (1, count.unwrap_or(SEEDS)),
    }
}

#[expect(clippy::print_stderr, reason = "whoever soaks for an hour wants to see how far it is")]
fn report(play: &Play, started: Instant) {
    eprintln!(
        "seed {}: {} acts among {} as the model says; {:.1} s since the start",
        play.seed,
        play.acts.len(),
        play.cast.len(),
        started.elapsed().as_secs_f64()
    );
}

fn fail(play: &Play, error: tokio::task::JoinError) {
    let panic = error.into_panic();
    let words = panic.downcast_ref::<String>().map(String::as_str);
    let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
    panic!(
        "seed {} fails; play it again with INTERLINE_MODEL_SEED={}\n{words}\n--- what happened ---\n{}",
        play.seed,
        play.seed,
        play.told()
    );
}

async fn perform(play: Play) {
    let mut stage = Stage::new(&play).await;
    for act in &play.acts {
        stage.act(act).await;
        tokio::time::sleep(A_MOMENT).await;
    }
    stage.ends_well().await;
}

/// A running daemon with the people of a play, and what should come of what they do.
struct Stage {
    world: World,
    broker: Broker,
    queues: Queues,
    seats: Vec<Seat>,
    native_edits: bool,
    reference: Reference,
    edits: usize,
}

impl Stage {
    async fn new(play: &Play) -> Self {
        let broker = Broker::mock().await.unwrap();
        let seat = |kind: &Kind| match kind {
            Kind::WhatsApp => whatsapp(1, NAME_ON_WHATSAPP),
            Kind::Messenger => messenger(1, "Bob"),
            Kind::Instagram => instagram(1, "Carla"),
        };
        let seats: Vec<Seat> = play.cast.iter().map(seat).collect();
        let mut world = World::new(&broker.uri(), vec![("play".to_owned(), seats.clone())]).await;
        // Markers and echoes have long to come back, also on a machine that is busy: nothing may be doubled.
        world.deliver =
            "settle_timeout = \"10s\"\nrequest_timeout = \"2s\"\nparked_max_age = \"10m\"\n\
                         retry_backoff_min = \"50ms\"\nretry_backoff_max = \"500ms\"\n"
                .to_owned();
        // An event that is open at every kill is no poison here.
        world.extra = "[relay]\npoison_runs_max = 100\n".to_owned();
        let native_edits = play.native_edits;
        world.platforms.whatsapp().change_settings(|settings| settings.native_edits = native_edits);
        world.start();
        let queues = Queues::connect(&broker.uri()).await;
        for kind in &play.cast {
            queues.until_declared(kind.word()).await;
        }
        let reference = Reference::new(&play.cast);
        Self { world, broker, queues, seats, native_edits, reference, edits: 0 }
    }

    async fn act(&mut self, act: &Act) {
        match *act {
            Act::Say { who } => drop(self.say(who, None)),
            Act::Reply { who, to } => {
                let id = self.id_on(who, to).await;
                self.say(who, Some((to, &id)));
            }
            Act::React { who, to, emoji } => {
                let id = self.id_on(who, to).await;
                self.phone(who).react(&id, emoji).unwrap();
                self.reference.reacted(who, to, emoji);
            }
            Act::Unreact { who, to } => {
                let id = self.id_on(who, to).await;
                self.phone(who).unreact(&id).unwrap();
                self.reference.unreacted(who, to);
            }
            Act::Edit { who, of } => self.edit(who, of),
            Act::Unsend { who, of } => self.unsend(who, of, false),
            Act::Meddle { who, of, unsends } => self.meddle(who, of, unsends).await,
            Act::Reversed { who, then } => self.reversed(who, then).await,
            Act::Copies { on, copies, rebatch } => {
                self.world.platforms.of(self.seats[on].kind).change_settings(|settings| {
                    settings.delivery.copies = copies;
                    settings.delivery.rebatch = rebatch;
                });
            }
            Act::Fails { on, how, times, after } => {
                let kind = self.seats[on].kind;
                let order = Order::next(how.fault(kind)).times(times).after(after);
                self.world.platforms.of(kind).order(order);
            }
            Act::Kill { after_ms } => {
                // Not until anything: the moment is to be any.
                tokio::time::sleep(Duration::from_millis(after_ms)).await;
                self.world.kill();
                self.world.start();
            }
        }
    }

    fn phone(&self, who: usize) -> Phone {
        self.world.phone(&self.seats[who])
    }

    /// Says the next text, as an answer to a message that this phone has by that id; returns its number.
    fn say(&mut self, who: usize, to: Option<(usize, &str)>) -> usize {
        let text = self.reference.next_text();
        let own_id = match to {
            Some((_, id)) => self.phone(who).reply(id, text).unwrap(),
            None => self.phone(who).say(text).unwrap(),
        };
        self.reference.said(who, to.map(|(to, _)| to), own_id)
    }

    fn edit(&mut self, who: usize, of: usize) {
        self.edits += 1;
        let text = format!("edit {} of #{of}", self.edits);
        self.phone(who).edit(self.reference.own_id(of), text.as_str()).unwrap();
        let is_told = self.native_edits || self.seats[who].kind != Kind::WhatsApp;
        self.reference.edited(who, of, is_told.then_some(text));
    }

    fn unsend(&mut self, who: usize, of: usize, may_be_gone: bool) {
        self.phone(who).unsend(self.reference.own_id(of)).unwrap();
        self.reference.took_back(who, of, may_be_gone);
    }

    /// The id that a message has on somebody's phone, once it is there.
    async fn id_on(&self, who: usize, message: usize) -> String {
        if self.reference.author(message) == who {
            return self.reference.own_id(message).to_owned();
        }
        let line = self.reference.line(message);
        let is_it = |seen: &Seen| !seen.mine && seen.text() == Some(&line);
        let what = format!("{line:?} is awaited");
        let view = self.world.until(&self.seats[who], &what, |view| view.iter().any(is_it)).await;
        view.into_iter().find(is_it).unwrap().native_id
    }

    /// What no phone offers: a webhook that changes or takes back somebody else's message.
    async fn meddle(&self, who: usize, of: usize, unsends: bool) {
        let id = self.id_on(who, of).await;
        let seat = &self.seats[who];
        let (object, account) = match seat.kind {
            Kind::Messenger => ("page", MESSENGER),
            Kind::Instagram => ("instagram", INSTAGRAM),
            Kind::WhatsApp => panic!("it is not drawn for WhatsApp"),
        };
        let (key, value): (_, Value) = if unsends {
            ("message", json!({"mid": id, "is_deleted": true}))
        } else {
            ("message_edit", json!({"mid": id, "text": "not theirs", "num_edit": 1}))
        };
        let now = self.world.platforms.clock().now_ms();
        let (person, page) = (json!({"id": seat.person}), json!({"id": account}));
        let mut event = json!({"sender": person, "recipient": page, "timestamp": now});
        event[key] = value;
        let entry = json!({"id": account, "time": now, "messaging": [event]});
        let body = json!({"object": object, "entry": [entry]}).to_string();
        self.queues.publish_event(seat.kind.word(), account, body).await;
    }

    /// A text and what is about it, whose webhooks come in the opposite order.
    async fn reversed(&mut self, who: usize, then: Then) {
        let platform = self.world.platforms.of(self.seats[who].kind).clone();
        let idle = async || {
            let idle = tokio::time::timeout(LIMIT, platform.idle()).await;
            assert!(idle.is_ok(), "every webhook is taken in the end");
        };
        // Nothing else is to change places.
        idle().await;
        platform.change_settings(|settings| {
            settings.delivery.reversed = 2;
            settings.delivery.batch_linger = LINGER;
        });
        let said = self.say(who, None);
        tokio::time::sleep(A_MOMENT).await;
        let own_id = self.reference.own_id(said).to_owned();
        match then {
            Then::Reply => drop(self.say(who, Some((said, &own_id)))),
            Then::React(emoji) => {
                self.phone(who).react(&own_id, emoji).unwrap();
                self.reference.reacted(who, said, emoji);
            }
            Then::Edit => self.edit(who, said),
            Then::Unsend => self.unsend(who, said, true),
        }
        idle().await;
        platform.change_settings(|settings| {
            settings.delivery.reversed = 1;
            settings.delivery.batch_linger = Duration::ZERO;
        });
    }

    /// Waits until every phone shows what it has to, and everything is quiet; stops the daemon, and looks again.
    async fn ends_well(mut self) {
        for who in 0..self.seats.len() {
            let as_said = |view: &[Seen]| self.reference.check(who, view).is_ok();
            drop(self.phone(who).wait_for(as_said, LIMIT).await);
            self.compare(who);
        }
        let idle = tokio::time::timeout(LIMIT, self.world.platforms.idle());
        assert!(idle.await.is_ok(), "every webhook is taken in the end");
        let Broker::Mock(broker) = &self.broker else { panic!("a mock broker was asked for") };
        let empty = |now: &interline_embedded_broker::Snapshot| {
            let mut queues = now.queues.iter().filter(|(name, _)| !name.ends_with(".dead"));
            queues.all(|(_, depth)| depth.ready + depth.unacked == 0)
        };
        broker.wait_until(empty, LIMIT).await.unwrap();
        assert_eq!(reasons(&self.queues.dead().await), Vec::<&str>::new(), "nothing is given up");
        assert_eq!(self.world.stop().await, Some(0), "the daemon drains");
        for who in 0..self.seats.len() {
            self.compare(who);
        }
    }

    #[track_caller]
    fn compare(&self, who: usize) {
        let view = self.phone(who).view();
        if let Err(wrong) = self.reference.check(who, &view) {
            let line = |seen: &Seen| {
                let Seen { mine, quotes, reaction, .. } = seen;
                let side = if *mine { "said" } else { "came" };
                format!("{side} {:?}, quotes {quotes:?}, bears {reaction:?}", seen.text())
            };
            let shown: Vec<String> = view.iter().map(line).collect();
            panic!(
                "{} on {}:\n{wrong}\n--- the phone ---\n{}\n--- log ---\n{}",
                self.seats[who].name,
                self.seats[who].kind.word(),
                shown.join("\n"),
                tail(&self.world.log())
            );
        }
    }
}
