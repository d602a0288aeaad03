//! The node itself: that it starts, survives a kill with its data, stops, and leaves nothing behind.

use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use interline_rabbit_node::RabbitNode;

const GONE_LIMIT: Duration = Duration::from_secs(20);

#[test]
fn a_node_starts_survives_a_kill_and_leaves_nothing_behind() {
    let Some(mut node) = RabbitNode::start().expect("a node starts") else { return };
    let port = node.port();
    let listens = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
    assert!(listens());
    node.control(&["add_vhost", "kept"]).expect("a virtual host is added");

    node.kill();
    assert!(!listens());
    node.start_again().expect("it starts again after a kill");
    assert!(node.control(&["list_vhosts"]).expect("virtual hosts are listed").contains("kept"));

    node.stop();
    assert!(!listens());
    node.start_again().expect("it starts again after a stop");
    drop(node);
    assert!(!listens());
    let own = format!("RABBITMQ_NODE_PORT={port}\0");
    let left = || {
        let processes = std::fs::read_dir("/proc").expect("/proc can be read").flatten();
        let environments =
            processes.filter_map(|entry| std::fs::read(entry.path().join("environ")).ok());
        environments.filter(|of| String::from_utf8_lossy(of).contains(&own)).count()
    };
    // What was killed may take a moment to go.
    let dropped = Instant::now();
    while left() > 0 && dropped.elapsed() < GONE_LIMIT {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(left(), 0, "processes of the node are left");
}
