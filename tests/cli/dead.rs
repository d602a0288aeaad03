//! `dead`: what could not be delivered, and sending it once more.

use crate::support::{Ran, run};
use interline::sandbox::Sandbox;
use interline::sandbox::cast::{ALICE, BOB, CARLA};
use interline_broker::topology::{dead_exchange, dead_queue, events_queue};
use interline_broker::{BrokerUrls, ConnectConfig, OutMessage, Properties};
use interline_sandbox::{Fault, Kind, Order, Ordered, Phone};
use std::time::Duration;

/// Generous: it is no measure of speed.
const LIMIT: Duration = Duration::from_secs(120);

/// A daemon in this process, and Messenger refusing what is for Bob.
struct Stage {
    sandbox: Sandbox,
    config: String,
    refusing: Ordered,
}

impl Stage {
    async fn refusing() -> Self {
        let sandbox = Sandbox::start().await.unwrap();
        let config = sandbox.config_path().display().to_string();
        let order = Order::next(Fault::graph(400, 100, None)).until_released();
        let refusing = sandbox.platforms().of(Kind::Messenger).order(order);
        Self { sandbox, config, refusing }
    }

    fn phone(&self, member: interline::sandbox::cast::Member) -> Phone {
        self.sandbox.phone(&member).unwrap()
    }

    async fn until_dead(&self, count: usize) {
        let queue = dead_queue("interline");
        let wait = |broker: &interline_embedded_broker::Snapshot| {
            let depth = broker.depth(&queue);
            depth.ready == count && depth.unacked == 0
        };
        self.sandbox.broker().wait_until(wait, LIMIT).await.unwrap();
    }

