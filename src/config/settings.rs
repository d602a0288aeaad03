//! The config as types: every section with its defaults.
//!
//! `S` is what a secret is: a [`Secret`] once it was fetched, a [`SecretRef`](super::SecretRef) before.

use super::secret::Secret;
use interline_broker::QueueKind;
use interline_envelope::AccountRef;
use interline_relay::{Budgets, Conversation, Rate};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

const MIB: u64 = 1024 * 1024;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The whole config, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config<S = Secret> {
    /// The installation's one secret, if it is not to be made beside the store. 64 hex digits once it was fetched,
    /// whatever form the file had: [`Config::root_key`] reads it.
    pub root_key: Option<S>,
    /// `[broker]`
    pub broker: Broker<S>,
    /// `[store]`
    pub store: Store,
    /// `[ingest]`
    pub ingest: Ingest,
    /// `[stages]`
    pub stages: Stages,
    /// `[relay]`
    pub relay: Relay,
    /// `[deliver]`
    pub deliver: Deliver,
    /// `[media]`
    pub media: Media,
    /// `[shutdown]`
    pub shutdown: Shutdown,
    /// `[log]`
    pub log: Log,
    /// `[admin]`
    pub admin: Admin,
    /// `[[account]]`, in the order of the file; no two have the same bridge and id.
    pub accounts: Vec<Account<S>>,
    /// `[[conversation]]`, in the order of the file. Every participant's account stands in `accounts`, and every
    /// address in one conversation only.
    pub conversations: Vec<Conversation>,
}

/// How an operator looks into the running daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admin {
    /// Where `/metrics`, `/live` and `/ready` are answered, in plain HTTP; absent: nowhere.
    pub listen: Option<SocketAddr>,
    /// The Unix socket that `interline status` asks; absent: beside the store.
    pub socket: Option<PathBuf>,
}

/// Where RabbitMQ is and how it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker<S = Secret> {
    /// The broker's nodes.
    pub servers: Servers<S>,
    /// What every exchange's and queue's name begins with.
    pub prefix: String,
    /// What kind of queue is declared. `Classic`: never a replicated one.
    pub queue_type: QueueKind,
    /// How many unacknowledged events the relay stage holds.
    pub prefetch: u16,
    /// PEM certificates of the authority that signed an `amqps://` broker; absent: the web's.
    pub ca_file: Option<PathBuf>,
    /// For one node: TCP, TLS and the AMQP handshake together.
    pub connect_timeout: Duration,
    /// The AMQP heartbeat; a peer that is silent for twice as long counts as gone.
    pub heartbeat: Duration,
    /// How many publishes may wait for their confirms on one channel.
    pub publish_in_flight: u16,
    /// How long a publish waits for its confirm before it counts as refused.
    pub publish_timeout: Duration,
    /// How long the broker may block publishing (`connection.blocked`: low memory or disk) before the connection is
    /// given up and tried anew.
    pub blocked_timeout: Duration,
    /// The first wait before another connection is tried.
    pub reconnect_backoff_min: Duration,
    /// The longest such wait.
    pub reconnect_backoff_max: Duration,
}

/// Which broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Servers<S = Secret> {
    /// The one inside the daemon. It keeps nothing.
    Embedded,
    /// RabbitMQ's nodes, `amqp://` or `amqps://`, tried in turn. At least one. URLs hold passwords.
    Nodes(Vec<S>),
}

/// The record of what was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Where it lies.
    pub url: StoreUrl,
    /// How many dispatches may be held, all lanes together.
    pub held_rows_max: u64,
    /// How long a dispatch may be held before its sender is told that it was lost.
    pub held_max_age: Duration,
    /// How long it is known what became of a dispatch: within it, a repeated event has no second effect.
    pub dispatch_retention: Duration,
    /// How long replies, reactions and edits find the message that they are about.
    pub copy_retention: Duration,
}

/// Which database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// `sqlite:PATH`, locked to one process. A relative path starts at the config's folder.
    Sqlite(PathBuf),
}

