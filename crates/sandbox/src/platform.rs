//! Handles on a running platform and its accounts.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use thiserror::Error;
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;

use crate::clock::Clock;
use crate::config::{AccountConfig, Kind, Person, PlatformConfig, Settings};
use crate::counts::{Counts, Tally};
use crate::fault::{Order, Ordered};
use crate::ids::Ids;
use crate::listener::{Cutter, Port};
use crate::outbox::{self, Outbox};
use crate::phone::Phone;
use crate::seen::RawRequest;
use crate::server::router;
use crate::state::{AccountState, Hub, Meters, PhoneState, State};
use crate::subscriptions::{self, Answer};
use crate::web::{self, Unanswered, Web};

/// The version that [`Platform::api_url`] names; the server takes any, and none.
const API_VERSION: &str = "v24.0";

/// Why a platform, an account or a person could not be set up.
#[derive(Debug, Error)]
pub enum StartError {
    /// The port could not be had.
    #[error(
        "{platform} cannot listen on {address}; choose another port or none, and see whether loopback is up"
    )]
    Listen {
        /// The platform's word.
        platform: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The HTTP client could not be made.
    #[error(
        "the client that posts webhooks could not be made; this machine's TLS set-up is broken"
    )]
    Client(#[source] reqwest::Error),
    /// There is such an account, or such a person at it, already.
    #[error(
        "{id} stands twice; give each account, and each person of an account, an id of its own"
    )]
    Twice {
        /// The id.
        id: String,
    },
    /// There is no such account.
    #[error("there is no account {id}; add it before its people")]
    NoAccount {
        /// The id.
        id: String,
    },
}

/// Why a webhook subscription was not made.
#[derive(Debug, Error)]
pub enum SubscribeError {
    /// No URL is set.
    #[error("account {account} has no webhook URL; call `set_webhook_url` first")]
    NoUrl {
        /// The account.
        account: String,
    },
    /// Nobody answered.
    #[error("the webhook URL of account {account} did not answer; is the daemon up?")]
    NoAnswer {
        /// The account.
        account: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The answer was not the challenge.
    #[error(
        "account {account}: the webhook answered {status} and {}; look at the verify token",
        if *.echoed { "the challenge" } else { "not the challenge" }
    )]
    Refused {
        /// The account.
        account: String,
        /// The HTTP status.
        status: u16,
        /// Whether the body was the challenge.
        echoed: bool,
    },
}

/// One simulated platform. Cheap to clone.
#[derive(Clone)]
pub struct Platform {
    pub(crate) hub: Arc<Hub>,
    door: Arc<Door>,
}

/// How requests come in.
enum Door {
    /// By a port.
    Port { port: Port, open: AsyncMutex<Option<Opened>> },
    /// By [`Platform::answer`].
    Memory { router: Router, is_open: AtomicBool },
}

/// A listener that is up, and the task that serves it.
struct Opened {
    down: CancellationToken,
    task: TaskTracker,
}

/// What the three platforms share.
pub(crate) struct Shared {
    order: Arc<AtomicU64>,
    web: Web,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) clock: Clock,
}

impl Shared {
    pub(crate) fn new(web: Web, clock: Clock) -> Self {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        Self { order: Arc::new(AtomicU64::new(0)), web, stop, tasks, clock }
    }

    fn hub(&self, kind: Kind, base_url: String, ids: Ids, settings: Settings) -> Arc<Hub> {
        Arc::new(Hub {
            kind,
            base_url,
            ids,
            order: Arc::clone(&self.order),
            tally: Tally::default(),
            changed: watch::Sender::new(0),
            web: self.web.clone(),
            stop: self.stop.clone(),
            tasks: self.tasks.clone(),
            state: Mutex::new(State { settings, clock: self.clock.clone(), ..State::default() }),
        })
    }
}

impl Platform {
    pub(crate) async fn start(
        kind: Kind,
        address: SocketAddr,
        config: PlatformConfig,
        shared: &Shared,
    ) -> Result<Self, StartError> {
        let listen = |source| StartError::Listen { platform: kind.word(), address, source };
        let port = Port::reserve(address).map_err(listen)?;
        let hub =
            shared.hub(kind, format!("http://{}", port.address()), Ids::new(), config.settings);
        let door = Door::Port { port, open: AsyncMutex::new(None) };
        let platform = Self { hub, door: Arc::new(door) };
        platform.answer_again().await.map_err(listen)?;
        platform.with_accounts(config.accounts)
    }

