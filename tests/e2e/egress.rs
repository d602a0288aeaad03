//! Accounts whose requests leave through a queue: a backend of the platform's own takes them, and answers.

use crate::harness::{
    Broker, LIMIT, MESSENGER, Seat, World, against_both_brokers, messenger, texts, whatsapp,
};
use crate::queues::{Queues, reasons};
use interline_broker::{Acker, Consumer, Delivery};
use interline_sandbox::Kind;
use serde_json::{Value, json};
use std::collections::{HashSet, VecDeque};

against_both_brokers! {
    requests_leave_by_the_queue_without_credentials_and_answers_come_back => by_the_queue;
}

/// The backend of Messenger: it holds the credentials and calls the API.
struct Backend {
    queues: Queues,
    consumer: Consumer,
    acker: Acker,
    taken: VecDeque<Delivery>,
    api_url: String,
    /// The markers of what was sent.
    called: HashSet<String>,
}

/// A request from the queue.
struct Asked {
    request: Value,
    raw: Delivery,
    marker: String,
}

impl Backend {
    async fn of(broker: &Broker, world: &World) -> Self {
        let queues = Queues::connect(&broker.uri()).await;
        // The queue stands once the daemon has declared everything; events come first.
        queues.until_declared("messenger").await;
        world.until_logged("deliver started").await;
        let (consumer, acker) = queues.egress("messenger").await;
        let api_url = world.platforms.messenger().api_url();
        Self { queues, consumer, acker, taken: VecDeque::new(), api_url, called: HashSet::new() }
    }

    /// The next request, acknowledged.
    async fn next(&mut self) -> Asked {
        while self.taken.is_empty() {
            let batch = tokio::time::timeout(LIMIT, self.consumer.next_batch(10));
            self.taken.extend(batch.await.expect("a request comes in time").unwrap());
        }
        let raw = self.taken.pop_front().unwrap();
        self.acker.ack(raw.tag);
        let request: Value = serde_json::from_slice(&raw.body).unwrap();
        let marker = request["marker"].as_str().unwrap().to_owned();
        Asked { request, raw, marker }
    }

    /// Calls the API with the account's token, and gives what is to be answered.
    async fn call(&self, asked: &Asked) -> Value {
        let route = asked.request["route"].as_str().unwrap();
        let response = reqwest::Client::new()
            .post(format!("{}/{route}", self.api_url))
            .bearer_auth(format!("sandbox-token-{MESSENGER}"))
            .json(&asked.request["body"])
            .send()
            .await
            .unwrap();
        let status = response.status().as_u16();
        let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        json!({"status": status, "headers": {"Content-Type": "application/json"}, "body": body})
    }

    async fn answer(&self, asked: &Asked, answer: &Value) {
        self.queues.answer("messenger", MESSENGER, &asked.marker, answer).await;
    }

    /// Takes, calls and answers so many requests. One that is asked again meanwhile is not sent again: the marker says
    /// which it is.
    async fn serve(&mut self, count: usize) {
        let mut served = 0;
        while served < count {
            let asked = self.next().await;
            if self.called.insert(asked.marker.clone()) {
                let answer = self.call(&asked).await;
                self.answer(&asked, &answer).await;
                served += 1;
            }
        }
    }

    async fn assert_nothing_dead(&self) {
        assert_eq!(reasons(&self.queues.dead().await), Vec::<&str>::new());
    }
}

/// From WhatsApp to Messenger; the daemon is not started yet.
async fn queued_world(broker: &Broker, deliver: &str) -> (World, Seat, Seat) {
    let (a, b) = (whatsapp(1, "Alice"), messenger(1, "Bob"));
    let named = vec![("ab".to_owned(), vec![a.clone(), b.clone()])];
    let mut world = World::new(&broker.uri(), named).await;
    world.account_lines = "egress = \"queue\"\n".to_owned();
    world.deliver =
        format!("retry_backoff_min = \"50ms\"\nretry_backoff_max = \"500ms\"\n{deliver}");
    (world, a, b)
}

fn say(world: &World, seat: &Seat, from: usize, to: usize) {
    for n in from..to {
        world.phone(seat).say(format!("said {n}")).unwrap();
    }
}

