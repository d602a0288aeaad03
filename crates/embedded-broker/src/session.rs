//! Answers the frames of one connection: the handshake, its channels, and the `basic` and `confirm` classes.

use crate::channel::Channel;
use crate::codec::Frame;
use crate::errors::Failure;
use crate::state::{Phase, State};
use amq_protocol::protocol::{AMQPClass, basic, channel, confirm, connection};
use amq_protocol::types::{AMQPValue, FieldTable, LongString};

/// The smallest frame size that a client may ask for. Source: AMQP 0-9-1, `connection.tune-ok`.
const FRAME_BYTES_MIN: u32 = 4096;

impl State {
    /// The first words after the protocol header.
    pub(crate) fn greet(&mut self, id: u64) -> Result<(), Failure> {
        let start = connection::Start {
            version_major: 0,
            version_minor: 9,
            server_properties: server_properties(),
            mechanisms: LongString::from("PLAIN"),
            locales: LongString::from("en_US"),
        };
        self.connection(id)?.say(0, AMQPClass::Connection(connection::AMQPMethod::Start(start)));
        Ok(())
    }

    /// Answers one frame; what goes wrong closes the channel or the connection.
    pub(crate) fn on_frame(&mut self, id: u64, frame: Frame) {
        let Some(connection) = self.connections.get(&id) else { return };
        let phase = connection.phase;
        let (number, method) = match &frame {
            Frame::Method(number, method) => {
                (*number, (method.get_amqp_class_id(), method.get_amqp_method_id()))
            }
            Frame::Header(number, _) | Frame::Body(number, _) => (*number, (0, 0)),
            Frame::Heartbeat => return,
        };
        let is_closing = connection.channels.get(&number).is_some_and(|channel| channel.is_closing);
        let answered = match frame {
            Frame::Method(0, AMQPClass::Connection(method)) => self.on_connection(id, method),
            _ if matches!(phase, Phase::Closing | Phase::Over) => Ok(()),
            _ if phase != Phase::Running || number == 0 => {
                Err(Failure::command_invalid("not at this point of the connection"))
            }
            Frame::Method(number, AMQPClass::Channel(method)) => {
                self.on_channel(id, number, method)
            }
            // Until the client agrees to the close, what it sent before it knew is ignored.
            _ if is_closing => Ok(()),
            Frame::Method(number, method) => self.on_method(id, number, method),
            Frame::Header(number, head) => self.on_head(id, number, head),
            Frame::Body(number, chunk) => self.on_body(id, number, chunk),
            Frame::Heartbeat => Ok(()),
        };
        if let Err(failure) = answered {
            self.fail(id, number, &Failure { method, ..failure });
        }
    }

    fn on_connection(&mut self, id: u64, method: connection::AMQPMethod) -> Result<(), Failure> {
        use connection::AMQPMethod as M;
        let connection = self.connection(id)?;
        match (connection.phase, method) {
            (Phase::Closing, M::CloseOk(_)) => connection.phase = Phase::Over,
            (Phase::Over, _) => {}
            (_, M::Close(_)) => {
                connection.say(0, AMQPClass::Connection(M::CloseOk(connection::CloseOk {})));
                connection.phase = Phase::Over;
                self.release_connection(id);
            }
            (Phase::Closing, _) => {}
            (Phase::AwaitsStartOk, M::StartOk(start)) => self.on_start_ok(id, &start)?,
            (Phase::AwaitsTuneOk, M::TuneOk(tune)) => self.on_tune_ok(id, &tune)?,
            (Phase::AwaitsOpen, M::Open(open)) => {
                if open.virtual_host.as_str() != "/" {
                    return Err(Failure::not_allowed("vhost not found: this broker has only '/'"));
                }
                connection.phase = Phase::Running;
                connection.say(0, AMQPClass::Connection(M::OpenOk(connection::OpenOk {})));
            }
            (Phase::Running, M::UpdateSecret(_)) => {
                connection.say(
                    0,
                    AMQPClass::Connection(M::UpdateSecretOk(connection::UpdateSecretOk {})),
                );
            }
            _ => return Err(Failure::command_invalid("not at this point of the connection")),
        }
        Ok(())
    }

