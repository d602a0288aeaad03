//! Nothing that names or quotes a person, and no secret, in the log at its loudest, in the store, or on the daemon's
//! own queues, whatever happens.

use crate::canaries::Canaries;
use crate::harness::{Broker, INSTAGRAM, LIMIT, MESSENGER, Seat, WHATSAPP, World, seat};
use crate::queues::{Queues, reasons};
use interline_embedded_broker::{Config, EmbeddedBroker};
use interline_sandbox::{Fault, GraphFault, Kind, Order, Person, Phone, Seen, signature};
use serde_json::{Value, json};

const PASSWORD: &str = "canary-broker-password";

/// Three people in one conversation, and two pairs; the names, numbers and ids of all of them are canaries.
struct Cast {
    wa: Seat,
    me: Seat,
    ig: Seat,
    pairs: [(Seat, Seat); 2],
    canaries: Canaries,
}

fn person(canaries: &mut Canaries, kind: Kind, account: &str, id: &str, name: &str) -> Seat {
    seat(kind, account, canaries.add(id), &canaries.add(name))
}

impl Cast {
    fn new() -> Self {
        let mut canaries = Canaries::default();
        let c = &mut canaries;
        let wa = person(c, Kind::WhatsApp, WHATSAPP, "15557701771", "Canary Quellwasser");
        let me = person(c, Kind::Messenger, MESSENGER, "6177000000007702", "Canary Nachtigall");
        let ig = person(c, Kind::Instagram, INSTAGRAM, "1777000000007703", "Canary Zaunkönig");
        let pairs = [
            (
                person(c, Kind::WhatsApp, WHATSAPP, "15557701774", "Canary Rotkehlchen"),
                person(c, Kind::Messenger, MESSENGER, "6177000000007705", "Canary Bachstelze"),
            ),
            (
                person(c, Kind::Messenger, MESSENGER, "6177000000007706", "Canary Wiedehopf"),
                person(c, Kind::Instagram, INSTAGRAM, "1777000000007707", "Canary Goldammer"),
            ),
        ];
        for account in [WHATSAPP, MESSENGER, INSTAGRAM] {
            for what in ["token", "secret", "verify"] {
                c.add(format!("sandbox-{what}-{account}"));
            }
        }
        c.add(PASSWORD);
        Self { wa, me, ig, pairs, canaries }
    }

    fn conversations(&self) -> Vec<(String, Vec<Seat>)> {
        let three = vec![self.wa.clone(), self.me.clone(), self.ig.clone()];
        let pairs = self.pairs.iter().enumerate();
        let pairs = pairs.map(|(n, (a, b))| (format!("pair-{n}"), vec![a.clone(), b.clone()]));
        std::iter::once(("three".to_owned(), three)).chain(pairs).collect()
    }

    /// Says a text that is a canary, and remembers its native id.
    fn say(&mut self, phone: &Phone, text: &str) -> String {
        let id = phone.say(self.canaries.add(text)).unwrap();
        self.canaries.add(id)
    }

    /// What platforms gave ids to, and what was sent to them: all of it is somebody's.
    fn learn_from(&mut self, world: &World) {
        for platform in world.platforms.all() {
            for seen in platform.phones().iter().flat_map(Phone::view) {
                self.canaries.add(seen.native_id);
            }
            for request in platform.raw_requests() {
                leaves(&request.params, &mut |text| {
                    // Our own marker is opaque and may be logged; short words are the platform's vocabulary.
                    if text.len() >= 12 && !text.starts_with("il1.") {
                        self.canaries.add(text);
                    }
                });
            }
        }
    }
}

