//! docs/topology.md.

use super::{block, table};
use crate::support::{Folder, program};
use interline_broker::Topology;
use interline_broker::topology::{self, Argument, Queue};
use std::collections::BTreeSet;

const PAGE: &str = include_str!("../../../docs/topology.md");
const PREFIX: &str = "interline";

fn queues() -> [Queue; 4] {
    let topology = Topology::interline(PREFIX, &["whatsapp"], &[("whatsapp", "1")], &["whatsapp"]);
    let names = [
        topology::events_queue(PREFIX, "whatsapp"),
        topology::dispatch_queue(PREFIX, "whatsapp", "1"),
        topology::egress_queue(PREFIX, "whatsapp"),
        topology::dead_queue(PREFIX),
    ];
    assert_eq!(topology.queues.len(), names.len(), "a kind of queue that the page does not know");
    names.map(|name| topology.queues.iter().find(|queue| queue.name == name).unwrap().clone())
}

fn shown(queue: &Queue, argument: Option<&Argument>) -> String {
    match argument {
        None => String::new(),
        Some(Argument::Bool(value)) => value.to_string(),
        Some(Argument::Int(value)) => value.to_string(),
        Some(Argument::Text(value)) if *value == queue.name => "its own name".to_owned(),
        Some(Argument::Text(value)) => format!("`{value}`"),
    }
}

#[test]
fn the_topology_of_the_page_is_what_the_command_prints_for_its_config() {
    let folder = Folder::with(block(PAGE, "# Exchanges and queues", "toml"));
    let mut command = program(&["topology", "--config", &folder.config()]);
    let output = command.env("BROKER_URL", "amqp://127.0.0.1:1/%2f").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed.trim_end(), block(PAGE, "it prints", "text"));
}

#[test]
fn the_page_has_every_argument_of_every_queue_with_its_value() {
    let queues = queues();
    let arguments = queues.each_ref().map(|queue| queue.arguments(true));
    let names: BTreeSet<&str> =
        arguments.iter().flat_map(|arguments| arguments.keys().copied()).collect();
    let wanted: Vec<Vec<String>> = names
        .iter()
        .map(|name| {
            let values = queues.iter().zip(&arguments);
            let values = values.map(|(queue, arguments)| shown(queue, arguments.get(name)));
            [format!("`{name}`")].into_iter().chain(values).collect()
        })
        .collect();
    assert_eq!(table(PAGE, "## Arguments"), wanted);
}

#[test]
fn the_page_says_why_each_argument_is_there_and_what_a_classic_queue_lacks() {
    let why = PAGE.split("With `queue_type").nth(1).unwrap();
    let (classic, why) = why.split_once("\n- ").unwrap();
    for queue in queues() {
        let of_classic = queue.arguments(false);
        for name in queue.arguments(true).keys() {
            assert!(why.contains(&format!("`{name}`")), "no reason for {name}");
            let left_out = classic.contains(&format!("`{name}`")) && *name != "x-queue-type";
            assert_eq!(left_out, !of_classic.contains_key(name), "{name} of a classic queue");
        }
    }
}

#[test]
fn the_page_names_everybody_who_writes_and_reads_a_queue() {
    let rows = table(PAGE, "## Who writes and who reads");
    let listed: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    let wanted = [
        topology::events_queue(PREFIX, "PLATFORM"),
        topology::dispatch_queue(PREFIX, "PLATFORM", "ACCOUNT"),
        topology::egress_queue(PREFIX, "PLATFORM"),
        topology::dead_queue(PREFIX),
    ];
    assert_eq!(listed, wanted);
}
