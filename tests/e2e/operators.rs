//! What an operator sees of a running daemon: numbers, health, `interline status`.

use crate::harness::{
    Broker, LIMIT, MESSENGER, Seat, WHATSAPP, World, free_address, instagram, messenger, whatsapp,
};
use interline_sandbox::{Kind, Seen};
use serde_json::{Value, json};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

struct Watched {
    world: World,
    admin: String,
}

/// A daemon for Alice on WhatsApp and Bob on Messenger, with an admin address.
async fn watched(broker: &Broker) -> Watched {
    let seats = vec![whatsapp(1, "Alice"), messenger(1, "Bob")];
    watched_with(broker, vec![("ab".to_owned(), seats)]).await
}

async fn watched_with(broker: &Broker, conversations: Vec<(String, Vec<Seat>)>) -> Watched {
    let mut world = World::new(&broker.uri(), conversations).await;
    let admin = free_address().to_string();
    world.extra = format!("[admin]\nlisten = {admin:?}\n");
    Watched { world, admin: format!("http://{admin}") }
}

impl Watched {
    async fn get(&self, path: &str) -> Option<(u16, String)> {
        let answer = reqwest::get(format!("{}{path}", self.admin)).await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    }

    async fn until(&self, path: &str, wanted: impl Fn(u16, &str) -> bool) -> String {
        let started = Instant::now();
        let mut last = None;
        while started.elapsed() < LIMIT {
            last = self.get(path).await;
            if let Some((status, text)) = &last
                && wanted(*status, text)
            {
                return text.clone();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{path} never said that, but {last:?}");
    }

    fn status(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_interline"))
            .arg("status")
            .args(arguments)
            .arg("--config")
            .arg(self.world.config_path())
            .output()
            .unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g8_the_numbers_tell_what_happened_and_name_no_person() {
    let broker = Broker::mock().await.unwrap();
    let mut watched = watched(&broker).await;
    watched.world.start();
    let (alice, bob) = (whatsapp(1, "Alice"), messenger(1, "Bob"));
    watched.world.phone(&alice).say("hello").unwrap();
    let card =
        json!({"name": {"formatted_name": "Kim Case"}, "phones": [{"phone": "+15550003333"}]});
    watched.world.phone(&alice).contacts(vec![card]).unwrap();
    watched
        .world
        .until(&bob, "both", |view| view.iter().filter(|seen| !seen.mine).count() == 2)
        .await;
    let sent = format!(
        "interline_sends_total{{bridge=\"messenger\",account=\"{MESSENGER}\",class=\"sent\"}} 2"
    );
    let text = watched.until("/metrics", |_, text| text.contains(&sent)).await;
    for line in [
        "interline_webhooks_total{bridge=\"whatsapp\",status=\"200\"} 2".to_owned(),
        "interline_events_total{bridge=\"whatsapp\",disposition=\"relayed\"} 2".to_owned(),
        format!("interline_dispatches_total{{bridge=\"messenger\",account=\"{MESSENGER}\"}} 2"),
        "interline_losses_total{bridge=\"messenger\",loss=\"contacts-as-text\"} 1".to_owned(),
        "interline_broker_connected 1".to_owned(),
        "interline_held_rows 0".to_owned(),
        "interline_parked_rows 0".to_owned(),
        format!("interline_account_paused{{bridge=\"whatsapp\",account=\"{WHATSAPP}\"}} 0"),
        "interline_send_seconds_count{bridge=\"messenger\"} 2".to_owned(),
        "interline_store_commit_seconds_count ".to_owned(),
        "interline_lag_seconds_sum".to_owned(),
        "# EOF".to_owned(),
    ] {
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
    for secret in [&alice.person, &bob.person, &alice.name, &bob.name, "hello"] {
        assert!(!text.contains(secret), "{secret} is in\n{text}");
    }
    assert_eq!(watched.world.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_without_its_broker_is_alive_but_not_ready_and_says_why() {
    let nowhere = format!("amqp://guest:guest@{}/%2f", free_address());
    let broker = Broker::mock().await.unwrap();
    let mut watched = watched(&broker).await;
    watched.world.broker_urls = vec![nowhere];
    watched.world.start();
    watched.until("/live", |status, text| status == 200 && text.contains("\"live\":true")).await;
    let text =
        watched.until("/ready", |status, text| status == 503 && text.contains("refused")).await;
    assert!(text.contains("no connection to the broker"), "{text}");
    let output = watched.status(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("NOT READY"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("not ready: no connection to the broker"), "{said}");
    assert_eq!(watched.world.stop().await, Some(0));
    let output = watched.status(&[]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("is it running"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_a_reload_takes_away_is_no_longer_counted() {
    let broker = Broker::mock().await.unwrap();
    let stays = vec![whatsapp(1, "Alice"), messenger(1, "Bob")];
    let leaves = vec![messenger(2, "Dave"), instagram(1, "Carla")];
    let conversations = vec![("stays".to_owned(), stays), ("leaves".to_owned(), leaves)];
    let mut watched = watched_with(&broker, conversations).await;
    watched.world.start();
    watched.until("/metrics", |_, text| text.contains("account_paused{bridge=\"instagram\"")).await;
    watched.world.conversations.retain(|(name, _)| name != "leaves");
    watched.world.write_config();
    let written = std::fs::read_to_string(watched.world.config_path()).unwrap();
    let tables = written.split("[[").filter(|table| !table.contains("bridge = \"instagram\""));
    let left = tables.collect::<Vec<_>>().join("[[");
    assert_ne!(left, written);
    std::fs::write(watched.world.config_path(), left).unwrap();
    watched.world.signal("HUP");
    let is_gone = |_: u16, text: &str| {
        text.contains("account_paused{bridge=\"messenger\"") && !text.contains("instagram")
    };
    watched.until("/metrics", is_gone).await;
    assert_eq!(watched.world.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_tells_an_account_that_needs_a_new_token_from_one_that_sends() {
    let broker = Broker::mock().await.unwrap();
    let mut watched = watched(&broker).await;
    watched.world.start();
    let (alice, bob) = (whatsapp(1, "Alice"), messenger(1, "Bob"));
    watched.until("/ready", |status, _| status == 200).await;
    watched.world.phone(&bob).say("hello").unwrap();
    watched.world.until(&alice, "the greeting", |view| view.iter().any(|seen| !seen.mine)).await;
    let page = watched.world.platforms.of(Kind::Messenger).account(MESSENGER).unwrap();
    page.revoke_token(463);
    watched.world.phone(&alice).say("never mind").unwrap();
    let paused =
        format!("interline_account_paused{{bridge=\"messenger\",account=\"{MESSENGER}\"}} 1");
    watched.until("/metrics", |_, text| text.contains(&paused)).await;
    let output = watched.status(&["--json"]);
    assert_eq!(output.status.code(), Some(0));
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["ready"], true);
    assert_eq!(status["broker"]["connected"], true);
    let account = |name: &str| {
        let all = status["accounts"].as_array().unwrap();
        all.iter().find(|one| one["account"].as_str().unwrap().starts_with(name)).unwrap().clone()
    };
    assert_eq!(account("messenger")["paused"], "reauth");
    assert!(account("messenger")["last_error"]["error"].as_str().unwrap().contains("190"));
    assert_eq!(account("messenger")["lanes"], 1);
    assert_eq!(account("whatsapp")["paused"], Value::Null);
    assert!(account("whatsapp")["lag_ms"].is_i64());
    let output = watched.status(&[]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("PAUSED (reauth)") && text.contains("last error"), "{text}");
    page.restore_token();
    watched.world.signal("KILL");
    watched.world.ended().await;
    // What a killed daemon left of its socket does not keep the next one from telling its status.
    watched.world.start();
    watched
        .world
        .until(&bob, "what was said meanwhile", |view| view.iter().any(|seen| !seen.mine))
        .await;
    assert_eq!(watched.status(&[]).status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_talk_of_many_messages_adds_no_line_to_the_log_and_every_line_is_json() {
    let broker = Broker::mock().await.unwrap();
    let mut watched = watched(&broker).await;
    let (alice, bob) = (whatsapp(1, "Alice"), messenger(1, "Bob"));
    watched.world.start();
    watched.world.phone(&alice).say("first").unwrap();
    watched.world.until(&bob, "the first", |view| view.iter().any(|seen| !seen.mine)).await;
    watched.world.phone(&bob).say("first back").unwrap();
    watched.world.until(&alice, "the first back", |view| view.iter().any(|seen| !seen.mine)).await;
    let before = watched.world.log();
    let texts = crate::harness::texts("one of many", 40);
    for text in &texts {
        watched.world.phone(&alice).say(text).unwrap();
    }
    watched.world.until(&bob, "all of them", |view| view.len() > 40).await;
    watched.world.phone(&bob).say("and back").unwrap();
    let answers = |view: &[Seen]| view.iter().filter(|seen| !seen.mine).count() > 1;
    watched.world.until(&alice, "the answer", answers).await;
    assert_eq!(watched.world.log(), before);
    // What is unwise in the config is told before the log begins.
    for line in before.lines().filter(|line| !line.starts_with("warning: ")) {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(line["level"].is_string() && line["message"].is_string(), "{line}");
    }
    let starts = ["ingest started", "relay started", "deliver started", "the stages run"];
    for (message, times) in starts.into_iter().zip([1, 2, 2, 1]) {
        assert_eq!(before.matches(message).count(), times, "{message}: {before}");
    }
    assert_eq!(watched.world.stop().await, Some(0));
}
