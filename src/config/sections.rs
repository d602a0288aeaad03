//! The sections that stand in a config once, each with its ranges.

use super::accounts;
use super::conversations;
use super::location::is_loopback;
use super::reader::TableReader;
use super::secret::{Form, Place, Secret, SecretRef};
use super::settings::{
    Account, Admin, Broker, Config, Deliver, Ingest, Log, LogFormat, Media, MediaLinks, Relay,
    Servers, Shutdown, Stages, Store, StoreUrl, Uncertain,
};
use interline_broker::QueueKind;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

const MIB: u64 = 1024 * 1024;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const TICK: Duration = Duration::from_millis(10);
/// A broker on this machine with the user that RabbitMQ makes at first.
const BROKER_URL_DEFAULT: &str = "amqp://guest:guest@127.0.0.1:5672/%2f";

/// The words of `uncertain`.
pub(super) const UNCERTAIN: [(&str, Uncertain); 2] =
    [("resend", Uncertain::Resend), ("hold", Uncertain::Hold)];

pub(super) fn read(root: &mut TableReader<'_, '_>, known_bridges: &[String]) -> Config<SecretRef> {
    let root_key = root.secret("root_key", Form::RootKey);
    let broker = root.section("broker", broker);
    let store = root.section("store", store);
    let ingest = root.section("ingest", ingest);
    let stages = root.section("stages", stages);
    let relay = root.section("relay", relay);
    let deliver = root.section("deliver", deliver);
    let media = root.section("media", media);
    let shutdown = root.section("shutdown", |table| Shutdown {
        deadline: table.duration("deadline", Shutdown::default().deadline, SECOND..=MINUTE * 10),
    });
    let log = root.section("log", |table| {
        let words =
            [("auto", LogFormat::Auto), ("human", LogFormat::Human), ("json", LogFormat::Json)];
        Log { format: table.choice("format", LogFormat::Auto, &words) }
    });
    let admin = root.section("admin", |table| Admin {
        listen: listen(table),
        socket: table.text("socket").map(|found| table.report.resolve(found.value)),
    });
    let accounts = accounts::read(root, known_bridges, stages, deliver.uncertain);
    let conversations = conversations::read(root, &accounts, known_bridges);
    let accounts = accounts.into_iter().filter_map(|found| found.value).collect();
    Config {
        root_key,
        broker,
        store,
        ingest,
        stages,
        relay,
        deliver,
        media,
        shutdown,
        log,
        admin,
        accounts,
        conversations,
    }
}

fn broker(table: &mut TableReader<'_, '_>) -> Broker<SecretRef> {
    let backoffs = TICK..=HOUR;
    let broker = Broker {
        servers: servers(table),
        prefix: prefix(table),
        queue_type: table.choice(
            "queue_type",
            QueueKind::Quorum,
            &[("quorum", QueueKind::Quorum), ("classic", QueueKind::Classic)],
        ),
        prefetch: table.number("prefetch", 1000, 1..=u16::MAX),
        ca_file: table.text("ca_file").map(|found| table.report.resolve(found.value)),
        connect_timeout: table.duration("connect_timeout", SECOND * 10, SECOND / 10..=MINUTE * 5),
        heartbeat: table.duration("heartbeat", SECOND * 10, SECOND..=MINUTE * 10),
        publish_in_flight: table.number("publish_in_flight", 1000, 1..=u16::MAX),
        publish_timeout: table.duration("publish_timeout", SECOND * 30, SECOND / 10..=MINUTE * 10),
        blocked_timeout: table.duration("blocked_timeout", SECOND * 60, SECOND..=MINUTE * 10),
        reconnect_backoff_min: table.duration(
            "reconnect_backoff_min",
            SECOND / 4,
            backoffs.clone(),
        ),
        reconnect_backoff_max: table.duration("reconnect_backoff_max", SECOND * 15, backoffs),
    };
    if broker.reconnect_backoff_min > broker.reconnect_backoff_max {
        table.contradiction(
            "reconnect_backoff_min",
            "it is longer than reconnect_backoff_max; shorten it",
        );
    }
    if broker.heartbeat.subsec_nanos() != 0 {
        table.contradiction("heartbeat", "AMQP counts heartbeats in whole seconds; write \"10s\"");
    }
    broker
}

