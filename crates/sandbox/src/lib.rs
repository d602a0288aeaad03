//! The three platforms, simulated: Graph API, webhooks, phones.
//!
//! Real HTTP servers on loopback, a free port each, and people with phones. What a person does becomes a signed
//! webhook; what an account sends shows on the person's screen. The sandbox runs in the daemon's process for its `sandbox`
//! command, and in a test's process while the daemon is a child that is killed: then it is the recorder that says what
//! was lost, doubled or out of order.
//!
//! It depends on none of the daemon's crates: a second opinion of the platforms, written from their documentation.
//! It refuses what the real ones refuse, takes what they take, and never forgets silently: every bound is named in
//! [`Settings`], and what falls out of one is counted.
//!
//! **Time.** The platforms go by one [`Clock`], which a test moves with `platforms.clock().advance(…)` instead of
//! sleeping. Webhooks carry its time, which may then be ahead of the daemon's.
//!
//! **Windows.** An account may write freely to a person for 24 hours after the person's last message, tap or opened link
//! ([`Phone::open_link`]); reactions, edits, unsends and read receipts open nothing. Everybody counts as having written
//! when the sandbox began, unless [`Person::has_written`] is false. To close a window move the clock, or call
//! [`Phone::close_window`], which leaves the clock alone. Then WhatsApp takes a send with 200 and reports it as `failed`
//! with 131047 (templates get through), Messenger answers 10/2018278 (utility templates, and for seven days
//! `HUMAN_AGENT`, get through), Instagram 10/2534022.
//!
//! **Limits.** [`Settings::limits`] is [`Limits::NONE`] unless a test sets it, for example to [`Limits::documented`]:
//! then WhatsApp answers 131056 to the 46th message for one person, and takes one more each six seconds of the clock.
//!
//! **Unsubscribed.** A webhook of Messenger or Instagram that has failed for an hour of the clock is unsubscribed:
//! [`Account::is_subscribed`], [`Counts::updates_lost`]; [`Account::subscribe`] subscribes it again.
//!
//! ```no_run
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use interline_sandbox::{AccountConfig, Config, Fault, Order, Person, Platforms};
//!
//! let mut config = Config::default();
//! config.whatsapp.accounts.push(
//!     AccountConfig::new("106540352242922")
//!         .with(Person::new("15550001111", "Sam"))
//!         .posting_to("http://127.0.0.1:8080/webhooks/whatsapp"),
//! );
//! let platforms = Platforms::start(config).await?;
//! let whatsapp = platforms.whatsapp();
//! let sam = whatsapp.phone("15550001111").ok_or("no Sam")?;
//! let hello = sam.say("hello")?;                            // a webhook is on its way
//! sam.wait_for_received(1, Duration::from_secs(5)).await?;  // something came back
//! whatsapp.order(Order::next(Fault::TakeThenCut).person("15550001111"));
//! platforms.idle().await;
//! platforms.stop().await;
//! # Ok(()) }
//! ```

mod accept;
mod admit;
mod batch;
mod catalogue;
mod clock;
mod config;
mod counts;
mod endpoints;
mod fault;
mod fetch;
mod graph_error;
mod ids;
mod limits;
mod listener;
mod media;
mod messaging;
mod meta_json;
mod outbox;
mod phone;
mod platform;
mod profile;
mod receipts;
mod request;
mod seen;
mod server;
mod speak;
mod state;
mod subscriptions;
mod usage;
mod web;
mod webhook;
mod whatsapp;
mod words;

use std::net::SocketAddr;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use crate::catalogue::known_errors;
pub use crate::clock::Clock;
pub use crate::config::{
    AccountConfig, Config, Delivery, InstagramForm, Kind, Person, PlatformConfig, Receipts,
    Settings, Timing,
};
pub use crate::counts::Counts;
pub use crate::fault::{Calls, Fault, GraphFault, Order, Ordered, Scope, Times};
pub use crate::limits::{Limits, PairLimit, Usage};
pub use crate::meta_json::signature;
pub use crate::phone::{Phone, PhoneError, TimedOut};
pub use crate::platform::{Account, Platform, StartError, SubscribeError};
pub use crate::seen::{Choice, ChoiceKind, Content, Location, Media, MediaKind, RawRequest, Seen};
pub use crate::web::{Unanswered, Webhooks};