fn leaves(value: &Value, found: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => found(text),
        Value::Array(items) => items.iter().for_each(|item| leaves(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| leaves(field, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

async fn world_of(cast: &Cast) -> (Broker, World) {
    let config = Config { password: PASSWORD.to_owned(), ..Config::default() };
    let broker = Broker::Mock(EmbeddedBroker::start(config).await.unwrap());
    let mut world = World::new(&broker.uri(), cast.conversations()).await;
    world.log_level = "trace".to_owned();
    // What is answered is never given up: each of the faults below then strikes the request that it is meant for.
    world.deliver =
        "settle_timeout = \"2s\"\nrequest_timeout = \"10s\"\nlane_blocked_timeout = \"1s\"\n\
                     retry_backoff_min = \"50ms\"\nretry_backoff_max = \"500ms\"\n"
            .to_owned();
    (broker, world)
}

fn last_text(view: &[Seen]) -> &str {
    view.iter().rev().filter(|seen| !seen.mine).find_map(Seen::text).unwrap_or_default()
}

async fn hears(world: &World, seat: &Seat, text: &str) {
    world.until(seat, text, |view| last_text(view).contains(text)).await;
}

/// Every kind of content, to everybody of the three.
async fn all_kinds(cast: &mut Cast, world: &World) {
    let (wa, me, ig) = (world.phone(&cast.wa), world.phone(&cast.me), world.phone(&cast.ig));
    let first = cast.say(&wa, "canary words of the first text");
    hears(world, &cast.me, "canary words of the first text").await;
    hears(world, &cast.ig, "canary words of the first text").await;
    let c = &mut cast.canaries;
    let png =
        [b"\x89PNG\r\n\x1a\n".as_slice(), c.add("canary bytes of a photo").as_bytes()].concat();
    wa.photo(png.clone(), "image/png", Some(&c.add("canary caption"))).unwrap();
    let pdf = [b"%PDF-1.7\n".as_slice(), c.add("canary bytes of a file").as_bytes()].concat();
    wa.document(pdf, "application/pdf", &c.add("canary-file-name.pdf"), None).unwrap();
    wa.location(
        47.123_456,
        8.654_321,
        Some(&c.add("canary place")),
        Some(&c.add("canary street 7")),
    )
    .unwrap();
    wa.contacts(vec![json!({
        "name": {"formatted_name": c.add("Canary Visitenkarte")},
        "phones": [{"phone": c.add("+41557709999")}],
    })])
    .unwrap();
    wa.reply(&first, c.add("canary reply")).unwrap();
    wa.unsupported("poll").unwrap();
    let heard = me.received().last().unwrap().native_id.clone();
    me.react(&heard, "❤").unwrap();
    let own = cast.say(&me, "canary before the edit");
    me.edit(&own, cast.canaries.add("canary after the edit")).unwrap();
    me.photo(png, "image/png", None).unwrap();
    me.tap_quick_reply(&cast.canaries.add("canary-payload"), &cast.canaries.add("canary tap"))
        .unwrap();
    let own = cast.say(&ig, "canary to be unsent");
    ig.unsend(&own).unwrap();
    ig.read().unwrap();
    cast.say(&ig, "canary last of all kinds");
    cast.say(&me, "canary last of messenger");
    cast.say(&wa, "canary last of whatsapp");
    hears(world, &cast.me, "canary last of whatsapp").await;
    hears(world, &cast.ig, "canary last of whatsapp").await;
    world
        .until(&cast.wa, "the last words", |view| {
            let texts: Vec<_> = view.iter().filter_map(Seen::text).collect();
            ["canary last of all kinds", "canary last of messenger"]
                .iter()
                .all(|last| texts.iter().any(|text| text.contains(last)))
        })
        .await;
}

/// Everything that platforms do wrong, with errors that quote the person.
async fn faults(cast: &mut Cast, world: &World) {
    let [(a, b), (c, d)] = cast.pairs.clone();
    let gossip = |code, canary: &str| {
        Fault::Graph(GraphFault {
            status: 400,
            code,
            subcode: None,
            message: format!("(#{code}) {canary} cannot be reached at {}", b.person),
            transient: None,
            details: Some(format!("{canary} was here")),
            regain_minutes: None,
        })
    };
    let told = cast.canaries.add("canary gossip of the platform");
    let messenger = world.platforms.messenger();
    for fault in [
        Fault::Html500,
        Fault::graph_500(),
        Fault::TakeThenCut,
        Fault::Hang,
        Fault::CutBeforeReading,
        gossip(2, &told),
        Fault::throttle(Kind::Messenger),
        // These two are refused for good.
        gossip(100, &told),
        gossip(551, &told),
    ] {
        messenger.order(Order::next(fault).person(&b.person));
    }
    for n in 0..4 {
        cast.say(&world.phone(&a), &format!("canary in trouble {n}"));
    }
    hears(world, &b, "canary in trouble 3").await;
    let account = world.platforms.instagram().account(&d.account).unwrap();
    account.revoke_token(463);
    cast.say(&world.phone(&c), "canary of a dead token");
    let refused = world.platforms.instagram().wait_for_counts(|counts| counts.refused > 0);
    tokio::time::timeout(LIMIT, refused).await.unwrap();
    account.restore_token();
    hears(world, &d, "canary of a dead token").await;
    // One whose platform hangs: its lane moves to the store.
    let order = Order::next(Fault::Hang).person(&d.person).until_released();
    let order = world.platforms.instagram().order(order);
    for n in 0..40 {
        cast.say(&world.phone(&c), &format!("canary held {n}"));
    }
    world.until_logged("a lane moved to the store").await;
    cast.learn_from(world);
    assert_nothing_stored(cast, world);
    order.release();
    hears(world, &d, "canary held 39").await;
}

/// What strangers, forgers and broken clients send.
async fn bad_inputs(cast: &mut Cast, world: &World, broker: &Broker) {
    let stranger =
        Person::new(cast.canaries.add("15557701799"), cast.canaries.add("Canary Elster"));
    let stranger = world.platforms.whatsapp().add_phone(WHATSAPP, stranger).unwrap();
    cast.say(&stranger, "canary of a stranger");
    let queues = Queues::connect(&broker.uri()).await;
    let cut_off = format!("{{\"object\": \"{}", cast.canaries.add("canary that is cut off"));
    queues.publish_event("whatsapp", WHATSAPP, cut_off.clone()).await;
    let odd = cast.canaries.add("canary that is no item");
    let odd = json!({"object": "whatsapp_business_account", "entry": [{"changes": [{
        "field": "messages",
        "value": {"metadata": {"phone_number_id": WHATSAPP}, "messages": [odd]},
    }]}]});
    queues.publish_event("whatsapp", WHATSAPP, odd.to_string()).await;
    let foreign = cast.canaries.add("canary on the dispatch queue");
    queues.publish_dispatch("messenger", MESSENGER, foreign).await;
    let url = format!("http://{}/webhooks/whatsapp", world.listen);
    let client = reqwest::Client::new();
    let forged = cast.canaries.add("canary of a forger");
    let signed = signature(&cast.canaries.add("canary-guessed-secret"), forged.as_bytes());
    for (body, signed) in [
        (forged, signed),
        (cut_off.clone(), signature(&format!("sandbox-secret-{WHATSAPP}"), cut_off.as_bytes())),
    ] {
        let post =
            client.post(&url).body(body).header("X-Hub-Signature-256", cast.canaries.add(signed));
        post.send().await.unwrap();
    }
    let wrong = cast.canaries.add("canary-wrong-verify-token");
    let query =
        [("hub.mode", "subscribe"), ("hub.verify_token", &wrong), ("hub.challenge", "1158201444")];
    client.get(&url).query(&query).send().await.unwrap();
    client.get(format!("{url}/{}", cast.canaries.add("canary-path"))).send().await.unwrap();
    let letters = queues.until_dead(7).await;
    let mut found = reasons(&letters);
    found.sort_unstable();
    let wanted = [
        "malformed",
        "malformed",
        "no-conversation",
        "permanent",
        "recipient",
        "unreadable",
        "unreadable-item",
    ];
    assert_eq!(found, wanted);
    let headers: Vec<u8> = letters.iter().flat_map(|letter| letter.headers.bytes()).collect();
    cast.learn_from(world);
    assert_eq!(cast.canaries.found_in(&headers), Vec::<&str>::new(), "a header of a dead letter");
    let bodies: Vec<u8> = letters.iter().flat_map(|letter| letter.body.to_vec()).collect();
    assert!(cast.canaries.found_in(&bodies).contains(&"canary of a stranger"), "bodies are kept");
}

/// A config that is refused, and one that is taken.
async fn reloads(cast: &mut Cast, world: &World) {
    let good = std::fs::read_to_string(world.config_path()).unwrap();
    let number = cast.canaries.add("canary+15557701788");
    let bad = format!(
        "{good}\n[[conversation]]\nname = \"bad\"\nparticipants = [\"whatsapp/{WHATSAPP}/{number}\", \"{number}\"]\n\
         {} = \"{}\"\n",
        "unknown_key",
        cast.canaries.add("canary value")
    );
    std::fs::write(world.config_path(), bad).unwrap();
    world.signal("HUP");
    world.until_logged("the old one stays in force").await;
    std::fs::write(world.config_path(), good).unwrap();
    world.signal("HUP");
    world.until_logged("the config was reloaded").await;
}

fn assert_nothing_stored(cast: &Cast, world: &World) {
    let folder = std::fs::read_dir(world.folder.path()).unwrap();
    let mut bytes = 0;
    for entry in folder.map(Result::unwrap) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_file = entry.file_type().unwrap().is_file();
        if !is_file || name == "interline.toml" || name == "log" {
            continue;
        }
        let content = std::fs::read(entry.path()).unwrap();
        bytes += content.len();
        assert_eq!(cast.canaries.found_in(&content), Vec::<&str>::new(), "in {name}");
    }
    assert!(bytes > 100_000, "the store was looked at: {bytes} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g8_nothing_of_a_person_and_no_secret_is_in_the_log_the_store_or_the_dispatch_queues() {
    let mut cast = Cast::new();
    let (broker, mut world) = world_of(&cast).await;
    world.start();
    all_kinds(&mut cast, &world).await;
    faults(&mut cast, &world).await;
    bad_inputs(&mut cast, &world, &broker).await;
    reloads(&mut cast, &world).await;
    world.kill();
    // Without deliver, dispatches stay in their queues and can be looked at.
    world.extra = "[stages]\ndeliver = false\n".to_owned();
    world.start();
    let (a, b) = cast.pairs[0].clone();
    cast.say(&world.phone(&a), "canary on its way");
    let queues = Queues::connect(&broker.uri()).await;
    queues.until_dispatched("messenger", MESSENGER, 1).await;
    world.kill();
    let bodies = queues.dispatched("messenger", MESSENGER).await;
    assert_eq!(bodies.len(), 1);
    world.extra.clear();
    world.start();
    hears(&world, &b, "canary on its way").await;
    assert_eq!(world.stop().await, Some(0));

    cast.learn_from(&world);
    assert!(cast.canaries.len() > 150, "{} canaries", cast.canaries.len());
    for body in &bodies {
        assert_eq!(cast.canaries.found_in(body), Vec::<&str>::new(), "in a dispatch");
    }
    let log = world.log();
    for words in ["\"level\":\"DEBUG\"", "a dispatch is dead-lettered", "no answer", "draining"] {
        assert!(log.contains(words), "{words} is not in the log: was it at its loudest?");
    }
    assert_eq!(cast.canaries.found_in(log.as_bytes()), Vec::<&str>::new(), "in the log");
    assert_nothing_stored(&cast, &world);
    let config = std::fs::read(world.config_path()).unwrap();
    assert!(!cast.canaries.found_in(&config).is_empty(), "the search finds what is there");
}
