//! What comes in: large bodies, forged and broken ones, strangers, poison, events without a webhook.

use crate::harness::{
    Broker, LIMIT, MESSENGER, Seat, WHATSAPP, World, against_both_brokers, messenger, seat, texts,
    whatsapp,
};
use crate::queues::{Queues, reasons};
use interline_broker::topology;
use interline_sandbox::{Kind, Person, signature};
use serde_json::{Value, json};
use std::time::Duration;

against_both_brokers! {
    g1_a_body_of_a_thousand_items_of_many_chats_arrives_whole_and_in_order => a_thousand_items;
    g10_bytes_that_are_no_event_are_dead_lettered_and_their_neighbours_flow => malformed_among_good;
    g2_an_event_alone_batched_and_raw_has_one_effect => one_effect;
}

/// Another number of the same operator, with a secret of its own.
const OTHER: &str = "106540352242999";

/// One text, as WhatsApp's item.
pub(crate) fn item(from: &Seat, native_id: &str, text: &str) -> Value {
    let now_s = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    json!({
        "from": from.person, "id": native_id, "timestamp": now_s.to_string(),
        "type": "text", "text": {"body": text},
    })
}

/// A change with the items of one person.
pub(crate) fn change(from: &Seat, items: Vec<Value>) -> Value {
    json!({"field": "messages", "value": {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550009999", "phone_number_id": from.account},
        "contacts": [{"profile": {"name": from.name}, "wa_id": from.person}],
        "messages": items,
    }})
}

/// A whole webhook body.
pub(crate) fn body(changes: Vec<Value>) -> Vec<u8> {
    let entry = json!({"id": "102290129340398", "changes": changes});
    json!({"object": "whatsapp_business_account", "entry": [entry]}).to_string().into_bytes()
}

pub(crate) fn one_text(from: &Seat, native_id: &str, text: &str) -> Vec<u8> {
    body(vec![change(from, vec![item(from, native_id, text)])])
}

fn secret(account: &str) -> String {
    format!("sandbox-secret-{account}")
}

impl World {
    fn webhook(&self, kind: Kind) -> String {
        format!("http://{}/webhooks/{}", self.listen, kind.word())
    }

    /// Posts a body to WhatsApp's webhook; gives the status, or nothing if the connection was cut.
    async fn post(&self, body: Vec<u8>, signed: Option<String>) -> Option<u16> {
        let mut request = reqwest::Client::new().post(self.webhook(Kind::WhatsApp)).body(body);
        if let Some(signed) = signed {
            request = request.header("X-Hub-Signature-256", signed);
        }
        request.send().await.ok().map(|response| response.status().as_u16())
    }