async fn by_the_queue(broker: Broker) {
    let (mut world, a, b) = queued_world(&broker, "").await;
    world.start();
    let mut backend = Backend::of(&broker, &world).await;
    say(&world, &a, 0, 3);
    let asked = backend.next().await;
    assert_eq!(asked.request["method"], "POST");
    assert_eq!(asked.request["route"], format!("{MESSENGER}/messages"));
    assert_eq!(asked.request["body"]["recipient"]["id"], b.person);
    assert_eq!(asked.request["body"]["message"]["text"], "said 0");
    assert_eq!(asked.request["body"]["message"]["metadata"], asked.marker, "echoes bear it too");
    assert_eq!(asked.raw.kind(), Some("interline.request"));
    assert_eq!(asked.raw.correlation_id(), Some(asked.marker.as_str()));
    let whole = format!("{}{:?}", asked.request, asked.raw.properties().headers);
    for credential in ["sandbox-token", "sandbox-secret", "access_token", "uthorization", "Bearer"]
    {
        assert!(!whole.contains(credential), "{credential} is in {whole}");
    }
    let answer = backend.call(&asked).await;
    backend.answer(&asked, &answer).await;
    backend.serve(2).await;
    world.until_texts(&b, &texts("said", 3)).await;
    let requests = world.platforms.messenger().raw_requests();
    assert_eq!(requests.len(), 3, "the daemon itself calls nobody");
    backend.assert_nothing_dead().await;
    assert_eq!(world.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_no_backend_answers_is_asked_again_under_the_same_marker() {
    let broker = Broker::mock().await.unwrap();
    let times = "egress_answer_timeout = \"500ms\"\nsettle_timeout = \"200ms\"\n";
    let (mut world, a, b) = queued_world(&broker, times).await;
    world.start();
    let mut backend = Backend::of(&broker, &world).await;
    say(&world, &a, 0, 3);
    let ignored = backend.next().await;
    let again = backend.next().await;
    assert_eq!(ignored.marker, again.marker);
    assert_eq!(ignored.request, again.request);
    let answer = backend.call(&again).await;
    backend.called.insert(again.marker.clone());
    backend.answer(&again, &answer).await;
    backend.serve(2).await;
    world.until_texts(&b, &texts("said", 3)).await;
    backend.assert_nothing_dead().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_no_backend_answers_is_held_for_the_operator_where_the_policy_says_so() {
    let broker = Broker::mock().await.unwrap();
    let times =
        "egress_answer_timeout = \"500ms\"\nsettle_timeout = \"200ms\"\nuncertain = \"hold\"\n";
    let (mut world, a, b) = queued_world(&broker, times).await;
    // An echo would settle it.
    world.platforms.messenger().change_settings(|settings| settings.receipts.sent = false);
    world.start();
    let mut backend = Backend::of(&broker, &world).await;
    say(&world, &a, 0, 1);
    // It reaches the person, but the answer is lost.
    let asked = backend.next().await;
    backend.call(&asked).await;
    let letters = backend.queues.until_dead(1).await;
    assert_eq!(reasons(&letters), ["uncertain"], "{letters:#?}");
    // From now on there is time to answer, also on a busy machine.
    world.deliver = "uncertain = \"hold\"\n".to_owned();
    world.write_config();
    world.signal("HUP");
    world.until_logged("the config was reloaded").await;
    say(&world, &a, 1, 3);
    backend.serve(2).await;
    world.until_texts(&b, &texts("said", 3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_backend_answers_is_read_like_the_apis_own_answer() {
    let broker = Broker::mock().await.unwrap();
    let (mut world, a, b) = queued_world(&broker, "").await;
    world.start();
    let mut backend = Backend::of(&broker, &world).await;
    say(&world, &a, 0, 3);
    let error =
        |code: u64| json!({"error": {"message": "no", "type": "OAuthException", "code": code}});
    let first = backend.next().await;
    backend.answer(&first, &json!({"status": 500, "body": error(2)})).await;
    let again = backend.next().await;
    assert_eq!(again.marker, first.marker, "a passing fault: the same once more");
    backend.answer(&again, &json!({"status": 400, "body": error(100)})).await;
    let second = backend.next().await;
    assert_ne!(second.marker, first.marker, "a lasting one: the next");
    // Neither an answer to nobody nor one that is none disturbs anything.
    backend.queues.answer("messenger", MESSENGER, "somebody-elses", &json!({"status": 200})).await;
    backend.answer(&second, &json!("no answer at all")).await;
    let answer = backend.call(&second).await;
    backend.answer(&second, &answer).await;
    backend.serve(1).await;
    world.until_texts(&b, &["said 1", "said 2"].map(str::to_owned)).await;
    let letters = backend.queues.until_dead(1).await;
    assert_eq!(reasons(&letters), ["permanent"], "{letters:#?}");
    assert_eq!(world.platforms.of(Kind::Messenger).raw_requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g5_an_answer_that_comes_after_a_kill_settles_its_request() {
    let broker = Broker::mock().await.unwrap();
    let (mut world, a, b) = queued_world(&broker, "settle_timeout = \"100s\"\n").await;
    // No echo tells the fate: the answer alone does.
    world.platforms.messenger().change_settings(|settings| settings.receipts.sent = false);
    world.start();
    let mut backend = Backend::of(&broker, &world).await;
    say(&world, &a, 0, 3);
    let asked = backend.next().await;
    let answer = backend.call(&asked).await;
    world.kill();
    backend.answer(&asked, &answer).await;
    world.start();
    backend.serve(2).await;
    world.until_texts(&b, &texts("said", 3)).await;
    backend.assert_nothing_dead().await;
}