    fn on_start_ok(&mut self, id: u64, start: &connection::StartOk) -> Result<(), Failure> {
        let plain = format!("\0{}\0{}", self.config.user, self.config.password);
        let is_right =
            start.mechanism.as_str() == "PLAIN" && start.response.as_bytes() == plain.as_bytes();
        if !is_right || self.orders.refuses_login {
            return Err(Failure::login_refused());
        }
        let capabilities =
            start.client_properties.inner().get("capabilities").and_then(AMQPValue::as_field_table);
        let knows = |name: &str| {
            capabilities.and_then(|of| of.inner().get(name)).and_then(AMQPValue::as_bool)
        };
        let tune = connection::Tune {
            channel_max: self.config.channels_max,
            frame_max: self.config.frame_bytes_max,
            heartbeat: u16::try_from(self.config.heartbeat.as_secs()).unwrap_or(u16::MAX),
        };
        let connection = self.connection(id)?;
        connection.knows_blocked = knows("connection.blocked").unwrap_or(false);
        connection.phase = Phase::AwaitsTuneOk;
        connection.say(0, AMQPClass::Connection(connection::AMQPMethod::Tune(tune)));
        Ok(())
    }

    fn on_tune_ok(&mut self, id: u64, tune: &connection::TuneOk) -> Result<(), Failure> {
        let (frame_bytes_max, channels_max) =
            (self.config.frame_bytes_max, self.config.channels_max);
        // Zero means: no limit of the client's own.
        let asked = |asked: u32, own: u32| if asked == 0 { own } else { asked };
        let frame_bytes = asked(tune.frame_max, frame_bytes_max);
        let channels = asked(tune.channel_max.into(), channels_max.into());
        if !(FRAME_BYTES_MIN..=frame_bytes_max.max(FRAME_BYTES_MIN)).contains(&frame_bytes) {
            return Err(Failure::not_allowed("the negotiated frame_max is out of bounds"));
        }
        if channels > channels_max.into() {
            return Err(Failure::not_allowed("the negotiated channel_max is above the server's"));
        }
        let connection = self.connection(id)?;
        connection.frame_bytes_max = frame_bytes as usize;
        connection.channels_max = u16::try_from(channels).unwrap_or(channels_max);
        connection.heartbeat_seconds = tune.heartbeat;
        connection.phase = Phase::AwaitsOpen;
        Ok(())
    }

    fn on_channel(
        &mut self,
        id: u64,
        number: u16,
        method: channel::AMQPMethod,
    ) -> Result<(), Failure> {
        use channel::AMQPMethod as M;
        let connection = self.connection(id)?;
        let (is_open, is_closing) = connection
            .channels
            .get(&number)
            .map_or((false, false), |channel| (!channel.is_closing, channel.is_closing));
        match method {
            M::Open(_) if is_open => return Err(Failure::channel("second 'channel.open' seen")),
            M::Open(_) if number > connection.channels_max => {
                return Err(Failure::not_allowed(
                    "channel number above the negotiated channel_max",
                ));
            }
            M::Open(_) if !is_closing => {
                connection.channels.insert(number, Channel::default());
                connection.say(number, AMQPClass::Channel(M::OpenOk(channel::OpenOk {})));
            }
            M::Close(_) if is_open || is_closing => {
                connection.say(number, AMQPClass::Channel(M::CloseOk(channel::CloseOk {})));
                // Where both sides closed at once, the client's close-ok is still to come.
                if let Some(channel) = connection.channels.remove(&number).filter(|_| is_open) {
                    self.release(id, number, channel);
                } else if is_closing {
                    connection.channels.insert(number, Channel::closing());
                }
            }
            M::CloseOk(_) if is_closing => {
                connection.channels.remove(&number);
            }
            _ if is_closing => {}
            M::Flow(flow) if is_open && flow.active => {
                connection
                    .say(number, AMQPClass::Channel(M::FlowOk(channel::FlowOk { active: true })));
            }
            M::Flow(_) if is_open => return Err(Failure::not_implemented("active=false")),
            M::FlowOk(_) if is_open => {}
            M::Open(_) | M::OpenOk(_) | M::Close(_) | M::CloseOk(_) | M::Flow(_) | M::FlowOk(_) => {
                return Err(Failure::channel("expected 'channel.open'"));
            }
        }
        Ok(())
    }

