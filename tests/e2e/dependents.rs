//! Replies, reactions, edits and deletions that come before the message that they are about, or without it.

use crate::harness::{
    Broker, INSTAGRAM, MESSENGER, Seat, WHATSAPP, World, against_both_brokers, instagram,
    messenger, texts, whatsapp,
};
use crate::queues::{Queues, reasons};
use interline_sandbox::{Fault, Kind, Order, Seen};
use serde_json::{Value, json};

against_both_brokers! {
    g3_what_comes_before_its_message_waits_for_it_and_holds_up_nothing => early_dependents;
    g3_an_answer_comes_behind_what_it_answers_and_before_what_was_said_later => early_answer;
    g5_what_waits_for_its_message_outlives_a_kill => waits_over_a_kill;
}

/// Events of one person, as the platform's backend puts them on the queue, in any order.
struct Voice<'a> {
    queues: &'a Queues,
    seat: &'a Seat,
    time: i64,
}

impl<'a> Voice<'a> {
    fn of(queues: &'a Queues, seat: &'a Seat) -> Self {
        Self { queues, seat, time: 1_700_000_000_000 }
    }

    async fn event(&mut self, key: &str, value: Value) {
        self.time += 1;
        let (object, account) = match self.seat.account.as_str() {
            MESSENGER => ("page", MESSENGER),
            _ => ("instagram", INSTAGRAM),
        };
        let mut event = json!({
            "sender": {"id": self.seat.person}, "recipient": {"id": account}, "timestamp": self.time,
        });
        event[key] = value;
        let entry = json!({"id": account, "time": self.time, "messaging": [event]});
        let body = json!({"object": object, "entry": [entry]}).to_string();
        self.queues.publish_event(self.seat.kind.word(), account, body).await;
    }

    async fn says(&mut self, mid: &str, text: &str) {
        self.event("message", json!({"mid": mid, "text": text})).await;
    }

    async fn replies(&mut self, mid: &str, to: &str, text: &str) {
        let message = json!({"mid": mid, "text": text, "reply_to": {"mid": to}});
        self.event("message", message).await;
    }

    async fn edits(&mut self, mid: &str, text: &str) {
        self.event("message_edit", json!({"mid": mid, "text": text, "num_edit": 1})).await;
    }

    async fn reacts(&mut self, mid: &str, emoji: &str) {
        let reaction = json!({"mid": mid, "action": "react", "reaction": "other", "emoji": emoji});
        self.event("reaction", reaction).await;
    }

    async fn takes_reaction_away(&mut self, mid: &str, emoji: &str) {
        let reaction =
            json!({"mid": mid, "action": "unreact", "reaction": "other", "emoji": emoji});
        self.event("reaction", reaction).await;
    }

    async fn unsends(&mut self, mid: &str) {
        self.event("message", json!({"mid": mid, "is_deleted": true})).await;
    }
}

/// The events queues, once the daemon has made them.
async fn queues(broker: &Broker, of: &Seat) -> Queues {
    let queues = Queues::connect(&broker.uri()).await;
    queues.until_declared(of.kind.word()).await;
    queues
}

fn pair() -> (Seat, Seat, Vec<(String, Vec<Seat>)>) {
    let (alice, bob) = (whatsapp(1, "Alice"), messenger(1, "Bob"));
    let named = vec![("pair".to_owned(), vec![alice.clone(), bob.clone()])];
    (alice, bob, named)
}

fn shown(view: &[Seen]) -> Vec<&str> {
    view.iter().filter(|seen| !seen.mine).map(|seen| seen.text().unwrap_or("no text")).collect()
}