fn servers(table: &mut TableReader<'_, '_>) -> Servers<SecretRef> {
    const SHAPE: &str =
        "a list of broker URLs, such as [\"amqp://guest:guest@127.0.0.1:5672/%2f\"]";
    if !table.has("urls") {
        let secret = SecretRef {
            key: table.path("urls"),
            at: table.at,
            place: Place::Inline(Secret::new(BROKER_URL_DEFAULT)),
            form: Form::BrokerUrl,
        };
        // Asked for all the same, so that the key counts as known.
        let absent = table.find("urls");
        debug_assert!(absent.is_none(), "the key was not there a line before");
        return Servers::Nodes(vec![secret]);
    }
    let elements = table.list("urls", SHAPE);
    if let [only] = elements.as_slice()
        && only.value.as_str() == Some("embedded")
    {
        let message =
            "the embedded broker keeps nothing over a restart; for people's messages, run RabbitMQ";
        table.report.warn(&only.key, only.at, message);
        return Servers::Embedded;
    }
    if elements.is_empty() {
        table.contradiction("urls", format!("there is no broker in it; write {SHAPE}"));
    }
    let mut nodes = Vec::new();
    for element in elements {
        if element.value.as_str() == Some("embedded") {
            let message =
                "the embedded broker stands alone; write [\"embedded\"], or only URLs of RabbitMQ";
            table.report.mistake(&element.key, element.at, message);
            continue;
        }
        nodes.extend(table.secret_value(element, Form::BrokerUrl));
    }
    Servers::Nodes(nodes)
}

fn prefix(table: &mut TableReader<'_, '_>) -> String {
    let Some(found) = table.text("prefix") else { return "interline".to_owned() };
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if found.value.is_empty() || found.value.len() > 64 || !found.value.bytes().all(allowed) {
        let message =
            "names of queues begin with it; write 1 to 64 ASCII letters, digits, `-`, `_` or `.`";
        table.report.mistake(&found.key, found.at, message);
    } else if found.value.starts_with("amq.") {
        let message =
            "RabbitMQ keeps names that begin with `amq.` for itself; write another prefix";
        table.report.mistake(&found.key, found.at, message);
    }
    found.value.to_owned()
}

fn store(table: &mut TableReader<'_, '_>) -> Store {
    let default = Store::default();
    let years = DAY * 3650;
    let store = Store {
        url: store_url(table).unwrap_or(default.url),
        held_rows_max: table.number("held_rows_max", default.held_rows_max, 1..=10_000_000),
        held_max_age: table.duration("held_max_age", default.held_max_age, MINUTE..=years),
        // The platforms redeliver for up to 7 days; shorter memories would double messages.
        dispatch_retention: table.duration(
            "dispatch_retention",
            default.dispatch_retention,
            DAY * 8..=years,
        ),
        copy_retention: table.duration("copy_retention", default.copy_retention, DAY * 31..=years),
    };
    if store.held_max_age >= store.dispatch_retention {
        let message = "a held message would outlive the record that keeps it from being sent twice; \
                       write less than store.dispatch_retention";
        table.contradiction("held_max_age", message);
    }
    store
}

fn store_url(table: &mut TableReader<'_, '_>) -> Option<StoreUrl> {
    let found = table.text("url")?;
    let Some(path) = found.value.strip_prefix("sqlite:") else {
        let message = "the store is SQLite; write \"sqlite:PATH\", such as \"sqlite:/var/lib/interline/interline.db\"";
        table.report.mistake(&found.key, found.at, message);
        return None;
    };
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path.starts_with(':') || path.contains(['?', '\0']) {
        let message =
            "this names no file; write \"sqlite:PATH\": the record must outlive the process";
        table.report.mistake(&found.key, found.at, message);
        return None;
    }
    Some(StoreUrl::Sqlite(table.report.resolve(path)))
}

fn ingest(table: &mut TableReader<'_, '_>) -> Ingest {
    let default = Ingest::default();
    let sizes = MIB / 16..=interline_envelope::BODY_BYTES_MAX as u64;
    Ingest {
        listen: listen(table).unwrap_or(default.listen),
        body_bytes_max: table.bytes("body_bytes_max", default.body_bytes_max, sizes),
        request_timeout: table.duration(
            "request_timeout",
            default.request_timeout,
            SECOND / 10..=MINUTE * 5,
        ),
        confirm_timeout: table.duration(
            "confirm_timeout",
            default.confirm_timeout,
            SECOND / 10..=MINUTE,
        ),
        requests_in_flight_max: table.number(
            "requests_in_flight_max",
            default.requests_in_flight_max,
            1..=4096,
        ),
    }
}