/// The webhook server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingest {
    /// Where it listens: plain HTTP, behind a proxy that speaks TLS.
    pub listen: SocketAddr,
    /// The largest body that it reads.
    pub body_bytes_max: u64,
    /// How long a request's head and body may take to arrive.
    pub request_timeout: Duration,
    /// How long a request waits for the broker's confirms before it is answered 503.
    pub confirm_timeout: Duration,
    /// How many requests are worked on at once; more are answered 503.
    pub requests_in_flight_max: u16,
}

/// Which stages this process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stages {
    /// Webhooks to the events queues.
    pub ingest: bool,
    /// Events to dispatches.
    pub relay: bool,
    /// Dispatches to the platforms.
    pub deliver: bool,
}

/// The relay stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relay {
    /// How long an account's queue may refuse a dispatch before that one dispatch is held and the event goes on.
    pub target_refusal_timeout: Duration,
    /// An event that was open in this many crashed runs is tried once more alone and then dead-lettered.
    pub poison_runs_max: u32,
}

/// The deliver stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deliver {
    /// How many unacknowledged dispatches each account's consumer holds.
    pub prefetch: u16,
    /// From the first byte of a request to the last of its answer.
    pub request_timeout: Duration,
    /// TCP and TLS to the platform.
    pub connect_timeout: Duration,
    /// How long a lane waits for the news of a send whose fate is unknown.
    pub settle_timeout: Duration,
    /// How long an `egress = "queue"` account's backend may take to answer a request.
    pub egress_answer_timeout: Duration,
    /// How long `order = "delivered"` waits for the delivered status before the next send.
    pub delivered_timeout: Duration,
    /// How long a lane may be blocked before what it holds moves to the store.
    pub lane_blocked_timeout: Duration,
    /// How many deliveries a lane may hold before they move to the store.
    pub lane_deliveries_max: u16,
    /// How long a dispatch waits for the predecessor that it names.
    pub prev_timeout: Duration,
    /// How long an edit, reaction or receipt waits for the message that it is about.
    pub parked_max_age: Duration,
    /// The first wait before a retry.
    pub retry_backoff_min: Duration,
    /// The longest such wait.
    pub retry_backoff_max: Duration,
    /// What to do after a send whose fate stays unknown.
    pub uncertain: Uncertain,
    /// The largest medium that is copied from one platform to another.
    pub media_bytes_max: u64,
    /// From the first byte of a medium that is fetched or handed over to its last.
    pub media_timeout: Duration,
    /// How many requests of one account are under way at once.
    pub in_flight_requests_max: u16,
}

/// What there is to get media across.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// Where links to media are answered, and how; absent: there are no links.
    pub links: Option<MediaLinks>,
    /// How long a link can be followed.
    pub link_lifetime: Duration,
    /// How many downloads are under way at once.
    pub transfers_max: u16,
    /// The program that converts sounds and films: a path, or a name to look for in `PATH`; empty: none.
    pub ffmpeg: String,
    /// How much of the disk, beside the store, media may take that are converted or have no known length.
    pub spool_bytes_max: u64,
}

/// The media listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaLinks {
    /// Where it listens: plain HTTP, behind a proxy that speaks TLS.
    pub listen: SocketAddr,
    /// What people reach it under, without a final slash.
    pub public_url: String,
}

/// The policy for a send that may or may not have reached the person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Uncertain {
    /// Send again: nothing is lost, something may come twice.
    #[default]
    Resend,
    /// Keep it for the operator: nothing comes twice, something may be missing.
    Hold,
}

/// How an account's requests reach its platform.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Egress {
    /// Over the platform's HTTP API.
    #[default]
    Http,
    /// Through a queue that the platform's backend consumes.
    Queue,
}

/// What must have happened to a message before the next one of its lane is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The platform's API took it.
    #[default]
    Accepted,
    /// The person's device has it, or `deliver.delivered_timeout` has passed.
    Delivered,
}

/// An approved template of the operator's on a platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowTemplate {
    /// Its name there.
    pub name: String,
    /// The language to send it in, as the platform writes it: `en_US`.
    pub language: String,
}

/// How fast an account may send, where its operator knows better than the bridge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// Messages of the account in a second; 0: no limit. Absent: the bridge's own.
    pub messages_per_second: Option<u32>,
    /// One message to one person in this time; zero: no limit. Absent: the bridge's own.
    pub pair_interval: Option<Duration>,
    /// So many at once to one person, borrowed from later. Absent: the bridge's own.
    pub pair_burst: Option<u32>,
}