    async fn dead(&self, arguments: &[&str]) -> Ran {
        let mut all = vec!["dead".to_owned()];
        all.extend(arguments.iter().map(|&argument| argument.to_owned()));
        all.extend(["--config".to_owned(), self.config.clone()]);
        tokio::task::spawn_blocking(move || {
            run(&all.iter().map(String::as_str).collect::<Vec<_>>())
        })
        .await
        .unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_listed_shown_and_replayed_and_each_arrives_once() {
    let stage = Stage::refusing().await;
    let texts = ["first secret", "second secret", "third secret"];
    for text in texts {
        stage.phone(ALICE).say(text).unwrap();
    }
    stage.until_dead(3).await;
    stage.phone(CARLA).wait_for_received(3, LIMIT).await.unwrap();

    let list = stage.dead(&["list"]).await.ended(0);
    assert_eq!(list.out.lines().count(), 3, "{list:?}");
    assert!(list.out.lines().all(|line| line.contains("permanent")), "{list:?}");
    let letters = stage.dead(&["list", "--json"]).await.ended(0);
    for letter in letters.json_lines() {
        assert_eq!((&letter["reason"], &letter["stage"]), (&"permanent".into(), &"deliver".into()));
        assert_eq!(letter["replayed"], 0);
    }
    for hidden in ["secret", BOB.id, ALICE.id, "Alice"] {
        let all = format!("{}{}", list.out, letters.out);
        assert!(!all.contains(hidden), "{hidden}: {all}");
    }

    let first = list.out.split_whitespace().next().unwrap();
    let show = stage.dead(&["show", first]).await.ended(0);
    assert!(show.json()["id"].as_str().unwrap().starts_with(first), "{show:?}");
    let body = stage.dead(&["show", first, "--body"]).await.ended(0);
    let body = body.out.lines().last().unwrap();
    assert!(body.len() > 100 && body.bytes().all(|byte| byte.is_ascii_hexdigit()), "{body}");
    let nobody = stage.dead(&["show", "zzzz"]).await.ended(1);
    assert!(nobody.err.contains("no dead letter zzzz"), "{nobody:?}");
    stage.until_dead(3).await;

    stage.refusing.release();
    let replayed = stage.dead(&["replay", first]).await.ended(0);
    assert!(replayed.out.starts_with(&format!("replayed {first}")), "{replayed:?}");
    stage.phone(BOB).wait_for_received(1, LIMIT).await.unwrap();
    stage.until_dead(2).await;
    let again = stage.dead(&["replay", first]).await.ended(1);
    assert!(again.err.contains("no dead letter"), "{again:?}");

    let all = stage.dead(&["replay", "--all"]).await.ended(0);
    assert_eq!(all.out.lines().count(), 2, "{all:?}");
    stage.phone(BOB).wait_for_received(3, LIMIT).await.unwrap();
    stage.until_dead(0).await;
    assert_eq!(stage.dead(&["list"]).await.ended(0).out, "no dead letters\n");
    let bob = stage.phone(BOB);
    stage.sandbox.stop(false).await.unwrap();
    let mut heard = bob.received_texts();
    heard.sort();
    let mut wanted = texts.map(|text| format!("Alice: {text}"));
    wanted.sort();
    assert_eq!(heard, wanted, "each once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_sends_once_more_and_what_is_refused_again_is_dead_again() {
    let stage = Stage::refusing().await;
    stage.phone(ALICE).say("hello").unwrap();
    stage.until_dead(1).await;
    let tried = stage.refusing.struck();
    for replay in 1..=2 {
        stage.dead(&["replay", "--all"]).await.ended(0);
        let letters = loop {
            // It is gone from the queue for a moment, on its way to Messenger and back.
            stage.until_dead(1).await;
            let letters = stage.dead(&["list", "--json"]).await.ended(0).json_lines();
            match letters.first().map(|letter| letter["replayed"].clone()) {
                Some(count) if count == replay => break letters,
                Some(_) | None => continue,
            }
        };
        assert_eq!(letters.len(), 1, "{letters:?}");
        assert_eq!(stage.refusing.struck(), tried + replay, "one request for a replay");
    }
    assert_eq!(stage.phone(BOB).received_texts(), Vec::<String>::new());
    stage.sandbox.stop(false).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_that_the_broker_itself_put_there_goes_back_to_its_queue() {
    let stage = Stage::refusing().await;
    let urls = BrokerUrls::parse(&[stage.sandbox.broker().uri()]).unwrap();
    let link = interline_broker::connect(&ConnectConfig::new(urls, "test")).await.unwrap();
    let publisher = link.publisher(1).await.unwrap();
    for (id, text) in [("aaaa1111", "gone"), ("bbbb2222", "back again")] {
        let body = serde_json::json!({
            "object": "whatsapp_business_account",
            "entry": [{"id": "1", "changes": [{"field": "messages", "value": {
                "messaging_product": "whatsapp",
                "metadata": {"display_phone_number": "1", "phone_number_id": ALICE.account},
                "messages": [{"from": ALICE.id, "id": format!("wamid.{id}"), "type": "text",
                    "timestamp": "1749416383", "text": {"body": text}}],
            }}]}],
        });
        let letter = OutMessage {
            exchange: dead_exchange("interline"),
            routing_key: events_queue("interline", "whatsapp"),
            body: body.to_string().into(),
            properties: Properties {
                message_id: Some(id.to_owned()),
                kind: Some("interline.event".into()),
                ..Properties::default()
            },
        };
        publisher.publish(letter).await.unwrap();
    }
    stage.until_dead(2).await;
    stage.dead(&["drop", "aaaa"]).await.ended(0);
    let list = stage.dead(&["list"]).await.ended(0).out;
    assert!(list.starts_with("bbbb2222") && list.lines().count() == 1, "{list}");
    stage.refusing.release();
    stage.dead(&["replay", "--all"]).await.ended(0);
    stage.phone(BOB).wait_for_received(1, LIMIT).await.unwrap();
    assert_eq!(stage.phone(BOB).received_texts(), ["Alice: back again"]);
    stage.sandbox.stop(false).await.unwrap();
}
