//! What operators get wrong, and what they are told.

use super::*;
use expect_test::{Expect, expect};
use interline_relay::Attribution;

/// A config that is right, for mistakes to be put behind.
const ACCOUNT: &str = r#"
[[account]]
bridge = "whatsapp"
id = "1"
access_token = { env = "TOKEN" }
app_secret = { env = "TOKEN" }
verify_token = { env = "TOKEN" }
"#;

fn source() -> SecretSource {
    SecretSource {
        env: Box::new(|name| (name == "TOKEN").then(|| "a-token".to_owned())),
        credentials_directory: None,
    }
}

fn bridges() -> Vec<String> {
    ["whatsapp", "instagram", "messenger"].map(str::to_owned).into()
}

fn parse(text: &str) -> Result<(Config, Vec<Finding>), ConfigErrors> {
    Config::parse(Path::new("c.toml"), text, &bridges(), &source())
}

fn parse_ok(text: &str) -> Config {
    let (config, warnings) = parse(text).unwrap();
    assert_eq!(warnings, [], "no warning is expected");
    config
}

fn check_mistakes(text: &str, expected: &Expect) {
    expected.assert_eq(&parse(text).unwrap_err().to_string());
}

fn check_warnings(text: &str, expected: &Expect) {
    let (_, warnings) = parse(text).unwrap();
    let lines: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn a_config_is_read_with_its_values() {
    let text = format!(
        r#"
root_key = "{key}"
[broker]
urls = [{{ env = "URL" }}]
prefix = "test"
[store]
url = "sqlite:data/interline.db"
held_max_age = "36h"
[deliver]
uncertain = "hold"
media_bytes_max = "2MiB"
{ACCOUNT}
api_url = "https://graph.example/v24.0/"
[[account]]
bridge = "instagram"
id = "2"
egress = "queue"
send_as = "3"
uncertain = "resend"
order = "delivered"
app_secret = {{ env = "TOKEN" }}
verify_token = {{ env = "TOKEN" }}
[[conversation]]
name = "c"
attribution = "always"
participants = ["whatsapp/1/+15550001111", {{ address = "instagram/2/42", name = "Bob", scoped_id = "US.1", language = "de-AT" }}]
"#,
        key = "0f".repeat(32)
    );
    let source = SecretSource {
        env: Box::new(|name| {
            Some(if name == "URL" { "amqp://localhost/%2f" } else { "a-token" }.to_owned())
        }),
        credentials_directory: None,
    };
    let (config, warnings) =
        Config::parse(Path::new("/etc/i/c.toml"), &text, &bridges(), &source).unwrap();
    assert_eq!(warnings.len(), 1, "the inline root key: {warnings:?}");
    assert_eq!(config.root_key().unwrap().to_exposed_hex(), "0f".repeat(32));
    assert_eq!(config.broker.servers, Servers::Nodes(vec![Secret::new("amqp://localhost/%2f")]));
    assert_eq!(config.store.url, StoreUrl::Sqlite("/etc/i/data/interline.db".into()));
    assert_eq!(config.store.held_max_age.as_secs(), 36 * 3600);
    assert_eq!(config.deliver.media_bytes_max, 2 * 1024 * 1024);
    let [whatsapp, instagram] = config.accounts.as_slice() else { panic!("two accounts") };
    assert_eq!(whatsapp.api_url.as_deref(), Some("https://graph.example/v24.0"));
    assert_eq!((whatsapp.uncertain, whatsapp.send_as.as_str()), (Uncertain::Hold, "1"));
    assert_eq!(whatsapp.access_token.as_ref().map(Secret::expose), Some("a-token"));
    assert_eq!((instagram.egress, instagram.order), (Egress::Queue, Order::Delivered));
    assert_eq!((instagram.uncertain, instagram.send_as.as_str()), (Uncertain::Resend, "3"));
    let [conversation] = config.conversations.as_slice() else { panic!("one conversation") };
    assert_eq!(conversation.attribution, Attribution::Always);
    assert_eq!(conversation.participants[0].address.user.as_exposed_str(), "15550001111");
    assert_eq!(conversation.participants[1].name, Some("Bob".into()));
    assert_eq!(conversation.participants[1].language.as_deref(), Some("de-AT"));
}

#[test]
fn a_language_that_nobody_is_told_anything_in_is_a_mistake() {
    let text = format!(
        r#"{ACCOUNT}
[[conversation]]
name = "c"
participants = ["whatsapp/1/1", {{ address = "whatsapp/1/2", language = "tlh" }}]
"#
    );
    check_mistakes(
        &text,
        &expect![[r#"
            c.toml:11:72: conversation[0].participants[1].language: there are no notices in this language; write one of en, de, es, or nothing for en"#]],
    );
}

#[test]
fn every_mistake_is_told_at_once_with_key_line_and_remedy() {
    check_mistakes(
        r#"
colour = "blue"
[broker]
urls = ["http://rabbit"]
prefetch = "many"
heartbeat = "10"
[store]
url = "postgres://x"
held_rows_max = 0
[ingest]
listen = "8080"
body_bytes_max = "1GiB"
[stages]
relay = "yes"
[[account]]
bridge = "whatsap"
id = 106540352242922
acces_token = "EAAG-secret"
egress = "carrier pigeon"
[[conversation]]
name = "c"
participants = ["whatsapp/1"]
"#,
        &expect![[r#"
            c.toml:2:1: colour: there is no such key at the top level; the keys are: root_key, broker, store, ingest, stages, relay, deliver, media, shutdown, log, admin, account, conversation
            c.toml:4:9: broker.urls[0]: the broker URL has the scheme "http"; use amqp:// or, with TLS, amqps://
            c.toml:5:12: broker.prefetch: this is a string; write a whole number
            c.toml:6:13: broker.heartbeat: this is no duration; write a duration in quotes, such as "250ms", "30s", "5m", "12h" or "7d"
            c.toml:8:7: store.url: the store is SQLite; write "sqlite:PATH", such as "sqlite:/var/lib/interline/interline.db"
            c.toml:9:17: store.held_rows_max: the number is out of range; write 1 to 10000000
            c.toml:11:10: ingest.listen: this is no address to listen on; write IP:PORT, such as "127.0.0.1:8080" or "[::1]:8080"
            c.toml:12:18: ingest.body_bytes_max: the size is out of range; write "64KiB" to "4MiB"
            c.toml:14:9: stages.relay: this is a string; write true or false
            c.toml:15:1: account[0].access_token: it is missing, and requests to the platform bear it; write { credential = "NAME" }, { env = "NAME" } or { file = "PATH" }
            c.toml:15:1: account[0].app_secret: it is missing, and the platform signs webhooks with it; write { credential = "NAME" }, { env = "NAME" } or { file = "PATH" }
            c.toml:15:1: account[0].verify_token: it is missing, and the platform shows it when the webhook is set up; write { credential = "NAME" }, { env = "NAME" } or { file = "PATH" }
            c.toml:16:10: account[0].bridge: there is no such bridge; did you mean "whatsapp"? The bridges are: whatsapp, instagram, messenger
            c.toml:17:6: account[0].id: this is an integer; write a string in quotes
            c.toml:18:1: account[0].acces_token: there is no such key in account[0]; did you mean `access_token`?
            c.toml:19:10: account[0].egress: this is none of the words that can stand here; write "http" or "queue"
            c.toml:22:16: conversation[0].participants: a conversation has at least two participants; add the others
            c.toml:22:17: conversation[0].participants[0]: an address has three parts, `bridge/account/user`, such as `whatsapp/106540352242922/15550001111`; this one has 2"#]],
    );
}

#[test]
fn what_is_missing_is_told_where_its_table_begins() {
    check_mistakes(
        "[[account]]\n\n[[conversation]]\n",
        &expect![[r#"
        c.toml:1:1: account[0].bridge: it is missing; write one of whatsapp, instagram, messenger
        c.toml:1:1: account[0].id: it is missing; write the account's id as the platform shows it, in quotes
        c.toml:1:1: account[0].access_token: it is missing, and requests to the platform bear it; write { credential = "NAME" }, { env = "NAME" } or { file = "PATH" }
        c.toml:1:1: account[0].app_secret: it is missing, and the platform signs webhooks with it; write { credential = "NAME" }, { env = "NAME" } or { file = "PATH" }
        c.toml:1:1: account[0].verify_token: it is missing, and the platform shows it when the webhook is set up; write { credential = "NAME" }, { env = "NAME" } or { file = "PATH" }
        c.toml:3:1: conversation[0].name: it is missing; write a name that no other conversation has
        c.toml:3:1: conversation[0].participants: it is missing; write a list of participants, each "bridge/account/user", or { address = "bridge/account/user", name = "…" }"#]],
    );
}

#[test]
fn every_secret_that_cannot_be_fetched_is_told() {
    check_mistakes(
        r#"
root_key = { credential = "interline-root-key" }
[[account]]
bridge = "whatsapp"
id = "1"
access_token = { env = "ABSENT" }
app_secret = { file = "/nonexistent/secret" }
verify_token = { env = "TOKEN", file = "x" }
"#,
        &expect![[r#"
            c.toml:2:12: root_key: the systemd credential `interline-root-key` is not there, since CREDENTIALS_DIRECTORY is not set; start Interline from its unit with LoadCredential=interline-root-key:FILE, or by hand as root with the variable naming the folder of such files
            c.toml:6:16: account[0].access_token: the environment variable ABSENT is not set; set it, or name a file or credential
            c.toml:7:14: account[0].app_secret: /nonexistent/secret cannot be read (No such file or directory (os error 2)); make it, or give Interline's user the right to read it
            c.toml:8:16: account[0].verify_token: a secret has one place; write exactly one of `credential`, `env` and `file`"#]],
    );
}

#[test]
fn a_person_in_two_places_and_an_account_that_is_not_there_are_told_without_naming_the_person() {
    let text = format!(
        r#"{ACCOUNT}
[[account]]
bridge = "whatsapp"
id = "1"
access_token = {{ env = "TOKEN" }}
app_secret = {{ env = "TOKEN" }}
verify_token = {{ env = "TOKEN" }}
[[conversation]]
name = "c"
participants = ["whatsapp/1/15550001111", "instagram/2/42", "instgram/2/43", "whatsapp/9/44"]
[[conversation]]
name = "c"
participants = ["whatsapp/1/+15550001111", {{ address = "whatsapp/1/45", scoped_id = "15550001111" }}]
"#
    );
    check_mistakes(
        &text,
        &expect![[r#"
        c.toml:9:1: account[1]: account[0] has the same bridge and id; remove one of the two
        c.toml:17:43: conversation[0].participants[1]: its account instagram/2 is not configured; no [[account]] has bridge = "instagram"; add one
        c.toml:17:61: conversation[0].participants[2]: there is no such bridge; did you mean `instagram`? The bridges are: whatsapp, instagram, messenger
        c.toml:17:78: conversation[0].participants[3]: its account whatsapp/9 is not configured; the accounts of whatsapp are: 1; name one of them, or add the [[account]]
        c.toml:19:8: conversation[1].name: conversation[0] has the same name; give one of them another
        c.toml:20:17: conversation[1].participants[0]: the same person stands in conversation[0].participants[0]; an address (or its scoped id) may stand in one conversation, so remove one of the two
        c.toml:20:44: conversation[1].participants[1]: the same person stands in conversation[1].participants[0]; an address (or its scoped id) may stand in one conversation, so remove one of the two"#]],
    );
}

#[test]
fn settings_that_contradict_each_other_are_told() {
    check_mistakes(
        r#"
[broker]
urls = ["embedded", "amqp://localhost"]
heartbeat = "1500ms"
reconnect_backoff_min = "1m"
[store]
held_max_age = "9d"
[stages]
ingest = false
relay = false
deliver = false
[deliver]
prefetch = 32
retry_backoff_max = "500ms"
"#,
        &expect![[r#"
            c.toml:3:9: broker.urls[0]: the embedded broker stands alone; write ["embedded"], or only URLs of RabbitMQ
            c.toml:4:13: broker.heartbeat: AMQP counts heartbeats in whole seconds; write "10s"
            c.toml:5:25: broker.reconnect_backoff_min: it is longer than reconnect_backoff_max; shorten it
            c.toml:7:16: store.held_max_age: a held message would outlive the record that keeps it from being sent twice; write less than store.dispatch_retention
            c.toml:8:1: stages: every stage is off, so there is nothing to run; switch one on
            c.toml:12:1: deliver.retry_backoff_min: it is longer than retry_backoff_max; shorten it
            c.toml:12:1: deliver.lane_deliveries_max: one stuck conversation could take the whole prefetch and stop all others; write less than deliver.prefetch"#]],
    );
}

#[test]
fn several_lines_that_are_no_toml_are_told_together_with_what_else_is_certain() {
    check_mistakes(
        "[broker]\nprefix = \nprefetch = \"x\"\n[ingest]\nlisten = 80 80\nlistn = \"x\"\n",
        &expect![[r#"
            c.toml:2:10: this is no TOML: string values must be quoted, expected literal string; see https://toml.io
            c.toml:3:12: broker.prefetch: this is a string; write a whole number
            c.toml:5:10: this is no TOML: string values must be quoted, expected literal string; see https://toml.io
            c.toml:6:1: ingest.listn: there is no such key in ingest; did you mean `listen`?"#]],
    );
}

#[test]
fn what_is_allowed_but_unwise_is_warned_of() {
    check_warnings(
        r#"
[broker]
urls = ["amqp://user:hunter2@rabbit.example/%2f"]
[ingest]
listen = "0.0.0.0:8080"
[[account]]
bridge = "whatsapp"
id = "1"
api_url = "http://graph.example"
access_token = "EAAG-secret"
app_secret = { env = "TOKEN" }
verify_token = { env = "TOKEN" }
"#,
        &expect![[r#"
            c.toml:3:9: broker.urls[0]: the broker's password stands in the config itself; write the whole URL into { credential = … }, { env = … } or { file = … }
            c.toml:3:9: broker.urls[0]: amqp:// sends the password and every message in clear over the network; use amqps://
            c.toml:5:10: ingest.listen: it listens in plain HTTP to other machines; put a proxy that speaks TLS before it, and listen on 127.0.0.1 if the proxy runs here
            c.toml:9:11: account[0].api_url: over http:// the access token and every message go through the network in clear; use https://
            c.toml:10:16: account[0].access_token: the secret stands in the config itself, where backups and colleagues see it; move it to { credential = … }, { env = … } or { file = … }"#]],
    );
    check_warnings(
        "[broker]\nurls = [\"embedded\"]\n",
        &expect![[r#"
        c.toml:1:1: account: there is no [[account]], so nothing is bridged; add one for each number, page and profile
        c.toml:2:9: broker.urls[0]: the embedded broker keeps nothing over a restart; for people's messages, run RabbitMQ"#]],
    );
}

#[test]
fn relay_and_deliver_in_two_processes_are_warned_of_and_ingest_apart_is_not() {
    check_warnings(
        &format!("{ACCOUNT}[stages]\ndeliver = false\n"),
        &expect![
            "c.toml:8:1: stages: relay and deliver share one store and what they know of what is under way: apart, sends of unknown fate are never settled; run both in one process; ingest may be apart"
        ],
    );
    let apart = parse_ok(&format!("{ACCOUNT}[stages]\nrelay = false\ndeliver = false\n"));
    assert!(apart.stages.ingest);
}

#[test]
fn a_stage_that_is_off_needs_no_secrets() {
    let (config, _) = parse(
        "[stages]\ningest = false\ndeliver = false\n[[account]]\nbridge = \"whatsapp\"\nid = \"1\"\n",
    ).unwrap();
    assert_eq!(config.accounts[0].access_token, None);
}

#[test]
fn g8_neither_the_config_nor_what_is_said_of_it_shows_a_secret_or_a_person() {
    let text = r#"
[broker]
urls = ["amqps://user:hunter2@rabbit.example/%2f"]
[[account]]
bridge = "whatsapp"
id = "1"
access_token = "hunter2-token"
app_secret = "hunter2-secret"
verify_token = "hunter2-verify"
[[conversation]]
name = "c"
participants = [
  { address = "whatsapp/1/15550001111", name = "Alice Canary" },
  { address = "whatsapp/1/15550002222", name = "Bob", scoped_id = "US.15550003333" },
"#;
    let right = format!("{text}]");
    let (config, warnings) = parse(&right).unwrap();
    // The same cut off, and with a mistake on each line that holds something to hide.
    let wrong =
        right.replace("hunter2-token", "hunter2 token").replace("15550001111", "1555 0001111");
    let wrong = wrong.replace("US.1555", "US. 1555").replace("amqps", "amqpx");
    let shown = format!(
        "{config:?} {warnings:?} {:?} {:?}",
        parse(text).unwrap_err(),
        parse(&wrong).unwrap_err()
    );
    for canary in ["hunter2", "1555", "0001111", "Canary"] {
        assert!(!shown.contains(canary), "{canary} in {shown}");
    }
}

#[test]
fn a_config_that_does_not_exist_says_how_to_name_one() {
    let error = Config::load(Path::new("/nonexistent/c.toml"), &bridges(), &source()).unwrap_err();
    assert!(error.to_string().contains("--config"), "{error}");
    assert!(error.findings().is_empty());
}

#[test]
fn a_command_that_needs_no_secret_reads_a_config_whose_secrets_are_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    std::fs::write(&path, ACCOUNT.replace("TOKEN", "ABSENT")).unwrap();
    let (config, _) = Config::load_unfetched(&path, &bridges()).unwrap();
    assert_eq!(config.accounts.len(), 1);
    let errors = Config::load(&path, &bridges(), &source()).unwrap_err();
    assert_eq!(errors.findings().len(), 3);
    std::fs::write(&path, "[broker]\nurls = [\"http://rabbit\"]\n").unwrap();
    let errors = Config::load_unfetched(&path, &bridges()).unwrap_err();
    assert_eq!(
        errors.findings().len(),
        1,
        "what stands in the file itself is checked all the same"
    );
}

#[test]
fn a_command_that_talks_to_the_broker_alone_needs_the_brokers_secrets_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    let load = |broker: &str| {
        let text = format!("{}[broker]\nurls = [{broker}]\n", ACCOUNT.replace("TOKEN", "ABSENT"));
        std::fs::write(&path, text).unwrap();
        Config::load_for_broker(&path, &bridges(), &source())
    };
    let config = load("\"amqp://rabbit\"").unwrap();
    assert!(
        matches!(&config.broker.servers, Servers::Nodes(urls) if urls[0].expose() == "amqp://rabbit")
    );
    assert_eq!(config.accounts[0].access_token, Some(Secret::new("")));
    let errors = load("{ env = \"ABSENT\" }").unwrap_err();
    assert_eq!(errors.findings().len(), 1);
    assert_eq!(errors.findings()[0].key, "broker.urls[0]");
    assert_eq!(load("\"http://rabbit\"").unwrap_err().findings().len(), 1);
}

#[test]
fn a_reload_knows_what_changed_and_what_needs_a_restart() {
    let old = parse_ok(&format!("{ACCOUNT}[ingest]\nlisten = \"127.0.0.1:1\"\n"));
    assert!(Config::diff_for_reload(&old, &old).is_empty());

    let second = ACCOUNT.replace("id = \"1\"", "id = \"2\"");
    let changed = ACCOUNT.replace("[[account]]", "[[account]]\norder = \"delivered\"");
    let new = parse_ok(&format!(
        "{changed}{second}[ingest]\nlisten = \"127.0.0.1:2\"\nconfirm_timeout = \"1s\"\n[broker]\nprefetch = 1\n\
         [deliver]\nrequest_timeout = \"9s\"\n"
    ));
    let changes = Config::diff_for_reload(&old, &new);
    assert_eq!(
        changes.sections,
        [
            Section::Broker,
            Section::IngestAtStart,
            Section::Ingest,
            Section::DeliverAtStart,
            Section::Accounts
        ]
    );
    assert_eq!(
        changes.need_restart().collect::<Vec<_>>(),
        [Section::Broker, Section::IngestAtStart, Section::DeliverAtStart]
    );
    let mut running = new.clone();
    running.keep_until_restart(&old);
    let left: Vec<_> = Config::diff_for_reload(&old, &running).sections;
    assert_eq!(left, [Section::Ingest, Section::Accounts], "what can be taken over is");
    let names = |accounts: &[interline_envelope::AccountRef]| {
        accounts.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(names(&changes.accounts_added), ["whatsapp/2"]);
    assert_eq!(names(&changes.accounts_changed), ["whatsapp/1"]);
    let back = Config::diff_for_reload(&new, &old);
    assert_eq!(names(&back.accounts_removed), ["whatsapp/2"]);
}

#[test]
fn a_template_invites_people_where_the_platform_has_templates() {
    let template = "window_template = { name = \"come_back\", language = \"en_US\" }\n";
    let config = parse_ok(&format!("{ACCOUNT}{template}"));
    let read = config.accounts[0].window_template.clone().unwrap();
    assert_eq!((read.name.as_str(), read.language.as_str()), ("come_back", "en_US"));
    check_mistakes(
        &format!("{}{template}", ACCOUNT.replace("whatsapp", "messenger")),
        &expect![[
            r#"c.toml:8:19: account[0].window_template: Messenger has no templates that invite a person; remove it"#
        ]],
    );
    check_mistakes(
        &format!("{ACCOUNT}window_template = {{ name = \"come back\" }}\n"),
        &expect![[r#"
            c.toml:8:19: account[0].window_template.language: it is missing; copy it from the platform's list of templates
            c.toml:8:28: account[0].window_template.name: this is 1 to 512 ASCII letters, digits or `_`; copy it from the platform's list of templates"#]],
    );
}

#[test]
fn an_account_has_the_rates_of_its_bridge_unless_its_operator_knows_better() {
    use interline_relay::Rate;
    let budgets = |lines: &str| {
        let config = parse_ok(&format!("{ACCOUNT}{lines}"));
        let own = crate::bridges::find("whatsapp").unwrap().manifest().budgets;
        config.accounts[0].pace.over(own)
    };
    let own = budgets("");
    assert_eq!(own.messages, Some(Rate::per_second(80)));
    assert_eq!(own.pair, Some(Rate::new(std::time::Duration::from_secs(6), 45)));
    let upgraded = budgets("messages_per_second = 1000\npair_burst = 10\n");
    assert_eq!(upgraded.messages, Some(Rate::per_second(1000)));
    assert_eq!(upgraded.pair, Some(Rate::new(std::time::Duration::from_secs(6), 10)));
    let free = budgets("messages_per_second = 0\npair_interval = \"0s\"\n");
    assert_eq!((free.messages.unwrap().every_us, free.pair.unwrap().every_us), (0, 0));
    check_mistakes(
        &format!("{ACCOUNT}pair_burst = 0\n"),
        &expect![[
            r#"c.toml:8:14: account[0].pair_burst: the number is out of range; write 1 to 10000"#
        ]],
    );
}
