//! A webhook endpoint that stands for the daemon, and the accounts and people that the tests use.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use interline_sandbox::{AccountConfig, Config, Delivery, Person, Phone, Platform, Platforms};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) const NUMBER: &str = "106540352242922";
pub(crate) const PAGE: &str = "104500000000001";
pub(crate) const IG: &str = "17841400000000001";
pub(crate) const SAM: &str = "15550001111";
pub(crate) const PSID: &str = "6100000000000001";
pub(crate) const IGSID: &str = "1700000000000001";

/// Nothing here takes longer, unless it is broken.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// One POST as it came.
#[derive(Clone)]
pub(crate) struct Post {
    pub(crate) body: Bytes,
    pub(crate) signature: String,
    pub(crate) answered: u16,
}

impl Post {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

#[derive(Default)]
struct Inner {
    posts: Vec<Post>,
    answers: VecDeque<u16>,
    open: usize,
    open_most: usize,
}

#[derive(Clone)]
struct Desk {
    inner: Arc<Mutex<Inner>>,
    changed: Arc<watch::Sender<u64>>,
    held: Arc<watch::Sender<bool>>,
}

/// The endpoint. It ends with its test.
pub(crate) struct Hook {
    pub(crate) url: String,
    desk: Desk,
    _tasks: JoinSet<()>,
}

impl Hook {
    pub(crate) async fn start() -> Self {
        let desk = Desk {
            inner: Arc::default(),
            changed: Arc::new(watch::Sender::new(0)),
            held: Arc::new(watch::Sender::new(false)),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/webhooks", listener.local_addr().unwrap());
        let router =
            Router::new().route("/webhooks", get(verify).post(take)).with_state(desk.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, desk, _tasks: tasks }
    }

    /// The next posts get these statuses; after them 200.
    pub(crate) fn answer_with(&self, statuses: &[u16]) {
        self.desk.inner.lock().unwrap().answers.extend(statuses);
    }

    /// Keeps posts open until it is set to false again.
    pub(crate) fn hold(&self, hold: bool) {
        self.desk.held.send_replace(hold);
    }

    pub(crate) fn posts(&self) -> Vec<Post> {
        self.desk.inner.lock().unwrap().posts.clone()
    }

    pub(crate) fn open_most(&self) -> usize {
        self.desk.inner.lock().unwrap().open_most
    }

    /// Waits until the posts that were answered are as wanted, and returns them.
    pub(crate) async fn wait_for(&self, wanted: impl Fn(&[Post]) -> bool) -> Vec<Post> {
        let mut changed = self.desk.changed.subscribe();
        let wait = async {
            loop {
                let posts = self.posts();
                if wanted(&posts) {
                    return posts;
                }
                changed.changed().await.unwrap();
            }
        };
        tokio::time::timeout(LIMIT, wait).await.expect("the posts never were as wanted")
    }

    /// Waits until so many posts are open.
    pub(crate) async fn wait_for_open(&self, count: usize) {
        let mut changed = self.desk.changed.subscribe();
        let wait = async {
            while self.desk.inner.lock().unwrap().open < count {
                changed.changed().await.unwrap();
            }
        };
        tokio::time::timeout(LIMIT, wait).await.expect("so many posts were never open");
    }

    /// The bodies of the posts that were answered with 200.
    pub(crate) async fn wait_for_taken(&self, count: usize) -> Vec<Value> {
        let taken = |posts: &[Post]| posts.iter().filter(|post| post.answered == 200).count();
        let posts = self.wait_for(|posts| taken(posts) >= count).await;
        posts.iter().filter(|post| post.answered == 200).map(Post::json).collect()
    }
}

async fn verify(
    Query(query): Query<std::collections::HashMap<String, String>>,
) -> (StatusCode, String) {
    let token = query.get("hub.verify_token").map_or("", String::as_str);
    if query["hub.mode"] == "subscribe" && token.starts_with("sandbox-verify-") {
        (StatusCode::OK, query["hub.challenge"].clone())
    } else {
        (StatusCode::FORBIDDEN, String::new())
    }
}

async fn take(State(desk): State<Desk>, headers: HeaderMap, body: Bytes) -> StatusCode {
    {
        let mut inner = desk.inner.lock().unwrap();
        inner.open += 1;
        inner.open_most = inner.open_most.max(inner.open);
    }
    desk.changed.send_modify(|version| *version += 1);
    desk.held.subscribe().wait_for(|held| !held).await.unwrap();
    let mut inner = desk.inner.lock().unwrap();
    inner.open -= 1;
    let answered = inner.answers.pop_front().unwrap_or(200);
    let signature = headers["x-hub-signature-256"].to_str().unwrap().to_owned();
    inner.posts.push(Post { body, signature, answered });
    drop(inner);
    desk.changed.send_modify(|version| *version += 1);
    StatusCode::from_u16(answered).unwrap()
}

/// Short waits, so that a redelivery takes milliseconds.
pub(crate) fn quick() -> Delivery {
    Delivery {
        retry_first: Duration::from_millis(2),
        retry_max: Duration::from_millis(20),
        ..Delivery::default()
    }
}

/// One account and one person on each platform, posting to `hook`.
pub(crate) async fn start(hook: &Hook) -> Platforms {
    let mut config = Config::default();
    for (platform, account, person, name) in [
        (&mut config.whatsapp, NUMBER, SAM, "Sam Sample"),
        (&mut config.messenger, PAGE, PSID, "Mia Sample"),
        (&mut config.instagram, IG, IGSID, "Ina Sample"),
    ] {
        let account = AccountConfig::new(account).with(Person::new(person, name));
        platform.accounts.push(account.posting_to(&hook.url));
        platform.settings.delivery = quick();
    }
    Platforms::start(config).await.unwrap()
}

/// The first phone of a platform.
pub(crate) fn phone(platform: &Platform) -> Phone {
    platform.phones().remove(0)
}

/// Sends to the Send API with the account's own token.
pub(crate) async fn send(platform: &Platform, body: &Value) -> (u16, Value) {
    let account = platform.accounts().remove(0);
    call(platform, &format!("{}/messages", account.id()), body).await
}

/// Posts to a path with the first account's token.
pub(crate) async fn call(platform: &Platform, path: &str, body: &Value) -> (u16, Value) {
    let token = platform.accounts().remove(0).config().unwrap().access_token;
    let url = format!("{}/{path}", platform.api_url());
    let response =
        reqwest::Client::new().post(url).bearer_auth(token).json(body).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// The same where no answer may come.
pub(crate) async fn try_send(
    platform: &Platform,
    body: &Value,
) -> reqwest::Result<reqwest::Response> {
    let account = platform.accounts().remove(0);
    let token = account.config().unwrap().access_token;
    let url = format!("{}/{}/messages", platform.api_url(), account.id());
    reqwest::Client::new().post(url).bearer_auth(token).json(body).send().await
}

pub(crate) fn code(body: &Value) -> (u64, Option<u64>) {
    let error = &body["error"];
    assert!(error["fbtrace_id"].is_string() && error["message"].is_string(), "{body}");
    (error["code"].as_u64().unwrap(), error["error_subcode"].as_u64())
}

/// A small PNG, or at least something that begins like one.
pub(crate) fn png() -> Vec<u8> {
    [b"\x89PNG\r\n\x1a\n".as_slice(), &[7; 200]].concat()
}

/// A text send in the platform's shape.
pub(crate) fn text(platform: &Platform, text: &str) -> Value {
    let person = phone(platform);
    match platform.kind() {
        interline_sandbox::Kind::WhatsApp => serde_json::json!({
            "messaging_product": "whatsapp", "to": format!("+{}", person.id()), "type": "text",
            "text": {"body": text}, "biz_opaque_callback_data": "marker-1",
        }),
        interline_sandbox::Kind::Messenger | interline_sandbox::Kind::Instagram => {
            serde_json::json!({
                "recipient": {"id": person.id()}, "message": {"text": text, "metadata": "marker-1"},
            })
        }
    }
}