    pub(crate) fn in_memory(
        kind: Kind,
        config: PlatformConfig,
        shared: &Shared,
    ) -> Result<Self, StartError> {
        let base_url = format!("http://{}.sandbox", kind.word());
        let hub = shared.hub(kind, base_url, Ids::seeded(kind as u64), config.settings);
        let router = router(Arc::clone(&hub));
        let door = Door::Memory { router, is_open: AtomicBool::new(true) };
        Self { hub, door: Arc::new(door) }.with_accounts(config.accounts)
    }

    fn with_accounts(self, accounts: Vec<AccountConfig>) -> Result<Self, StartError> {
        for account in accounts {
            self.add_account(account)?;
        }
        Ok(self)
    }

    /// Answers a request to a platform in memory.
    ///
    /// # Errors
    /// [`Unanswered`]: it takes no connections, or cuts this one. One that has a port takes none here.
    pub async fn answer(&self, request: Request) -> Result<Response, Unanswered> {
        match &*self.door {
            Door::Memory { router, is_open } if is_open.load(Ordering::Acquire) => {
                web::answered(router, request).await
            }
            Door::Memory { .. } | Door::Port { .. } => Err(Unanswered::Refused),
        }
    }

    /// Which platform this is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.hub.kind
    }

    /// What stands in an account's `api_url`: `http://127.0.0.1:PORT/v24.0`.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("{}/{API_VERSION}", self.hub.base_url)
    }

    /// The same without the version: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.hub.base_url
    }

    /// Adds an account with its people.
    ///
    /// # Errors
    /// [`StartError::Twice`] if its id, or an id of its people, is taken.
    pub fn add_account(&self, config: AccountConfig) -> Result<Account, StartError> {
        let id = config.id.clone();
        let mut phones = std::collections::BTreeMap::new();
        let now_ms = self.hub.clock().now_ms();
        for person in &config.people {
            let phone = PhoneState::new(person.clone(), now_ms);
            if phones.insert(person.id.clone(), phone).is_some() {
                return Err(StartError::Twice { id: person.id.clone() });
            }
        }
        let (outbox, tally) = (Arc::new(Outbox::default()), Arc::new(Tally::default()));
        let account = AccountState {
            config,
            revoked: None,
            phones,
            outbox: Arc::clone(&outbox),
            tally: Arc::clone(&tally),
            meters: Meters::default(),
            profile: serde_json::Map::new(),
        };
        let mut state = self.hub.lock();
        if state.account(&id).is_some() {
            return Err(StartError::Twice { id });
        }
        state.accounts.insert(id.clone(), account);
        drop(state);
        self.hub.tasks.spawn(outbox::run(Arc::clone(&self.hub), id.clone(), outbox, tally));
        Ok(Account { hub: Arc::clone(&self.hub), id })
    }

    /// Adds a person to an account, and returns the phone.
    ///
    /// # Errors
    /// [`StartError::NoAccount`], or [`StartError::Twice`] if the person is there already.
    pub fn add_phone(&self, account: &str, person: Person) -> Result<Phone, StartError> {
        let mut state = self.hub.lock();
        let now_ms = state.now_ms();
        let no_account = || StartError::NoAccount { id: account.to_owned() };
        let phones = &mut state.accounts.get_mut(account).ok_or_else(no_account)?.phones;
        let id = person.id.clone();
        if phones.contains_key(&id) {
            return Err(StartError::Twice { id });
        }
        phones.insert(id.clone(), PhoneState::new(person, now_ms));
        drop(state);
        Ok(Phone { hub: Arc::clone(&self.hub), account: account.to_owned(), person: id })
    }

    /// An account by id or alias.
    #[must_use]
    pub fn account(&self, id: &str) -> Option<Account> {
        let id = self.hub.lock().account(id)?.config.id.clone();
        Some(Account { hub: Arc::clone(&self.hub), id })
    }

    /// All accounts, by id.
    #[must_use]
    pub fn accounts(&self) -> Vec<Account> {
        let ids: Vec<String> = self.hub.lock().accounts.keys().cloned().collect();
        ids.into_iter().map(|id| Account { hub: Arc::clone(&self.hub), id }).collect()
    }

    /// A person's phone, by digits, PSID or IGSID; the first account that knows the person.
    #[must_use]
    pub fn phone(&self, person: &str) -> Option<Phone> {
        self.accounts().iter().find_map(|account| account.phone(person))
    }

    /// All phones of all accounts.
    #[must_use]
    pub fn phones(&self) -> Vec<Phone> {
        self.accounts().iter().flat_map(Account::phones).collect()
    }

    /// Changes the settings; what is open goes on by the new ones.
    pub fn change_settings(&self, how: impl FnOnce(&mut Settings)) {
        let mut state = self.hub.lock();
        how(&mut state.settings);
        for account in state.accounts.values() {
            account.outbox.wake();
        }
        drop(state);
        self.hub.touch();
    }

    /// Orders a fault.
    pub fn order(&self, order: Order) -> Ordered {
        let mut state = self.hub.lock();
        let clock = state.clock.clone();
        state.book.place(&clock, order)
    }

    /// Ends all ordered faults; requests that hang go on.
    pub fn release_all(&self) {
        self.hub.lock().book.release_all();
    }

    /// Takes the listener down: all connections die, new ones are refused until [`Self::answer_again`].
    pub async fn refuse_connections(&self) {
        match &*self.door {
            Door::Port { open, .. } => {
                if let Some(opened) = open.lock().await.take() {
                    opened.down.cancel();
                    opened.task.wait().await;
                }
            }
            Door::Memory { is_open, .. } => is_open.store(false, Ordering::Release),
        }
    }

    /// Brings the listener up on its port; nothing happens if it is up.
    ///
    /// # Errors
    /// Whatever `listen` says; nobody else can take the port meanwhile.
    pub async fn answer_again(&self) -> std::io::Result<()> {
        let (port, open) = match &*self.door {
            Door::Port { port, open } => (port, open),
            Door::Memory { is_open, .. } => {
                is_open.store(true, Ordering::Release);
                return Ok(());
            }
        };
        let mut open = open.lock().await;
        if open.is_some() {
            return Ok(());
        }
        let down = self.hub.stop.child_token();
        let gate = port.listen(down.clone())?;
        let service = router(Arc::clone(&self.hub)).into_make_service_with_connect_info::<Cutter>();
        let serve =
            axum::serve(gate, service).with_graceful_shutdown(down.clone().cancelled_owned());
        let task = TaskTracker::new();
        let platform = self.hub.kind.word();
        self.hub.tasks.spawn(task.track_future(async move {
            if let Err(error) = serve.await {
                error!(platform, %error, "a simulated platform stopped serving");
            }
        }));
        task.close();
        *open = Some(Opened { down, task });
        Ok(())
    }

    /// Returns once every update of every account has been answered with 200. It waits as long as that takes, so put
    /// a limit around it. Cancel-safe.
    pub async fn idle(&self) {
        let mut changed = self.hub.changed.subscribe();
        while !self.hub.lock().accounts.values().all(|account| account.outbox.is_idle()) {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Waits until the counts are as wanted. It waits as long as that takes, so put a limit around it. Cancel-safe.
    pub async fn wait_for_counts(&self, wanted: impl Fn(Counts) -> bool) -> Counts {
        let mut changed = self.hub.changed.subscribe();
        loop {
            let counts = self.counts();
            if wanted(counts) || changed.changed().await.is_err() {
                return counts;
            }
        }
    }

    /// The platform's numbers.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.hub.tally.snapshot()
    }

    /// The last requests (as many as `raw_requests_max`), oldest first.
    #[must_use]
    pub fn raw_requests(&self) -> Vec<RawRequest> {
        self.hub.lock().raw.iter().cloned().collect()
    }
}

