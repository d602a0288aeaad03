//! Plays a play on a ground, and compares what every phone shows with what the reference says.

use super::draw::{Act, Play, Then, meanwhile};
use super::ground::Ground;
use super::reference::Reference;
use super::seats;
use crate::harness::{INSTAGRAM, MESSENGER, Seat};
use interline_sandbox::{Calls, Fault, Kind, Order, Phone, RawRequest, Seen};
use serde_json::{Value, json};
use std::time::Duration;

/// People need a moment between two things that they do; platforms count time in milliseconds.
const A_MOMENT: Duration = Duration::from_millis(2);
/// How long two webhooks that are to change places wait for each other.
const LINGER: Duration = Duration::from_secs(1);
/// WhatsApp's "something went wrong": a message that failed so is sent once more.
const FAILED_FOR_NOW: u64 = 131_000;

/// The ground of a play with its people, and what should come of what they do.
pub(super) struct Stage<G> {
    ground: G,
    seats: Vec<Seat>,
    native_edits: bool,
    reference: Reference,
    edits: usize,
}

impl<G: Ground> Stage<G> {
    pub(super) fn new(play: &Play, ground: G) -> Self {
        let native_edits = play.native_edits;
        let whatsapp = ground.platforms().whatsapp();
        whatsapp.change_settings(|settings| settings.native_edits = native_edits);
        let reference = Reference::new(&play.cast);
        Self { ground, seats: seats(&play.cast), native_edits, reference, edits: 0 }
    }

    pub(super) async fn perform(mut self, play: &Play) {
        for act in &play.acts {
            self.act(act).await;
            tokio::time::sleep(A_MOMENT).await;
        }
        self.ends_well().await;
    }

    async fn act(&mut self, act: &Act) {
        match *act {
            Act::Say { who } => drop(self.say(who, self.reference.next_text(), None)),
            Act::SayLong { who } => drop(self.say(who, self.reference.next_long_text(), None)),
            Act::Photo { who } => {
                let own_id = self.phone(who).photo(self.reference.next_photo(), "image/png", None);
                self.reference.sent_photo(who, own_id.unwrap());
            }
            Act::FailsLater { who, on, times } => self.fails_later(who, on, times).await,
            Act::Misses { who, says } => self.misses(who, says).await,
            Act::Read { who } => drop(self.phone(who).read().unwrap()),
            Act::IsAway { who } => self.phone(who).close_window(),
            Act::Reply { who, to } => {
                let id = self.id_on(who, to).await;
                self.say(who, self.reference.next_text(), Some((to, &id)));
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
                self.ground.platforms().of(self.seats[on].kind).change_settings(|settings| {
                    settings.delivery.copies = copies;
                    settings.delivery.rebatch = rebatch;
                });
            }
            Act::Fails { on, how, files, times, after } => {
                let kind = self.seats[on].kind;
                let order = Order::next(how.fault(kind)).times(times).after(after);
                let order = if files { order.calls(Calls::Media) } else { order };
                self.ground.platforms().of(kind).order(order);
            }
            Act::Broker(how) => self.ground.broker_fails(how),
            Act::Kill { after_ms } => self.dies(after_ms).await,
            Act::DiesSending { who, on, after_ms } => {
                let platform = self.ground.platforms().of(self.seats[on].kind);
                platform.order(Order::next(Fault::TakeThenHang));
                self.say(who, self.reference.next_text(), None);
                self.dies(after_ms).await;
            }
        }
    }

    async fn dies(&mut self, after_ms: u64) {
        // Not until anything: the moment is to be any.
        tokio::time::sleep(Duration::from_millis(after_ms)).await;
        self.ground.kill().await;
    }

    fn phone(&self, who: usize) -> Phone {
        let Seat { kind, account, person, .. } = &self.seats[who];
        self.ground.platforms().of(*kind).account(account).unwrap().phone(person).unwrap()
    }

    /// Says the next text, as an answer to a message that this phone has by that id; returns its number.
    fn say(&mut self, who: usize, text: String, to: Option<(usize, &str)>) -> usize {
        let own_id = match to {
            Some((_, id)) => self.phone(who).reply(id, text.as_str()).unwrap(),
            None => self.phone(who).say(text.as_str()).unwrap(),
        };
        self.reference.said(who, text, to.map(|(to, _)| to), own_id)
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
        let shows = |view: &[Seen]| self.reference.id_in(view, message).is_some();
        match self.phone(who).wait_for(shows, G::LIMIT).await {
            Ok(view) => self.reference.id_in(&view, message).unwrap(),
            Err(_) => {
                let line = self.reference.line(message);
                panic!("{line:?} is awaited\n{}", self.what_shows(who))
            }
        }
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
        let now = self.ground.platforms().clock().now_ms();
        let (person, page) = (json!({"id": seat.person}), json!({"id": account}));
        let mut event = json!({"sender": person, "recipient": page, "timestamp": now});
        event[key] = value;
        let entry = json!({"id": account, "time": now, "messaging": [event]});
        let body = json!({"object": object, "entry": [entry]}).to_string();
        self.ground.put_event(seat.kind, account, body).await;
    }