    fn on_method(&mut self, id: u64, number: u16, method: AMQPClass) -> Result<(), Failure> {
        if self.channel(id, number)?.incoming.is_some() {
            return Err(Failure::unexpected_frame("a method inside the content of a publish"));
        }
        match method {
            AMQPClass::Basic(method) => self.on_basic(id, number, method),
            AMQPClass::Exchange(method) => self.on_exchange(id, number, method),
            AMQPClass::Queue(method) => self.on_queue(id, number, method),
            AMQPClass::Confirm(confirm::AMQPMethod::Select(select)) => {
                self.channel(id, number)?.confirms.get_or_insert(0);
                if !select.nowait {
                    let answer = confirm::AMQPMethod::SelectOk(confirm::SelectOk {});
                    self.connection(id)?.say(number, AMQPClass::Confirm(answer));
                }
                Ok(())
            }
            AMQPClass::Tx(_) | AMQPClass::Access(_) => {
                Err(Failure::not_implemented("this class is not offered"))
            }
            AMQPClass::Confirm(confirm::AMQPMethod::SelectOk(_))
            | AMQPClass::Channel(_)
            | AMQPClass::Connection(_) => Err(Failure::command_invalid("not on this channel")),
        }
    }

    fn on_basic(&mut self, id: u64, number: u16, method: basic::AMQPMethod) -> Result<(), Failure> {
        use basic::AMQPMethod as M;
        match method {
            M::Publish(publish) => self.on_publish(id, number, publish),
            M::Ack(ack) => self.on_ack(id, number, ack.delivery_tag, ack.multiple),
            M::Nack(nack) => self.on_nack(id, number, &nack),
            M::Reject(reject) => {
                let nack = basic::Nack {
                    delivery_tag: reject.delivery_tag,
                    multiple: false,
                    requeue: reject.requeue,
                };
                self.on_nack(id, number, &nack)
            }
            M::Get(get) => self.on_get(id, number, &get),
            M::Consume(consume) => self.on_consume(id, number, consume),
            M::Cancel(cancel) => self.on_cancel(id, number, cancel),
            M::CancelOk(_) => Ok(()),
            M::Qos(qos) => {
                let channel = self.channel(id, number)?;
                if qos.global {
                    channel.shared_prefetch = qos.prefetch_count;
                } else {
                    channel.prefetch = qos.prefetch_count;
                }
                let queues: Vec<_> =
                    channel.consumers.values().map(|consumer| consumer.queue.clone()).collect();
                self.dirty.extend(queues);
                self.reply(id, number, M::QosOk(basic::QosOk {}))
            }
            M::Recover(recover) => {
                self.recover(id, number, recover.requeue)?;
                self.reply(id, number, M::RecoverOk(basic::RecoverOk {}))
            }
            M::RecoverAsync(recover) => self.recover(id, number, recover.requeue),
            M::QosOk(_)
            | M::ConsumeOk(_)
            | M::Return(_)
            | M::Deliver(_)
            | M::GetOk(_)
            | M::GetEmpty(_)
            | M::RecoverOk(_) => Err(Failure::command_invalid("a reply from a client")),
        }
    }
}

fn server_properties() -> FieldTable {
    let mut capabilities = FieldTable::default();
    for name in [
        "publisher_confirms",
        "exchange_exchange_bindings",
        "basic.nack",
        "consumer_cancel_notify",
        "connection.blocked",
        "authentication_failure_close",
        "per_consumer_qos",
    ] {
        capabilities.insert(name.into(), AMQPValue::Boolean(true));
    }
    let mut properties = FieldTable::default();
    properties.insert("capabilities".into(), AMQPValue::FieldTable(capabilities));
    properties.insert(
        "product".into(),
        AMQPValue::LongString(LongString::from("Interline embedded broker")),
    );
    properties.insert(
        "version".into(),
        AMQPValue::LongString(LongString::from(env!("CARGO_PKG_VERSION"))),
    );
    properties
}