/// One account of the operator. Cheap to clone.
#[derive(Clone)]
pub struct Account {
    hub: Arc<Hub>,
    id: String,
}

impl Account {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it was set up with, later changes included.
    #[must_use]
    pub fn config(&self) -> Option<AccountConfig> {
        self.hub.lock().accounts.get(&self.id).map(|account| account.config.clone())
    }

    /// Where its webhooks are posted from now on; `None`: they wait.
    pub fn set_webhook_url(&self, url: Option<&str>) {
        self.change(|account| account.config.webhook_url = url.map(str::to_owned));
    }

    /// Gives it another token; the old one is unknown from now on, and a revocation is over.
    pub fn set_access_token(&self, token: &str) {
        self.change(|account| {
            account.config.access_token = token.to_owned();
            account.revoked = None;
        });
    }

    /// Revokes the token: error 190 with that subcode (458, 459, 460, 463, 467) until it is restored or replaced.
    pub fn revoke_token(&self, subcode: u64) {
        self.change(|account| account.revoked = Some(subcode));
    }

    /// Makes a revoked token good again.
    pub fn restore_token(&self) {
        self.change(|account| account.revoked = None);
    }

    /// Signs the next so many posts with a wrong secret.
    pub fn sign_wrongly(&self, posts: u64) {
        self.change(|account| account.outbox.sign_wrongly(posts));
    }