async fn early_dependents(broker: Broker) {
    let (alice, bob, named) = pair();
    let mut world = World::new(&broker.uri(), named).await;
    world.start();
    let queues = queues(&broker, &bob).await;
    let mut bob = Voice::of(&queues, &bob);
    bob.edits("m_1", "the harbour").await;
    bob.reacts("m_1", "🌊").await;
    bob.says("m_3", "something else").await;
    world.until_texts(&alice, &["something else".to_owned()]).await;
    bob.says("m_1", "teh harbour").await;
    let all = |view: &[Seen]| view.len() == 3 && view[1].reaction.is_some();
    let view = world.until(&alice, "all three", all).await;
    assert_eq!(shown(&view), ["something else", "teh harbour", "✏️ edited: the harbour"]);
    assert_eq!(view[1].reaction.as_deref(), Some("🌊"), "a reaction as such");
    assert_eq!(view[2].quotes.as_ref(), Some(&view[1].native_id));
    assert_eq!(world.stop().await, Some(0));
}

async fn early_answer(broker: Broker) {
    let (alice, bob, named) = pair();
    let mut world = World::new(&broker.uri(), named).await;
    // All three wait in the dispatch queue before the first is looked at: an answer waits for a moment only.
    world.extra = "[stages]\ndeliver = false".to_owned();
    world.start();
    let queues = queues(&broker, &bob).await;
    let mut bob = Voice::of(&queues, &bob);
    bob.replies("m_2", "m_1", "at nine").await;
    bob.says("m_3", "something else").await;
    bob.says("m_1", "when?").await;
    queues.until_dispatched("whatsapp", WHATSAPP, 3).await;
    assert_eq!(world.stop().await, Some(0));
    world.extra.clear();
    world.start();
    let view = world.until(&alice, "all three", |view| view.len() == 3).await;
    assert_eq!(shown(&view), ["when?", "at nine", "something else"]);
    assert_eq!(view[1].quotes.as_ref(), Some(&view[0].native_id));
    assert_eq!(world.stop().await, Some(0));
}

