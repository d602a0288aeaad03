//! Connecting to what is no broker: nothing hangs, nothing leaks, and no password goes out in clear.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use interline_broker::{AttemptError, BrokerUrls, ConnectConfig, ConnectError, Retry, connect};

use given::{config, listener, only_failure};

/// How long a test waits for an answer that does not come.
const LIMIT: Duration = Duration::from_secs(2);

/// What the tests have in common.
#[cfg(test)]
mod given {
    use super::{AttemptError, BrokerUrls, ConnectConfig, ConnectError, Duration, TcpListener};

    /// With more time than any of this takes: what is asserted is another end.
    pub(super) fn config(url: &str) -> ConnectConfig {
        let mut config = ConnectConfig::new(BrokerUrls::parse(&[url]).expect("a good URL"), "test");
        config.connect_timeout = Duration::from_secs(60);
        config
    }

    pub(super) fn listener() -> (TcpListener, u16) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        (listener, port)
    }

    pub(super) fn only_failure(error: ConnectError) -> AttemptError {
        let ConnectError::NoneUsable { mut failures } = error else {
            panic!("nothing was tried: {error:?}")
        };
        assert_eq!(failures.len(), 1);
        failures.remove(0).error
    }
}

#[tokio::test]
async fn a_peer_that_accepts_and_says_nothing_is_given_up_and_its_socket_closed() {
    let (listener, port) = listener();
    let peer = thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("the client comes");
        let mut received = Vec::new();
        // Ends only when the client closes: were its thread still holding the socket, this would hang.
        socket.read_to_end(&mut received).expect("the client goes");
        received
    });
    let started = Instant::now();
    let mut config = config(&format!("amqp://127.0.0.1:{port}"));
    config.connect_timeout = LIMIT;
    let error = only_failure(connect(&config).await.expect_err("no answer"));
    assert!(matches!(error, AttemptError::TimedOut(limit) if limit == LIMIT), "{error:?}");
    assert!(started.elapsed() < LIMIT * 10, "{:?}", started.elapsed());
    assert_eq!(peer.join().expect("the peer saw the end"), b"AMQP\x00\x00\x09\x01");
}

#[tokio::test]
async fn a_plaintext_listener_behind_amqps_is_refused_before_any_credential_is_sent() {
    let (listener, port) = listener();
    let peer = thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("the client comes");
        let mut received = vec![0];
        socket.read_exact(&mut received).expect("the client begins");
        // What a broker says to another protocol.
        socket.write_all(b"AMQP\x00\x00\x09\x01").expect("answered");
        socket.read_to_end(&mut received).expect("the client goes");
        received
    });
    let url = format!("amqps://us3r:s3cret@127.0.0.1:{port}");
    let error = only_failure(connect(&config(&url)).await.expect_err("it speaks no TLS"));
    assert!(matches!(error, AttemptError::Tls(_)), "{error:?}");
    let received = peer.join().expect("the peer saw the end");
    assert_eq!(received.first(), Some(&22), "a TLS handshake record comes first");
    assert!(
        !received.windows(6).any(|window| window == b"s3cret"),
        "the password went out in clear"
    );
    assert!(!received.starts_with(b"AMQP"), "AMQP was spoken in clear");
}

#[tokio::test]
async fn a_port_on_which_nothing_listens_is_unreachable_and_worth_a_retry() {
    // Taken, so that nobody else comes to listen on it.
    let taken = tokio::net::TcpSocket::new_v4().expect("a socket");
    taken.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let error =
        connect(&config(&format!("amqp://127.0.0.1:{port}"))).await.expect_err("nobody listens");
    assert_eq!(error.retry(), Retry::Later);
    assert!(!error.is_refusal());
    assert!(matches!(only_failure(error), AttemptError::Unreachable(_)));
}

#[tokio::test]
async fn a_peer_that_speaks_something_else_is_told_apart() {
    let (listener, port) = listener();
    let peer = thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("the client comes");
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").expect("answered");
    });
    let error = only_failure(
        connect(&config(&format!("amqp://127.0.0.1:{port}"))).await.expect_err("no AMQP"),
    );
    assert!(matches!(error, AttemptError::Handshake(_)), "{error:?}");
    peer.join().expect("the peer is done");
}

#[tokio::test]
async fn a_ca_file_without_a_certificate_is_named() {
    let empty = tempfile::NamedTempFile::new().expect("a file");
    for path in [empty.path().to_owned(), "/nowhere/ca.pem".into()] {
        let mut config = config("amqps://127.0.0.1:1");
        config.ca_file = Some(path.clone());
        let error = connect(&config).await.expect_err("no certificate");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        assert_eq!(error.retry(), Retry::Never);
    }
}