    /// True unless the app was unsubscribed: by [`Self::unsubscribe`], over the API, or because its webhook failed for
    /// an hour (Messenger, Instagram). While it is not subscribed, nobody hears what people do: see
    /// [`Counts::updates_lost`].
    #[must_use]
    pub fn is_subscribed(&self) -> bool {
        let state = self.hub.lock();
        state.accounts.get(&self.id).is_some_and(|account| account.outbox.is_subscribed())
    }

    /// Unsubscribes the app from the account, as an hour of failures does. What waits to be posted is lost.
    pub fn unsubscribe(&self) {
        let hub = &self.hub;
        self.change(|account| account.outbox.unsubscribe([&hub.tally, &account.tally]));
    }

    /// The phone of a person who talks to this account.
    #[must_use]
    pub fn phone(&self, person: &str) -> Option<Phone> {
        let known = self.hub.lock().phone(&self.id, person).is_some();
        known.then(|| self.phone_of(person.to_owned()))
    }

    /// All phones of this account.
    #[must_use]
    pub fn phones(&self) -> Vec<Phone> {
        let state = self.hub.lock();
        let phones = state.accounts.get(&self.id).map(|account| account.phones.keys().cloned());
        let people: Vec<String> = phones.into_iter().flatten().collect();
        drop(state);
        people.into_iter().map(|person| self.phone_of(person)).collect()
    }

    /// The account's numbers.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let state = self.hub.lock();
        state.accounts.get(&self.id).map(|account| account.tally.snapshot()).unwrap_or_default()
    }

    /// Does the `hub.challenge` verification of its webhook URL, as the platform does when a webhook is configured, and
    /// subscribes the app to the account.
    ///
    /// # Errors
    /// [`SubscribeError`]: no URL, no answer, or an answer that is not 200 with the challenge as its body.
    pub async fn subscribe(&self) -> Result<(), SubscribeError> {
        let account = self.id.clone();
        let config = self.config();
        let Some((url, token)) =
            config.and_then(|config| config.webhook_url.map(|url| (url, config.verify_token)))
        else {
            return Err(SubscribeError::NoUrl { account });
        };
        let answer = subscriptions::challenge(&self.hub, &url, &token).await;
        let Answer { status, echoed } = answer.map_err(|source| SubscribeError::NoAnswer {
            account: account.clone(),
            source: source.without_url(),
        })?;
        if status == 200 && echoed {
            self.change(|account| account.outbox.subscribe());
            Ok(())
        } else {
            Err(SubscribeError::Refused { account, status, echoed })
        }
    }

    fn phone_of(&self, person: String) -> Phone {
        Phone { hub: Arc::clone(&self.hub), account: self.id.clone(), person }
    }

    fn change(&self, how: impl FnOnce(&mut AccountState)) {
        if let Some(account) = self.hub.lock().accounts.get_mut(&self.id) {
            how(account);
        }
        self.hub.touch();
    }
}