fn listen(table: &mut TableReader<'_, '_>) -> Option<SocketAddr> {
    let found = table.text("listen")?;
    let Ok(address) = found.value.parse::<SocketAddr>() else {
        let message = "this is no address to listen on; write IP:PORT, such as \"127.0.0.1:8080\" or \"[::1]:8080\"";
        table.report.mistake(&found.key, found.at, message);
        return None;
    };
    if !is_loopback(&address.ip().to_string()) {
        let message = "it listens in plain HTTP to other machines; put a proxy that speaks TLS before it, \
                       and listen on 127.0.0.1 if the proxy runs here";
        table.report.warn(&found.key, found.at, message);
    }
    Some(address)
}

fn stages(table: &mut TableReader<'_, '_>) -> Stages {
    let stages = Stages {
        ingest: table.flag("ingest", true),
        relay: table.flag("relay", true),
        deliver: table.flag("deliver", true),
    };
    if stages == (Stages { ingest: false, relay: false, deliver: false }) {
        table.contradiction("", "every stage is off, so there is nothing to run; switch one on");
    } else if stages.relay != stages.deliver {
        let message = "relay and deliver share one store and what they know of what is under way: apart, sends of \
                       unknown fate are never settled; run both in one process; ingest may be apart";
        let (key, at) = (table.key.clone(), table.at);
        table.report.warn(&key, at, message);
    }
    stages
}

fn relay(table: &mut TableReader<'_, '_>) -> Relay {
    let default = Relay::default();
    // Beyond minutes the broker's consumer_timeout (30 minutes) would come near.
    let refusals = TICK..=MINUTE * 10;
    Relay {
        target_refusal_timeout: table.duration(
            "target_refusal_timeout",
            default.target_refusal_timeout,
            refusals,
        ),
        poison_runs_max: table.number("poison_runs_max", default.poison_runs_max, 1..=100),
    }
}

fn deliver(table: &mut TableReader<'_, '_>) -> Deliver {
    let default = Deliver::default();
    // Together they stay under the 5 minutes that nothing may be unacknowledged for.
    let waits: RangeInclusive<Duration> = TICK..=MINUTE * 2;
    let backoffs = TICK..=HOUR;
    let deliver = Deliver {
        prefetch: table.number("prefetch", default.prefetch, 1..=u16::MAX),
        request_timeout: table.duration("request_timeout", default.request_timeout, waits.clone()),
        connect_timeout: table.duration("connect_timeout", default.connect_timeout, waits.clone()),
        settle_timeout: table.duration("settle_timeout", default.settle_timeout, waits.clone()),
        egress_answer_timeout: table.duration(
            "egress_answer_timeout",
            default.egress_answer_timeout,
            waits.clone(),
        ),
        delivered_timeout: table.duration(
            "delivered_timeout",
            default.delivered_timeout,
            waits.clone(),
        ),
        lane_blocked_timeout: table.duration(
            "lane_blocked_timeout",
            default.lane_blocked_timeout,
            waits.clone(),
        ),
        lane_deliveries_max: table.number(
            "lane_deliveries_max",
            default.lane_deliveries_max,
            1..=u16::MAX,
        ),
        prev_timeout: table.duration("prev_timeout", default.prev_timeout, waits.clone()),
        parked_max_age: table.duration("parked_max_age", default.parked_max_age, TICK..=HOUR),
        retry_backoff_min: table.duration(
            "retry_backoff_min",
            default.retry_backoff_min,
            backoffs.clone(),
        ),
        retry_backoff_max: table.duration("retry_backoff_max", default.retry_backoff_max, backoffs),
        uncertain: table.choice("uncertain", default.uncertain, &UNCERTAIN),
        media_bytes_max: table.bytes(
            "media_bytes_max",
            default.media_bytes_max,
            MIB / 16..=MIB * 100,
        ),
        media_timeout: table.duration("media_timeout", default.media_timeout, SECOND..=MINUTE * 4),
        in_flight_requests_max: table.number(
            "in_flight_requests_max",
            default.in_flight_requests_max,
            1..=4096,
        ),
    };
    if deliver.retry_backoff_min > deliver.retry_backoff_max {
        table.contradiction("retry_backoff_min", "it is longer than retry_backoff_max; shorten it");
    }
    if deliver.lane_deliveries_max >= deliver.prefetch {
        let message = "one stuck conversation could take the whole prefetch and stop all others; \
                       write less than deliver.prefetch";
        table.contradiction("lane_deliveries_max", message);
    }
    deliver
}