    /// Posts a body, signed with the account's secret, until it is taken.
    async fn post_until_taken(&self, body: &[u8], account: &str) {
        let post = async {
            let signed = signature(&secret(account), body);
            while self.post(body.to_vec(), Some(signed.clone())).await != Some(200) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(LIMIT, post).await.unwrap();
    }

    /// Waits until the daemon answers and has its broker: an empty body, well signed, is taken.
    async fn until_ready(&self) {
        self.post_until_taken(&body(Vec::new()), WHATSAPP).await;
    }
}

fn pair(n: usize) -> (Seat, Seat) {
    (whatsapp(n, "Alice"), messenger(n, "Bob"))
}

fn conversation(n: usize, (a, b): &(Seat, Seat)) -> (String, Vec<Seat>) {
    (format!("pair-{n}"), vec![a.clone(), b.clone()])
}

async fn one_pair(uri: &str) -> (World, Seat, Seat) {
    let (a, b) = pair(1);
    let world = World::new(uri, vec![conversation(1, &(a.clone(), b.clone()))]).await;
    (world, a, b)
}

async fn a_thousand_items(broker: Broker) {
    let pairs: Vec<_> = (0..20).map(pair).collect();
    let named = pairs.iter().enumerate().map(|(n, pair)| conversation(n, pair)).collect();
    let mut world = World::new(&broker.uri(), named).await;
    let platform = world.platforms.whatsapp();
    platform.change_settings(|settings| {
        settings.delivery.batch_max = 1_000;
        settings.delivery.batch_linger = LIMIT;
    });
    for n in 0..50 {
        for (a, _) in &pairs {
            world.phone(a).say(format!("said {n}")).unwrap();
        }
    }
    world.start();
    for (_, b) in &pairs {
        world.until_texts(b, &texts("said", 50)).await;
    }
    // Only now is the one POST answered for certain.
    let taken = world.platforms.whatsapp().wait_for_counts(|counts| counts.updates_taken == 1_000);
    let counts = tokio::time::timeout(LIMIT, taken).await.unwrap();
    assert_eq!((counts.updates, counts.posts_taken), (1_000, 1), "it was one body");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g10_a_body_with_a_wrong_signature_or_none_is_refused_and_reaches_no_queue() {
    let broker = Broker::mock().await.unwrap();
    let (mut world, a, b) = one_pair(&broker.uri()).await;
    world.start();
    world.until_ready().await;
    let before = broker.as_mock().snapshot().stored;
    let forged = one_text(&a, "wamid.forged", "forged");
    let good = signature(&secret(WHATSAPP), &forged);
    let mut changed = forged.clone();
    *changed.last_mut().unwrap() = b' ';
    assert_eq!(world.post(forged.clone(), None).await, Some(401));
    assert_eq!(world.post(forged.clone(), Some(signature("guessed", &forged))).await, Some(401));
    assert_eq!(world.post(forged.clone(), Some("sha256=".to_owned())).await, Some(401));
    assert_eq!(world.post(forged, Some(good.replace("sha256=", ""))).await, Some(401));
    assert_eq!(world.post(changed, Some(good)).await, Some(401));
    assert_eq!(broker.as_mock().snapshot().stored, before, "nothing was published");
    // A platform that signed wrongly for a while delivers again; the person's words arrive once.
    world.platforms.whatsapp().account(WHATSAPP).unwrap().sign_wrongly(3);
    world.phone(&a).say("said 0").unwrap();
    world.phone(&a).say("said 1").unwrap();
    world.until_texts(&b, &texts("said", 2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g10_one_accounts_secret_does_not_speak_for_another_account() {
    let broker = Broker::mock().await.unwrap();
    let (a, b) = pair(1);
    let (c, d) =
        (seat(Kind::WhatsApp, OTHER, "15550007777".to_owned(), "Carol"), messenger(2, "Dave"));
    let named =
        vec![conversation(1, &(a.clone(), b.clone())), conversation(2, &(c.clone(), d.clone()))];
    let mut world = World::new(&broker.uri(), named).await;
    world.start();
    world.until_ready().await;
    let mixed = body(vec![
        change(&a, vec![item(&a, "wamid.stolen", "stolen")]),
        change(&c, vec![item(&c, "wamid.own", "said 0")]),
    ]);
    world.post_until_taken(&mixed, OTHER).await;
    world.until_texts(&d, &texts("said", 1)).await;
    let letters = Queues::connect(&broker.uri()).await.until_dead(1).await;
    assert_eq!(reasons(&letters), ["wrong-secret"], "{letters:#?}");
    assert_eq!(letters[0].stage, "ingest");
    world.phone(&a).say("said 0").unwrap();
    world.until_texts(&b, &texts("said", 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_is_answered_to_whoever_knows_the_verify_token_and_to_nobody_else() {
    let broker = Broker::mock().await.unwrap();
    let (mut world, _, _) = one_pair(&broker.uri()).await;
    world.start();
    world.until_ready().await;
    for platform in [world.platforms.whatsapp(), world.platforms.messenger()] {
        for account in platform.accounts() {
            account.subscribe().await.unwrap();
        }
    }
    let ask = async |kind: &str, query: &[(&str, &str)]| {
        let url = format!("http://{}/webhooks/{kind}", world.listen);
        let answer = reqwest::Client::new().get(url).query(query).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let token = format!("sandbox-verify-{WHATSAPP}");
    let mut query = [
        ("hub.mode", "subscribe"),
        ("hub.verify_token", token.as_str()),
        ("hub.challenge", "1158201444"),
    ];
    assert_eq!(ask("whatsapp", &query).await, (200, "1158201444".to_owned()));
    assert_eq!(ask("messenger", &query).await.0, 403, "another platform's token");
    assert_eq!(ask("instagram", &query).await.0, 404, "no account is there");
    assert_eq!(ask("nosuch", &query).await.0, 404);
    assert_eq!(ask("whatsapp", &query[..2]).await.0, 400);
    query[1].1 = "guessed";
    let (status, text) = ask("whatsapp", &query).await;
    assert_eq!(status, 403);
    assert!(!text.contains("1158201444") && !text.contains(&token));
}

#[cfg(target_os = "linux")]
fn peak_memory_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g9_a_body_that_is_too_large_is_refused_and_not_kept_in_memory() {
    const BOUND: usize = 4 << 20;
    let broker = Broker::mock().await.unwrap();
    let (mut world, a, b) = one_pair(&broker.uri()).await;
    world.start();
    world.until_ready().await;
    let large = vec![b' '; BOUND + 1];
    let signed = signature(&secret(WHATSAPP), &large);
    assert_eq!(world.post(large, Some(signed)).await, Some(413));
    let before = peak_memory_kib(world.pid());
    for _ in 0..4 {
        // The daemon need not read to the end before it answers: then the client sees a cut connection.
        let huge = vec![b' '; 64 << 20];
        assert!(matches!(world.post(huge, None).await, Some(413) | None));
    }
    let grown = peak_memory_kib(world.pid()) - before;
    assert!(grown < 32 << 10, "{grown} KiB more for a bound of {BOUND} bytes");
    world.phone(&a).say("said 0").unwrap();
    world.until_texts(&b, &texts("said", 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g6_what_a_stranger_says_is_dead_lettered_and_nobody_hears_it() {
    let broker = Broker::mock().await.unwrap();
    let (mut world, a, b) = one_pair(&broker.uri()).await;
    let person = Person::new("15559990000", "Mallory");
    let stranger = world.platforms.whatsapp().add_phone(WHATSAPP, person).unwrap();
    world.start();
    stranger.say("let me in").unwrap();
    let letters = Queues::connect(&broker.uri()).await.until_dead(1).await;
    assert_eq!(reasons(&letters), ["no-conversation"], "{letters:#?}");
    assert_eq!(letters[0].stage, "relay");
    assert!(!letters[0].error.contains("15559990000"), "a header names nobody");
    world.phone(&a).say("said 0").unwrap();
    world.until_texts(&b, &texts("said", 1)).await;
    assert!(stranger.received().is_empty());
    assert!(world.phone(&a).received().is_empty());
    let sent: u64 =
        world.platforms.all().iter().map(|platform| platform.counts().messages_accepted).sum();
    assert_eq!(sent, 1, "one text to one member");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_an_item_that_cannot_be_read_or_names_nobody_is_dead_lettered_and_its_neighbours_flow() {
    let broker = Broker::mock().await.unwrap();
    let (mut world, a, b) = one_pair(&broker.uri()).await;
    world.start();
    let mut nobody = item(&a, "wamid.nobody", "who says this?");
    nobody.as_object_mut().unwrap().remove("from");
    let mut change = change(&a, vec![json!("no item"), nobody, item(&a, "wamid.0", "said 0")]);
    change["value"]["contacts"] = json!([]);
    world.post_until_taken(&body(vec![change]), WHATSAPP).await;
    let entry = json!({"id": MESSENGER, "time": 1, "messaging": [
        {"recipient": {"id": MESSENGER}, "timestamp": 1, "message": {"mid": "m_nobody", "text": "who says this?"}},
    ]});
    let queues = Queues::connect(&broker.uri()).await;
    let page = json!({"object": "page", "entry": [entry]}).to_string();
    queues.publish_event("messenger", MESSENGER, page).await;
    let letters = queues.until_dead(3).await;
    assert_eq!(reasons(&letters), ["unreadable-item"; 3], "{letters:#?}");
    let bodies: Vec<_> =
        letters.iter().map(|letter| String::from_utf8_lossy(&letter.body)).collect();
    for said in ["no item", "wamid.nobody", "m_nobody"] {
        assert!(bodies.iter().any(|body| body.contains(said)), "{said} is in none of {bodies:?}");
    }
    world.until_texts(&b, &texts("said", 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_without_a_webhook_are_relayed_from_the_queue() {
    let broker = Broker::mock().await.unwrap();
    let (mut world, a, b) = one_pair(&broker.uri()).await;
    world.extra = "[stages]\ningest = false\n".to_owned();
    world.start();
    let queues = Queues::connect(&broker.uri()).await;
    queues.until_declared("whatsapp").await;
    let first = (0..3).map(|n| item(&a, &format!("wamid.{n}"), &format!("said {n}"))).collect();
    queues.publish_event("whatsapp", WHATSAPP, body(vec![change(&a, first)])).await;
    queues.publish_event("whatsapp", WHATSAPP, one_text(&a, "wamid.3", "said 3")).await;
    world.until_texts(&b, &texts("said", 4)).await;
    let refused = world.post(body(Vec::new()), None).await;
    assert_eq!(refused, None, "nothing listens where the stage is off");
}

async fn one_effect(broker: Broker) {
    let (mut world, a, b) = one_pair(&broker.uri()).await;
    world.start();
    world.until_ready().await;
    let queues = Queues::connect(&broker.uri()).await;
    let alone: Vec<_> =
        (0..3).map(|n| one_text(&a, &format!("wamid.{n}"), &format!("said {n}"))).collect();
    let items = (0..3).map(|n| item(&a, &format!("wamid.{n}"), &format!("said {n}"))).collect();
    let together = body(vec![change(&a, items)]);
    for _ in 0..2 {
        for alone in &alone {
            world.post_until_taken(alone, WHATSAPP).await;
        }
        world.post_until_taken(&together, WHATSAPP).await;
        queues.publish_event("whatsapp", WHATSAPP, together.clone()).await;
        for alone in &alone {
            queues.publish_event("whatsapp", WHATSAPP, alone.clone()).await;
        }
    }
    world.post_until_taken(&one_text(&a, "wamid.3", "said 3"), WHATSAPP).await;
    world.until_texts(&b, &texts("said", 4)).await;
}

async fn malformed_among_good(broker: Broker) {
    let (mut world, a, b) = one_pair(&broker.uri()).await;
    world.start();
    world.until_ready().await;
    let queues = Queues::connect(&broker.uri()).await;
    let mut cut_off = one_text(&a, "wamid.cut", "cut");
    cut_off.truncate(cut_off.len() / 2);
    let bad: [Vec<u8>; 6] = [
        b"\xff\xfe\x00 no text".to_vec(),
        Vec::new(),
        cut_off,
        b"[1, 2, 3]".to_vec(),
        br#"{"object":"page","entry":[]}"#.to_vec(),
        [b"[".repeat(100_000), b"]".repeat(100_000)].concat(),
    ];
    for (n, bad) in bad.iter().enumerate() {
        queues.publish_event("whatsapp", WHATSAPP, bad.clone()).await;
        let good = one_text(&a, &format!("wamid.{n}"), &format!("said {n}"));
        queues.publish_event("whatsapp", WHATSAPP, good).await;
    }
    world.until_texts(&b, &texts("said", bad.len())).await;
    let letters = queues.until_dead(bad.len()).await;
    assert_eq!(reasons(&letters), ["malformed"; 6], "{letters:#?}");
    for (letter, bad) in letters.iter().zip(&bad) {
        assert_eq!(letter.body, *bad, "the body is kept as it was");
        assert!(letter.stage == "relay" && !letter.error.is_empty());
    }
    assert_eq!(world.stop().await, Some(0), "{}", world.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g10_an_event_that_was_open_in_too_many_crashes_is_dead_lettered_and_its_neighbours_flow() {
    let broker = Broker::mock().await.unwrap();
    let mock = broker.as_mock();
    let (mut world, a, b) = one_pair(&broker.uri()).await;
    world.start();
    world.until_ready().await;
    assert_eq!(world.stop().await, Some(0));
    let queues = Queues::connect(&broker.uri()).await;
    queues.publish_event("whatsapp", WHATSAPP, one_text(&a, "wamid.bad", "poison")).await;
    for n in 0..10 {
        let good = one_text(&a, &format!("wamid.{n}"), &format!("said {n}"));
        queues.publish_event("whatsapp", WHATSAPP, good).await;
    }
    drop(queues);
    // Refusals keep the event open: what follows from it finds no place. The first run sees it for the first time,
    // three more count, the fifth tries it alone.
    mock.faults().nack_routing_key(&topology::account_key("messenger", MESSENGER));
    for _ in 0..5 {
        let before = mock.snapshot().refused;
        world.start();
        mock.wait_until(|now| now.refused > before, LIMIT).await.unwrap();
        world.kill();
        // What it had still written is read and refused by then.
        mock.wait_until(|now| now.connections == 0, LIMIT).await.unwrap();
    }
    mock.faults().clear_rules();
    world.start();
    world.until_texts(&b, &texts("said", 10)).await;
    let letters = Queues::connect(&broker.uri()).await.until_dead(1).await;
    assert_eq!(reasons(&letters), ["poison"], "{letters:#?}");
    assert!(String::from_utf8_lossy(&letters[0].body).contains("wamid.bad"));
}