use crate::platform::Shared;
use crate::web::{Web, client, shared_client};

/// The three platforms, running. They stop when this is dropped, and are waited for by [`Platforms::stop`].
pub struct Platforms {
    whatsapp: Platform,
    messenger: Platform,
    instagram: Platform,
    clock: Clock,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Platforms {
    /// Starts the three servers and the posting of webhooks.
    ///
    /// # Errors
    /// [`StartError`]: a port that is taken, an id that stands twice, or no TLS set-up for the client.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let web = Web::new(client()?, None);
        let shared = Shared::new(web, Clock::default());
        // Whatever was started is stopped if a later step fails.
        let guard = shared.stop.clone().drop_guard();
        let at =
            |platform: &PlatformConfig| SocketAddr::new(config.listen, platform.port.unwrap_or(0));
        let (wa, me, ig) = (at(&config.whatsapp), at(&config.messenger), at(&config.instagram));
        let whatsapp = Platform::start(Kind::WhatsApp, wa, config.whatsapp, &shared).await?;
        let messenger = Platform::start(Kind::Messenger, me, config.messenger, &shared).await?;
        let instagram = Platform::start(Kind::Instagram, ig, config.instagram, &shared).await?;
        guard.disarm();
        Ok(Self::of_three([whatsapp, messenger, instagram], shared))
    }

    /// The same without a network: requests come by [`Platform::answer`], webhooks go to `webhooks`. It works on a
    /// paused clock, which `clock` then follows, and gives the same ids at every start. Nothing is fetched and nobody is asked for a challenge but by the
    /// network.
    ///
    /// # Errors
    /// [`StartError`]: an id that stands twice, or no TLS set-up for the client.
    pub fn in_memory(config: Config, clock: Clock, webhooks: Webhooks) -> Result<Self, StartError> {
        let shared = Shared::new(Web::new(shared_client()?, Some(webhooks)), clock);
        let guard = shared.stop.clone().drop_guard();
        let whatsapp = Platform::in_memory(Kind::WhatsApp, config.whatsapp, &shared)?;
        let messenger = Platform::in_memory(Kind::Messenger, config.messenger, &shared)?;
        let instagram = Platform::in_memory(Kind::Instagram, config.instagram, &shared)?;
        guard.disarm();
        Ok(Self::of_three([whatsapp, messenger, instagram], shared))
    }

    fn of_three([whatsapp, messenger, instagram]: [Platform; 3], shared: Shared) -> Self {
        let Shared { clock, stop, tasks, .. } = shared;
        Self { whatsapp, messenger, instagram, clock, stop, tasks }
    }

    /// WhatsApp.
    #[must_use]
    pub fn whatsapp(&self) -> &Platform {
        &self.whatsapp
    }

    /// Messenger.
    #[must_use]
    pub fn messenger(&self) -> &Platform {
        &self.messenger
    }

    /// Instagram.
    #[must_use]
    pub fn instagram(&self) -> &Platform {
        &self.instagram
    }

    /// The platform of that kind.
    #[must_use]
    pub fn of(&self, kind: Kind) -> &Platform {
        match kind {
            Kind::WhatsApp => &self.whatsapp,
            Kind::Messenger => &self.messenger,
            Kind::Instagram => &self.instagram,
        }
    }

    /// All three.
    #[must_use]
    pub fn all(&self) -> [&Platform; 3] {
        [&self.whatsapp, &self.messenger, &self.instagram]
    }

    /// The clock that all three go by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Returns once everything that people did, and every receipt of a request that was taken, has been posted and
    /// answered with 200. New ones can arise meanwhile: ask [`Platform::counts`] for what is in flight. Put a limit
    /// around it. Cancel-safe.
    pub async fn idle(&self) {
        for platform in self.all() {
            platform.idle().await;
        }
    }

    /// Stops the servers and the posting, and waits until every task has ended.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Platforms {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