    /// A text and what is about it, whose webhooks come in the opposite order.
    async fn reversed(&mut self, who: usize, then: Then) {
        let platform = self.ground.platforms().of(self.seats[who].kind).clone();
        let idle = async || {
            let idle = tokio::time::timeout(G::LIMIT, platform.idle()).await;
            assert!(idle.is_ok(), "every webhook is taken in the end");
        };
        // Nothing else is to change places.
        idle().await;
        platform.change_settings(|settings| {
            settings.delivery.reversed = 2;
            settings.delivery.batch_linger = LINGER;
        });
        let said = self.say(who, self.reference.next_text(), None);
        tokio::time::sleep(A_MOMENT).await;
        let own_id = self.reference.own_id(said).to_owned();
        match then {
            Then::Reply => {
                self.say(who, self.reference.next_text(), Some((said, &own_id)));
            }
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

    /// Waits until somebody's phone shows all that it has to.
    async fn catches_up(&self, who: usize) {
        let as_said = |view: &[Seen]| self.reference.check(who, view).is_ok();
        drop(self.phone(who).wait_for(as_said, G::LIMIT).await);
        self.compare(who);
    }

    async fn fails_later(&mut self, who: usize, on: usize, times: u64) {
        // What is struck is the new text, and nothing of before.
        self.becomes_quiet().await;
        let Fault::Graph(passes) = Fault::graph(400, FAILED_FOR_NOW, None) else {
            panic!("a Graph error")
        };
        let order = Order::next(Fault::FailLater(passes)).times(times);
        let order = self.ground.platforms().whatsapp().order(order);
        self.say(who, self.reference.next_text(), None);
        self.catches_up(on).await;
        // Another fault may have struck in its stead.
        order.release();
    }

    /// Where the person comes back before all is reported as failed, what is sent then may be the first to arrive.
    async fn misses(&mut self, who: usize, says: usize) {
        self.becomes_quiet().await;
        self.phone(who).close_window();
        for author in meanwhile(self.seats.len(), who, says) {
            let missed = self.say(author, self.reference.next_text(), None);
            self.reference.may_be_late(missed, who);
            tokio::time::sleep(A_MOMENT).await;
        }
        self.say(who, self.reference.next_text(), None);
        self.catches_up(who).await;
    }

    /// Everybody comes back. Waits until every phone shows what it has to, everybody has read it, whoever wrote it knows
    /// that, and everything is quiet; stops the daemon, and looks again.
    async fn ends_well(mut self) {
        for who in 0..self.seats.len() {
            if !self.phone(who).window_is_open() {
                self.say(who, self.reference.next_text(), None);
            }
        }
        for who in 0..self.seats.len() {
            self.catches_up(who).await;
        }
        self.becomes_quiet().await;
        for who in 0..self.seats.len() {
            self.phone(who).read().unwrap();
        }
        for who in 0..self.seats.len() {
            let is_known = |view: &[Seen]| self.reference.unread(who, view).is_empty();
            let known = self.phone(who).wait_for(is_known, G::LIMIT).await;
            if known.is_err() {
                let unread = self.reference.unread(who, &self.phone(who).view());
                panic!("not shown as read: {unread:?}\n{}", self.what_shows(who));
            }
        }
        self.becomes_quiet().await;
        let dead = self.ground.dead().await;
        assert!(dead.is_empty(), "nothing is given up, but {dead:#?}\n{}", self.ground.log());
        self.ground.stop().await;
        for who in 0..self.seats.len() {
            self.compare(who);
        }
    }

    async fn becomes_quiet(&self) {
        let idle = tokio::time::timeout(G::LIMIT, self.ground.platforms().idle());
        assert!(idle.await.is_ok(), "every webhook is taken in the end");
        self.ground.until_quiet().await;
    }

    #[track_caller]
    fn compare(&self, who: usize) {
        let view = self.phone(who).view();
        if let Err(wrong) = self.reference.check(who, &view) {
            panic!("{wrong}\n{}", self.what_shows(who));
        }
    }

    fn what_shows(&self, who: usize) -> String {
        let line = |seen: Seen| {
            let Seen { mine, quotes, reaction, .. } = &seen;
            let side = if *mine { "said" } else { "came" };
            format!("{side} {:?}, quotes {quotes:?}, bears {reaction:?}", seen.text())
        };
        let shown: Vec<String> = self.phone(who).view().into_iter().map(line).collect();
        let request = |raw: RawRequest| format!("{:?} {} {}", raw.status, raw.path, raw.params);
        let requests: Vec<String> =
            self.phone(who).raw_requests().into_iter().map(request).collect();
        format!(
            "--- the phone of {} on {} ---\n{}\n--- requests for it ---\n{}\n--- log ---\n{}",
            self.seats[who].name,
            self.seats[who].kind.word(),
            shown.join("\n"),
            requests.join("\n"),
            self.ground.log()
        )
    }
}