async fn waits_over_a_kill(broker: Broker) {
    let (alice, bob, named) = pair();
    let mut world = World::new(&broker.uri(), named).await;
    world.log_level = "interline=debug".to_owned();
    // The kill may come before the answer to what Alice sees: its marker settles that, and never the end of the wait.
    world.deliver = "settle_timeout = \"100s\"".to_owned();
    world.start();
    let queues = queues(&broker, &bob).await;
    let mut bob = Voice::of(&queues, &bob);
    bob.edits("m_1", "the harbour").await;
    bob.says("m_2", "something else").await;
    world.until_texts(&alice, &["something else".to_owned()]).await;
    world.kill();
    world.start();
    bob.says("m_1", "teh harbour").await;
    let view = world.until(&alice, "all three", |view| view.len() == 3).await;
    assert_eq!(shown(&view)[1..], ["teh harbour", "✏️ edited: the harbour"]);
    assert_eq!(view[2].quotes.as_ref(), Some(&view[1].native_id));
    assert_eq!(world.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_what_waits_in_vain_arrives_without_its_message() {
    let broker = Broker::mock().await.unwrap();
    let (alice, bob, named) = pair();
    let mut world = World::new(&broker.uri(), named).await;
    world.deliver.push_str("parked_max_age = \"1s\"\n");
    world.start();
    let queues = queues(&broker, &bob).await;
    let mut bob = Voice::of(&queues, &bob);
    bob.replies("m_2", "m_never", "at nine").await;
    bob.edits("m_never", "the harbour").await;
    bob.reacts("m_never", "🌊").await;
    let wanted = ["at nine", "✏️ edited: the harbour", "reacted 🌊 to a message"];
    world.until_texts(&alice, &wanted.map(str::to_owned)).await;
    assert_eq!(reasons(&queues.dead().await), Vec::<&str>::new());
    assert_eq!(world.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_a_message_that_was_taken_back_before_it_came_is_not_passed_on_nor_what_is_about_it() {
    let broker = Broker::mock().await.unwrap();
    let (alice, carla) = (whatsapp(1, "Alice"), instagram(1, "Carla"));
    let named = vec![("pair".to_owned(), vec![alice.clone(), carla.clone()])];
    let mut world = World::new(&broker.uri(), named).await;
    world.deliver.push_str("parked_max_age = \"1s\"\n");
    world.start();
    let queues = queues(&broker, &carla).await;
    let mut carla = Voice::of(&queues, &carla);
    carla.reacts("m_1", "❤").await;
    carla.unsends("m_1").await;
    carla.says("m_1", "regretted").await;
    carla.says("m_2", "kept").await;
    world.until_texts(&alice, &["kept".to_owned()]).await;
    world.stop().await;
    world.start();
    // By now the reaction has waited for long enough.
    tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
    carla.says("m_3", "kept too").await;
    world.until_texts(&alice, &["kept", "kept too"].map(str::to_owned)).await;
    assert_eq!(reasons(&queues.dead().await), Vec::<&str>::new());
    assert_eq!(world.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_an_edit_that_waited_for_long_enough_lets_its_message_pass_that_is_held_behind_it() {
    let broker = Broker::mock().await.unwrap();
    let (alice, bob, named) = pair();
    let mut world = World::new(&broker.uri(), named).await;
    world.deliver.push_str("parked_max_age = \"1s\"\n");
    world.start();
    let queues = queues(&broker, &bob).await;
    let mut bob = Voice::of(&queues, &bob);
    bob.says("m_1", "before").await;
    world.until_texts(&alice, &["before".to_owned()]).await;
    world.phone(&alice).close_window();
    bob.says("m_3", "meanwhile").await;
    world.until_log("a message failed after it was taken", 1).await;
    bob.edits("m_2", "the harbour").await;
    bob.says("m_2", "teh harbour").await;
    // By now the edit has waited for long enough, and stands before its message, which waits for the window.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    world.phone(&alice).say("here I am").unwrap();
    let wanted = ["before", "meanwhile", "teh harbour", "✏️ edited: the harbour"];
    world.until_texts(&alice, &wanted.map(str::to_owned)).await;
    assert_eq!(reasons(&queues.dead().await), Vec::<&str>::new());
    assert_eq!(world.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g6_a_replay_does_not_show_what_its_author_took_back() {
    let broker = Broker::mock().await.unwrap();
    let (alice, carla) = (whatsapp(1, "Alice"), instagram(1, "Carla"));
    let named = vec![("pair".to_owned(), vec![alice.clone(), carla.clone()])];
    let mut world = World::new(&broker.uri(), named).await;
    let refused = Fault::known(Kind::WhatsApp, 131_026, None).unwrap();
    let _order = world.platforms.whatsapp().order(Order::next(refused).person(&alice.person));
    world.start();
    let said = world.phone(&carla).say("regretted").unwrap();
    let queues = Queues::connect(&broker.uri()).await;
    assert_eq!(reasons(&queues.until_dead(1).await), ["recipient"]);
    world.phone(&carla).unsend(&said).unwrap();
    // Its end says that the deletion before it was taken.
    world.phone(&carla).say("kept").unwrap();
    world.until_texts(&alice, &["kept".to_owned()]).await;
    world.replay_all();
    world.phone(&carla).say("kept too").unwrap();
    world.until_texts(&alice, &["kept", "kept too"].map(str::to_owned)).await;
    assert_eq!(reasons(&queues.dead().await), Vec::<&str>::new());
    assert_eq!(world.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g6_nobody_edits_or_takes_back_what_somebody_else_wrote() {
    let broker = Broker::mock().await.unwrap();
    let (alice, carla) = (whatsapp(1, "Alice"), instagram(1, "Carla"));
    let named = vec![("pair".to_owned(), vec![alice.clone(), carla.clone()])];
    let mut world = World::new(&broker.uri(), named).await;
    world.start();
    world.phone(&alice).say("mine").unwrap();
    let view = world.until(&carla, "the copy", |view| view.len() == 1).await;
    let queues = queues(&broker, &carla).await;
    let mut carla = Voice::of(&queues, &carla);
    carla.edits(&view[0].native_id, "yours").await;
    carla.unsends(&view[0].native_id).await;
    carla.says("m_1", "the end").await;
    world.until_texts(&alice, &["the end".to_owned()]).await;
    assert_eq!(world.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_an_answer_quotes_on_every_phone_the_copy_that_is_there() {
    let broker = Broker::mock().await.unwrap();
    let seats = [whatsapp(1, "Alice"), messenger(1, "Bob"), instagram(1, "Carla")];
    let mut world = World::new(&broker.uri(), vec![("three".to_owned(), seats.to_vec())]).await;
    world.start();
    for writer in &seats {
        let others: Vec<&Seat> = seats.iter().filter(|seat| seat.name != writer.name).collect();
        let text = format!("a question of {}", writer.name);
        let asked = world.phone(writer).say(&text).unwrap();
        let mut question = vec![(writer, asked)];
        for other in &others {
            let came = |view: &[Seen]| {
                view.last().and_then(Seen::text).is_some_and(|shown| shown.ends_with(&text))
            };
            let view = world.until(other, "the question", came).await;
            question.push((other, view.last().unwrap().native_id.clone()));
        }
        let (answerer, own_copy) = question.pop().unwrap();
        world.phone(answerer).reply(&own_copy, "an answer").unwrap();
        for (seat, copy) in question {
            let quoted = |view: &[Seen]| {
                view.last().is_some_and(|seen| !seen.mine && seen.quotes.as_ref() == Some(&copy))
            };
            world.until(seat, "the answer, quoting the copy that is there", quoted).await;
        }
    }
    assert_eq!(world.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_a_heart_that_was_set_on_instagram_goes_when_another_reaction_takes_its_place_or_none() {
    let broker = Broker::mock().await.unwrap();
    let (alice, carla) = (whatsapp(1, "Alice"), instagram(1, "Carla"));
    let named = vec![("pair".to_owned(), vec![alice.clone(), carla.clone()])];
    let mut world = World::new(&broker.uri(), named).await;
    world.start();
    world.phone(&carla).say("look").unwrap();
    let id = world.until(&alice, "the text", |view| view.len() == 1).await[0].native_id.clone();
    let loved = |view: &[Seen]| view[0].reaction.is_some();
    let heart_is_gone = |view: &[Seen]| view[0].reaction.is_none();
    world.phone(&alice).react(&id, "❤").unwrap();
    world.until(&carla, "the heart", loved).await;
    world.phone(&alice).react(&id, "👍").unwrap();
    let told = |view: &[Seen]| view.len() == 2 && heart_is_gone(view);
    world.until(&carla, "words in place of the heart", told).await;
    world.phone(&alice).react(&id, "❤").unwrap();
    world.until(&carla, "the heart once more", loved).await;
    // WhatsApp does not say which reaction is taken away.
    world.phone(&alice).unreact(&id).unwrap();
    world.until(&carla, "no heart", heart_is_gone).await;
    assert_eq!(world.stop().await, Some(0));
    assert_eq!(world.phone(&carla).received_texts(), ["reacted 👍 to \"look\""]);
}

/// Bob's answer comes before what it answers, and both stand in the store while the send before them hangs for longer
/// than an answer waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_an_answer_in_a_blocked_lane_finds_what_it_answers_among_what_the_store_holds() {
    let broker = Broker::mock().await.unwrap();
    let (alice, bob, named) = pair();
    let mut world = World::new(&broker.uri(), named).await;
    world.deliver =
        "lane_blocked_timeout = \"200ms\"\nlane_deliveries_max = 2\nrequest_timeout = \"100s\""
            .to_owned();
    world.log_level = "interline=debug".to_owned();
    let hangs = world.platforms.whatsapp().order(Order::next(Fault::Hang));
    world.start();
    let queues = queues(&broker, &bob).await;
    let mut bob = Voice::of(&queues, &bob);
    bob.says("m_0", "listen").await;
    bob.replies("m_2", "m_1", "at nine").await;
    bob.says("m_1", "when?").await;
    bob.says("m_3", "something else").await;
    world.until_log("a lane moved to the store", 1).await;
    broker.until_empty().await;
    // Longer than an answer waits when its turn has come.
    tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
    hangs.release();
    let view = world.until(&alice, "all four", |view| view.len() == 4).await;
    assert_eq!(shown(&view), ["listen", "when?", "at nine", "something else"]);
    assert_eq!(view[2].quotes.as_ref(), Some(&view[1].native_id));
    assert_eq!(world.stop().await, Some(0));
}

/// The reaction waits for its message; its removal stands in the store, behind the message, when that is let go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_what_waited_for_its_message_comes_before_what_the_store_holds_behind_that() {
    let broker = Broker::mock().await.unwrap();
    let (alice, bob, named) = pair();
    let mut world = World::new(&broker.uri(), named).await;
    world.deliver =
        "lane_blocked_timeout = \"200ms\"\nlane_deliveries_max = 2\nrequest_timeout = \"100s\""
            .to_owned();
    let hangs = world.platforms.whatsapp().order(Order::next(Fault::Hang));
    world.start();
    let queues = queues(&broker, &bob).await;
    let mut bob = Voice::of(&queues, &bob);
    bob.reacts("m_1", "🌊").await;
    bob.says("m_1", "the harbour").await;
    bob.takes_reaction_away("m_1", "🌊").await;
    bob.says("m_2", "something else").await;
    broker.until_empty().await;
    hangs.release();
    world.until(&alice, "both", |view| view.len() == 2).await;
    bob.says("m_3", "the end").await;
    let view = world.until(&alice, "the end", |view| view.len() == 3).await;
    assert_eq!(shown(&view), ["the harbour", "something else", "the end"]);
    assert_eq!(view[0].reaction, None, "it was taken away");
    assert_eq!(world.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_an_answer_to_what_was_taken_back_before_it_came_keeps_its_words() {
    let broker = Broker::mock().await.unwrap();
    let (alice, carla) = (whatsapp(1, "Alice"), instagram(1, "Carla"));
    let named = vec![("pair".to_owned(), vec![alice.clone(), carla.clone()])];
    let mut world = World::new(&broker.uri(), named).await;
    world.start();
    let queues = queues(&broker, &carla).await;
    let mut carla = Voice::of(&queues, &carla);
    carla.unsends("m_1").await;
    carla.says("m_1", "regretted").await;
    carla.replies("m_2", "m_1", "at nine").await;
    let view = world.until(&alice, "the answer", |view| !view.is_empty()).await;
    assert!(shown(&view)[0].ends_with("at nine") && view[0].quotes.is_none(), "{view:?}");
    assert_eq!(world.stop().await, Some(0));
    assert_eq!(reasons(&queues.dead().await), Vec::<&str>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g6_a_replay_that_waits_in_a_lane_does_not_show_what_its_author_took_back() {
    let broker = Broker::mock().await.unwrap();
    let (alice, carla) = (whatsapp(1, "Alice"), instagram(1, "Carla"));
    let named = vec![("pair".to_owned(), vec![alice.clone(), carla.clone()])];
    let mut world = World::new(&broker.uri(), named).await;
    world.deliver = "lane_deliveries_max = 1\nrequest_timeout = \"100s\"".to_owned();
    let refused = Fault::known(Kind::WhatsApp, 131_026, None).unwrap();
    world.platforms.whatsapp().order(Order::next(refused).person(&alice.person));
    world.start();
    let said = world.phone(&carla).say("regretted").unwrap();
    let queues = Queues::connect(&broker.uri()).await;
    assert_eq!(reasons(&queues.until_dead(1).await), ["recipient"]);
    world.phone(&carla).unsend(&said).unwrap();
    let hangs = world.platforms.whatsapp().order(Order::next(Fault::Hang));
    for text in texts("kept", 3) {
        world.phone(&carla).say(text).unwrap();
    }
    broker.until_empty().await;
    world.replay_all();
    broker.until_empty().await;
    hangs.release();
    world.phone(&carla).say("kept 3").unwrap();
    world.until_texts(&alice, &texts("kept", 4)).await;
    assert_eq!(world.stop().await, Some(0));
    world.until_texts(&alice, &texts("kept", 4)).await;
}
