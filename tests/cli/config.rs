//! `check`, `conversations`, `topology`: commands that read the config.

use crate::support::{CONFIG, Folder, run};
use serde_json::json;

#[test]
fn a_config_that_can_be_used_is_said_to_be_fine() {
    let folder = Folder::with(CONFIG);
    let ran = run(&["check", "--config", &folder.config()]).ended(0);
    assert!(ran.out.contains("is fine") && ran.out.contains("accounts       2"), "{ran:?}");
    let json = run(&["check", "--json", "--config", &folder.config()]).ended(0).json();
    assert_eq!((&json["accounts"], &json["conversations"]), (&json!(2), &json!(1)));
    assert_eq!(json["store"]["exists"], false);
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "a check makes neither store nor key: {left:?}");
}

#[test]
fn a_wrong_config_ends_with_78_and_every_mistake_is_told_with_key_and_line() {
    let wrong = CONFIG
        .replace("app_secret = \"secret\"\nverify_token = \"verify\"\n\n[[conv", "\n[[conv")
        .replace("urls =", "url =")
        .replace("106540352242922/15550001111", "999/15550001111");
    let folder = Folder::with(&wrong);
    for command in ["check", "run", "topology", "conversations"] {
        let ran = run(&[command, "--config", &folder.config()]).ended(78);
        let told = |line: u32, key: &str| {
            let place = format!("interline.toml:{line}:");
            ran.err.lines().any(|said| said.contains(&place) && said.contains(key))
        };
        assert!(told(2, "broker.url"), "{command}: {ran:#?}");
        assert!(told(14, "account[1].app_secret"), "{command}: {ran:#?}");
        assert!(told(22, "conversation[0].participants[0]"), "{command}: {ran:#?}");
        assert!(ran.err.ends_with("interline: the config has 4 mistakes\n"), "{command}: {ran:#?}");
        assert!(ran.out.is_empty(), "{command}: {ran:#?}");
        assert!(!ran.err.contains("15550001111"), "{command}: no person is named");
    }
}

#[test]
fn a_store_whose_folder_is_not_there_ends_with_78_so_that_systemd_does_not_try_again() {
    let folder = Folder::with(&CONFIG.replace("sqlite:STORE", "sqlite:STORE.d/interline.db"));
    for command in ["check", "run"] {
        let ran = run(&[command, "--config", &folder.config()]).ended(78);
        assert!(ran.err.contains("interline.db.d"), "{command}: {ran:?}");
    }
}

#[test]
fn what_is_unwise_in_a_config_stands_in_the_log_of_the_daemon_and_in_the_words_of_a_check() {
    let open = CONFIG.replace("sqlite:STORE", "sqlite:STORE.d/interline.db")
        + "\n[ingest]\nlisten = \"0.0.0.0:8080\"\n";
    let folder = Folder::with(&open);
    let ran = run(&["check", "--config", &folder.config()]).ended(78);
    assert!(ran.err.starts_with("warning: ") && ran.err.contains("plain HTTP"), "{ran:?}");
    let ran = run(&["run", "--config", &folder.config()]).ended(78);
    let told = ran.err.lines().find(|line| line.contains("plain HTTP")).unwrap();
    let told: serde_json::Value = serde_json::from_str(told).unwrap();
    assert_eq!((&told["level"], &told["message"]), (&"WARN".into(), &"the config".into()));
}

#[test]
fn commands_that_need_no_secret_of_an_account_work_where_there_is_none() {
    let named = CONFIG.replace("\"token\"", "{ credential = \"token\" }");
    let folder = Folder::with(&named);
    let config = folder.config();
    run(&["check", "--config", &config]).ended(78);
    run(&["conversations", "--config", &config]).ended(0);
    run(&["topology", "--config", &config]).ended(0);
    // They get as far as the daemon and the broker, which are not there.
    let ran = run(&["status", "--config", &config]).ended(1);
    assert!(ran.err.contains("does not answer"), "{ran:?}");
    let ran = run(&["dead", "list", "--config", &config]).ended(1);
    assert!(ran.err.contains("127.0.0.1:1"), "{ran:?}");
}

#[test]
fn a_config_that_is_not_there_ends_with_78_and_says_how_to_name_one() {
    let ran = run(&["check", "--config", "no-such.toml"]).ended(78);
    assert!(ran.err.contains("no-such.toml") && ran.err.contains("--config FILE"), "{ran:?}");
}

#[test]
fn conversations_show_people_only_where_that_is_asked_for() {
    let folder = Folder::with(CONFIG);
    let ran = run(&["conversations", "--config", &folder.config()]).ended(0);
    assert!(ran.out.contains("alice-and-bob: whatsapp/106540352242922/…"), "{ran:?}");
    assert!(!ran.out.contains("15550001111"), "{ran:?}");
    let ran = run(&["conversations", "--json", "--addresses", "--config", &folder.config()]);
    let wanted = json!([{
        "name": "alice-and-bob",
        "participants": [
            "whatsapp/106540352242922/15550001111",
            "instagram/17841400000000001/1700000000000001",
        ],
    }]);
    assert_eq!(json!(ran.ended(0).json_lines()), wanted);
}

#[test]
fn the_topology_is_printed_without_a_broker_and_names_every_accounts_queue() {
    let folder = Folder::with(CONFIG);
    let text = run(&["topology", "--config", &folder.config()]).ended(0).out;
    let json = run(&["topology", "--json", "--config", &folder.config()]).ended(0);
    json.json();
    for name in ["106540352242922", "17841400000000001", "interline.dead"] {
        assert!(text.contains(name) && json.out.contains(name), "{name}: {text}");
    }
}

#[test]
fn a_broker_that_is_not_there_is_told_without_its_password() {
    let folder = Folder::with(&CONFIG.replace("guest:guest", "guest:pa55word"));
    let config = folder.config();
    for arguments in [["topology", "--declare"], ["dead", "list"]] {
        let arguments = [&arguments[..], &["--config", &config]].concat();
        let ran = run(&arguments).ended(1);
        assert!(ran.err.contains("127.0.0.1:1"), "{ran:?}");
        assert!(!ran.err.contains("pa55word"), "{ran:?}");
    }
}

#[test]
fn what_is_no_store_is_told_before_anything_is_made_beside_it() {
    for (what, make) in [
        ("a folder", (|path| std::fs::create_dir(path).unwrap()) as fn(&std::path::Path)),
        ("another file", |path| std::fs::write(path, "hello, I am a letter").unwrap()),
    ] {
        let folder = Folder::with(CONFIG);
        make(&folder.path().join("interline.db"));
        for command in ["check", "run"] {
            let ran = run(&[command, "--config", &folder.config()]).ended(78);
            assert!(ran.err.contains("is no store"), "{what}, {command}: {ran:?}");
            assert!(ran.err.contains("[store] url"), "{what}, {command}: {ran:?}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "{what}");
    }
}

#[test]
fn an_empty_file_becomes_the_store() {
    let folder = Folder::with(CONFIG);
    std::fs::write(folder.path().join("interline.db"), "").unwrap();
    let ran = run(&["check", "--config", &folder.config()]).ended(0);
    assert!(ran.out.contains("made at the first start"), "{ran:?}");
}