fn media(table: &mut TableReader<'_, '_>) -> Media {
    let default = Media::default();
    let ffmpeg = table.text("ffmpeg").map_or(default.ffmpeg, |found| found.value.to_owned());
    let sizes = MIB * 200..=MIB * 100_000;
    let spool_bytes_max = table.bytes("spool_bytes_max", default.spool_bytes_max, sizes);
    Media {
        links: media_links(table),
        // WhatsApp gives out what people sent for 7 days.
        link_lifetime: table.duration("link_lifetime", default.link_lifetime, MINUTE..=DAY * 7),
        transfers_max: table.number("transfers_max", default.transfers_max, 1..=1024),
        ffmpeg,
        spool_bytes_max,
    }
}

fn media_links(table: &mut TableReader<'_, '_>) -> Option<MediaLinks> {
    let listen = listen(table);
    let public_url = table.text("public_url").map(|found| {
        let url = found.value.trim_end_matches('/');
        let parsed = url::Url::parse(url).ok();
        let host = parsed.as_ref().and_then(|url| url.host_str()).unwrap_or_default();
        let is_safe = match parsed.as_ref().map(url::Url::scheme) {
            Some("https") => true,
            Some("http") => is_loopback(host.trim_matches(['[', ']'])),
            Some(_) | None => false,
        };
        let is_plain = parsed
            .as_ref()
            .is_some_and(|url| url.query().is_none() && url.fragment().is_none() && url.username().is_empty());
        if !is_safe || !is_plain || host.is_empty() {
            let message = "people follow links that begin with it; write the https address of the proxy before \
                           [media] listen, such as \"https://files.example.org\"";
            table.report.mistake(&found.key, found.at, message);
        }
        url.to_owned()
    });
    match (listen, public_url) {
        (Some(listen), Some(public_url)) => Some(MediaLinks { listen, public_url }),
        (None, None) => None,
        (Some(_), None) => {
            let message =
                "nobody could follow a link to it; write public_url, what people reach it under";
            table.contradiction("listen", message);
            None
        }
        (None, Some(_)) => {
            let message = "nothing answers there; write listen, such as \"127.0.0.1:8081\"";
            table.contradiction("public_url", message);
            None
        }
    }
}

impl Config<SecretRef> {
    /// The same config with every secret fetched.
    pub(super) fn map_secrets<T, E>(
        &self,
        fetch: &mut impl FnMut(&SecretRef) -> Result<T, E>,
    ) -> Result<Config<T>, E> {
        let Broker { servers, prefix, queue_type, prefetch, ca_file, .. } = self.broker.clone();
        Ok(Config {
            root_key: self.root_key.as_ref().map(&mut *fetch).transpose()?,
            broker: Broker {
                servers: match servers {
                    Servers::Embedded => Servers::Embedded,
                    Servers::Nodes(nodes) => {
                        Servers::Nodes(nodes.iter().map(&mut *fetch).collect::<Result<_, _>>()?)
                    }
                },
                prefix,
                queue_type,
                prefetch,
                ca_file,
                connect_timeout: self.broker.connect_timeout,
                heartbeat: self.broker.heartbeat,
                publish_in_flight: self.broker.publish_in_flight,
                publish_timeout: self.broker.publish_timeout,
                blocked_timeout: self.broker.blocked_timeout,
                reconnect_backoff_min: self.broker.reconnect_backoff_min,
                reconnect_backoff_max: self.broker.reconnect_backoff_max,
            },
            store: self.store.clone(),
            ingest: self.ingest.clone(),
            stages: self.stages,
            relay: self.relay,
            deliver: self.deliver,
            media: self.media.clone(),
            shutdown: self.shutdown,
            log: self.log,
            admin: self.admin.clone(),
            accounts: self
                .accounts
                .iter()
                .map(|account| account.map_secrets(fetch))
                .collect::<Result<_, _>>()?,
            conversations: self.conversations.clone(),
        })
    }
}

impl Account<SecretRef> {
    fn map_secrets<T, E>(
        &self,
        fetch: &mut impl FnMut(&SecretRef) -> Result<T, E>,
    ) -> Result<Account<T>, E> {
        Ok(Account {
            access_token: self.access_token.as_ref().map(&mut *fetch).transpose()?,
            app_secret: self.app_secret.as_ref().map(&mut *fetch).transpose()?,
            verify_token: self.verify_token.as_ref().map(&mut *fetch).transpose()?,
            account: self.account.clone(),
            name: self.name.clone(),
            api_url: self.api_url.clone(),
            egress: self.egress,
            send_as: self.send_as.clone(),
            uncertain: self.uncertain,
            order: self.order,
            pace: self.pace,
            window_template: self.window_template.clone(),
            operator_messages: self.operator_messages,
        })
    }
}