impl Pace {
    /// The budgets of an account on a platform that allows `own` by default.
    pub fn over(&self, own: Budgets) -> Budgets {
        let messages = self.messages_per_second.map(Rate::per_second).or(own.messages);
        let pair = match (self.pair_interval, own.pair) {
            (None, None) => None,
            (every, pair) => {
                let every = every
                    .unwrap_or_else(|| Duration::from_micros(pair.map_or(0, |pair| pair.every_us)));
                let burst = self.pair_burst.or(pair.map(|pair| pair.burst)).unwrap_or(1);
                Some(Rate::new(every, burst))
            }
        };
        Budgets { messages, pair, ..own }
    }
}

/// The end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// How long the drain may take after SIGTERM.
    pub deadline: Duration,
}

/// The log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// Its form.
    pub format: LogFormat,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// What becomes of what a person writes for the account in the platform's own inbox or app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperatorMessages {
    /// Everybody in the conversation hears it.
    Relay,
    /// Only the person whom it was written to has it.
    Ignore,
}

/// The operator's presence on a platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account<S = Secret> {
    /// The bridge and the platform's id of the account.
    pub account: AccountRef,
    /// What operators call it.
    pub name: Option<String>,
    /// Where the platform's API stands, without a final slash; absent: the bridge's own.
    pub api_url: Option<String>,
    /// There if `egress` is HTTP and the deliver stage is on.
    pub access_token: Option<S>,
    /// What webhooks are signed with. There if the ingest stage is on.
    pub app_secret: Option<S>,
    /// What proves to the platform that the webhook's address is ours. There if the ingest stage is on.
    pub verify_token: Option<S>,
    /// How requests reach the platform.
    pub egress: Egress,
    /// The id that stands in the send path: `id`, or the linked Page of an Instagram account.
    pub send_as: String,
    /// This account's policy for uncertain sends: its own, or `deliver.uncertain`.
    pub uncertain: Uncertain,
    /// What comes before the next send of a lane.
    pub order: Order,
    /// How fast it may send.
    pub pace: Pace,
    /// What invites a person to write again whose window is closed.
    pub window_template: Option<WindowTemplate>,
    /// Whether what somebody writes by hand for the account is heard in the conversation.
    pub operator_messages: OperatorMessages,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            url: StoreUrl::Sqlite("/var/lib/interline/interline.db".into()),
            held_rows_max: 10_000,
            held_max_age: DAY * 7,
            dispatch_retention: DAY * 8,
            copy_retention: DAY * 31,
        }
    }
}

impl Default for Ingest {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 8080).into(),
            body_bytes_max: interline_envelope::BODY_BYTES_MAX as u64,
            request_timeout: Duration::from_secs(10),
            confirm_timeout: Duration::from_secs(5),
            requests_in_flight_max: 32,
        }
    }
}

impl Default for Stages {
    fn default() -> Self {
        Self { ingest: true, relay: true, deliver: true }
    }
}

impl Default for Relay {
    fn default() -> Self {
        Self { target_refusal_timeout: Duration::from_secs(60), poison_runs_max: 3 }
    }
}

impl Default for Deliver {
    fn default() -> Self {
        Self {
            prefetch: 100,
            request_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            settle_timeout: Duration::from_secs(20),
            egress_answer_timeout: Duration::from_secs(30),
            delivered_timeout: Duration::from_secs(10),
            lane_blocked_timeout: Duration::from_secs(30),
            lane_deliveries_max: 32,
            prev_timeout: Duration::from_secs(10),
            parked_max_age: Duration::from_secs(60),
            retry_backoff_min: Duration::from_secs(1),
            retry_backoff_max: Duration::from_secs(60),
            uncertain: Uncertain::Resend,
            media_bytes_max: 100 * MIB,
            media_timeout: Duration::from_secs(120),
            in_flight_requests_max: 32,
        }
    }
}

impl Default for Media {
    fn default() -> Self {
        Self {
            links: None,
            link_lifetime: DAY * 7,
            transfers_max: 16,
            ffmpeg: "ffmpeg".to_owned(),
            spool_bytes_max: 512 * MIB,
        }
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(20) }
    }
}
