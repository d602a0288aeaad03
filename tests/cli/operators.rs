//! What helps an operator to choose and to measure.

use crate::support::{CONFIG, Folder, program, run};
use interline_embedded_broker::{Config, EmbeddedBroker};
use serde_json::Value;

#[test]
fn every_bridge_says_what_can_be_sent_through_it() {
    let text = run(&["bridges"]).ended(0).out;
    for line in [
        "whatsapp (WhatsApp",
        "text       up to 4096 characters",
        "instagram (Instagram",
        "text       up to 1000 bytes of UTF-8",
        "messenger (Messenger",
        "marker     none comes back",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let json = run(&["bridges", "--json"]).ended(0).out;
    let bridges: Vec<Value> =
        json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(bridges.len(), 3);
    assert!(bridges.iter().all(|bridge| bridge["capabilities"]["text"]["max"].is_u64()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bench_checks_what_it_drained_and_leaves_no_queue_behind() {
    let broker = EmbeddedBroker::start(Config::default()).await.unwrap();
    for people in ["2", "3"] {
        let uri = broker.uri();
        let ran = tokio::task::spawn_blocking(move || {
            let load = ["--messages", "300", "--conversations", "7", "--people", people];
            let rest = ["--broker", &uri, "--rounds", "2", "--json"];
            run(&[&["bench", "relay"], &load[..], &rest[..]].concat())
        })
        .await
        .unwrap()
        .ended(0);
        let report: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(report["relay"].as_array().unwrap().len(), 2, "{report}");
        assert!(report["median"]["relay"]["per_second"].as_f64().unwrap() > 0.0, "{report}");
        assert_eq!(report["median"]["shovel"], Value::Null);
        assert!(broker.snapshot().queues.is_empty(), "{:?}", broker.snapshot().queues);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bench_of_ingest_counts_what_the_queue_holds_and_leaves_none_behind() {
    let broker = EmbeddedBroker::start(Config::default()).await.unwrap();
    for rate in [&[][..], &["--rate", "500"]] {
        let uri = broker.uri();
        let ran = tokio::task::spawn_blocking(move || {
            let load = ["bench", "ingest", "--messages", "200", "--broker", &uri, "--json"];
            run(&[&load[..], rate].concat())
        })
        .await
        .unwrap()
        .ended(0);
        let answers = &ran.json()["answers"];
        assert!(answers["per_second"].as_f64().unwrap() > 0.0, "{answers}");
        assert!(answers["p99_ms"].as_f64() >= answers["p50_ms"].as_f64(), "{answers}");
        assert!(broker.snapshot().queues.is_empty(), "{:?}", broker.snapshot().queues);
    }
}

#[test]
fn a_bench_without_a_broker_says_how_to_name_one() {
    let ran = run(&["bench", "relay", "--broker", "amqp://127.0.0.1:1/%2f"]).ended(1);
    assert!(ran.err.contains("--broker names another one"), "{}", ran.err);
}

/// What a command that talks to a broker says on standard error.
async fn said(arguments: &[&str], rust_log: Option<&str>) -> String {
    let broker = EmbeddedBroker::start(Config::default()).await.unwrap();
    let config = CONFIG.replace("amqp://guest:guest@127.0.0.1:1/%2f", &broker.uri());
    let folder = Folder::with(&config);
    let mut command = program(&[arguments, &["--config", &folder.config()]].concat());
    command.envs(rust_log.map(|levels| ("RUST_LOG", levels)));
    let ran = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    String::from_utf8(ran.stderr).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_says_more_where_it_is_asked_to_and_in_no_colour_off_a_terminal() {
    const CONNECTED: &str = "connected to the broker";
    let quiet = said(&["topology", "--declare"], None).await;
    assert!(!quiet.contains(CONNECTED), "{quiet}");
    for (verbose, rust_log) in [(&["-v"][..], None), (&[], Some("interline_broker=info"))] {
        let declared = said(&[&["topology", "--declare"], verbose].concat(), rust_log).await;
        assert!(declared.contains(CONNECTED), "{verbose:?} {rust_log:?}: {declared}");
        assert!(!declared.contains('\u{1b}'), "{declared}");
    }
    let wrong = said(&["topology", "--declare"], Some("interline=loud")).await;
    assert!(wrong.contains("RUST_LOG is left out"), "{wrong}");
    let help = run(&["dead"]).ended(2);
    assert!(!help.err.contains('\u{1b}'), "{help:?}");
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ran = program(&["bridges"]).stdout(writer).output().unwrap();
    assert_eq!(
        (ran.status.code(), String::from_utf8(ran.stderr).unwrap()),
        (Some(0), String::new())
    );
}
