//! What bare sockets may do to the broker: silence, other protocols, garbage.

use crate::client::*;
use amq_protocol::frame::{AMQPFrame, WriteContext, gen_frame, parse_frame};
use amq_protocol::protocol::{AMQPClass, connection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";

async fn socket(broker: &EmbeddedBroker) -> TcpStream {
    TcpStream::connect(broker.address()).await.unwrap()
}

async fn say(stream: &mut TcpStream, method: connection::AMQPMethod) {
    let frame = AMQPFrame::Method(0, AMQPClass::Connection(method));
    let bytes = gen_frame(&frame)(WriteContext::from(Vec::new())).unwrap().into_inner().0;
    stream.write_all(&bytes).await.unwrap();
}

/// Everything up to the end of the stream; a reset counts as an end.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut received = vec![];
    if let Err(error) = timeout(LIMIT, stream.read_to_end(&mut received)).await.unwrap() {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    received
}

fn frames(mut bytes: &[u8]) -> Vec<AMQPFrame> {
    let mut frames = vec![];
    while let Ok((left, frame)) = parse_frame(bytes) {
        frames.push(frame);
        bytes = left;
    }
    frames
}

fn close_code(frames: &[AMQPFrame]) -> Option<u16> {
    frames.iter().find_map(|frame| {
        let AMQPFrame::Method(0, AMQPClass::Connection(connection::AMQPMethod::Close(close))) =
            frame
        else {
            return None;
        };
        Some(close.reply_code)
    })
}

/// Logs in with this heartbeat and reads the answers up to `open-ok`.
async fn log_in(broker: &EmbeddedBroker, heartbeat: u16) -> TcpStream {
    let mut stream = socket(broker).await;
    stream.write_all(HEADER).await.unwrap();
    let start = connection::StartOk {
        client_properties: Default::default(),
        mechanism: "PLAIN".into(),
        response: "\0guest\0guest".into(),
        locale: "en_US".into(),
    };
    say(&mut stream, connection::AMQPMethod::StartOk(start)).await;
    let tune = connection::TuneOk { channel_max: 0, frame_max: 8192, heartbeat };
    say(&mut stream, connection::AMQPMethod::TuneOk(tune)).await;
    say(&mut stream, connection::AMQPMethod::Open(connection::Open { virtual_host: "/".into() }))
        .await;
    broker.wait_until(|now| now.connections == 1, LIMIT).await.unwrap();
    stream
}

#[tokio::test]
async fn another_protocol_is_told_the_right_one() {
    let broker = broker().await;
    for hello in [b"AMQP\x03\x01\x00\x00", b"GET / HT"] {
        let mut stream = socket(&broker).await;
        stream.write_all(hello).await.unwrap();
        assert_eq!(rest(&mut stream).await, HEADER);
    }
}

#[tokio::test]
async fn malformed_frames_are_answered_with_their_code() {
    let broker = broker().await;
    for (bytes, expected) in [
        (vec![9, 0, 0, 0, 0, 0, 0, 0xCE], 501),
        (vec![1, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF], 501),
        (vec![1, 0, 0, 0, 0, 0, 4, 0, 10, 0, 11, 0xCE], 502),
        (vec![1, 0, 0, 0, 0, 0, 4, 0, 99, 0, 11, 0xCE], 503),
        (vec![1, 0, 1, 0, 0, 0, 5, 0, 20, 0, 10, 0, 0xCE], 503),
    ] {
        let mut stream = socket(&broker).await;
        stream.write_all(HEADER).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(close_code(&frames(&rest(&mut stream).await)), Some(expected));
    }
}

#[tokio::test]
async fn content_and_methods_out_of_place_are_504_and_505() {
    let broker = broker().await;
    let open = vec![1, 0, 1, 0, 0, 0, 5, 0, 20, 0, 10, 0, 0xCE];
    let body = vec![3, 0, 1, 0, 0, 0, 1, b'x', 0xCE];
    for (bytes, expected) in [
        (body.clone(), 504),
        ([open.clone(), body].concat(), 505),
        ([open.clone(), open].concat(), 504),
    ] {
        let mut stream = log_in(&broker, 0).await;
        stream.write_all(&bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(close_code(&frames(&rest(&mut stream).await)), Some(expected));
        broker.wait_until(|now| now.connections == 0, LIMIT).await.unwrap();
    }
}

#[tokio::test]
async fn random_garbage_never_harms_the_broker() {
    let broker = broker().await;
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for round in 0..200 {
        let mut stream =
            if round % 2 == 0 { socket(&broker).await } else { log_in(&broker, 0).await };
        let mut bytes = if round % 4 == 0 { HEADER.to_vec() } else { vec![] };
        for _ in 0..8 {
            let payload: Vec<u8> = (0..random() % 64).map(|_| random() as u8).collect();
            // Half of the garbage is well framed, so that it gets past the first check.
            bytes.extend_from_slice(&[1 + (random() % 3) as u8, 0, (random() % 2) as u8]);
            bytes.extend_from_slice(&(payload.len() as u32).to_be_bytes());
            bytes.extend_from_slice(&[
                0,
                (random() % 10 * 10) as u8,
                0,
                (random() % 13 * 10) as u8,
            ]);
            bytes.extend_from_slice(payload.get(4..).unwrap_or_default());
            bytes.push(0xCE);
        }
        // The broker may close before it has taken everything.
        if stream.write_all(&bytes).await.is_ok() && stream.shutdown().await.is_ok() {
            rest(&mut stream).await;
        }
        drop(stream);
        broker.wait_until(|now| now.connections == 0, LIMIT).await.unwrap();
    }
    let (_connection, channel) = with_queue(&broker).await;
    assert!(matches!(publish(&channel, "q", "alive").await.unwrap(), Confirmation::Ack(None)));
}

#[tokio::test]
async fn heartbeats_are_sent_to_a_client_that_sends_its_own() {
    let broker = broker().await;
    let mut stream = log_in(&broker, 2).await;
    let own = gen_frame(&AMQPFrame::Heartbeat)(WriteContext::from(Vec::new()));
    let own = own.unwrap().into_inner().0;
    let (mut received, mut answered) = (vec![], 0);
    while answered < 3 {
        let read = timeout(LIMIT, stream.read_buf(&mut received)).await.unwrap().unwrap();
        assert!(read > 0, "closed after {answered} heartbeats");
        let beats = frames(&received).into_iter();
        let beats = beats.filter(|frame| matches!(frame, AMQPFrame::Heartbeat)).count();
        for _ in answered..beats {
            stream.write_all(&own).await.unwrap();
        }
        answered = beats;
    }
}

#[tokio::test]
async fn a_silent_client_is_closed() {
    let broker = broker().await;
    let mut stream = log_in(&broker, 1).await;
    rest(&mut stream).await;
    broker.wait_until(|now| now.connections == 0, LIMIT).await.unwrap();
}

#[tokio::test]
async fn muted_heartbeats_are_not_sent() {
    let broker = broker().await;
    broker.faults().mute_heartbeats(true);
    let mut stream = log_in(&broker, 1).await;
    let received = frames(&rest(&mut stream).await);
    assert!(!received.iter().any(|frame| matches!(frame, AMQPFrame::Heartbeat)));
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_closed() {
    let config = Config { handshake_timeout: Duration::from_millis(50), ..Config::default() };
    let broker = EmbeddedBroker::start(config).await.unwrap();
    for hello in [b"".as_slice(), HEADER] {
        let mut stream = socket(&broker).await;
        stream.write_all(hello).await.unwrap();
        rest(&mut stream).await;
    }
}
