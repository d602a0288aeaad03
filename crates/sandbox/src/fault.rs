//! Faults that a test can order, and the book of open orders.
//!
//! An order names a fault, whom it strikes and how often. The first open order that fits a request is used.
//! Nothing here does what a real platform could not do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, millis};
use crate::config::Kind;
use crate::graph_error::GraphError;

/// Open orders that one platform keeps; further ones push out the oldest.
const ORDERS_MAX: usize = 1_000;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 500 with an HTML page, as a proxy in front of the platform answers.
    Html500,
    /// 503 with an empty body.
    Empty503,
    /// An error body of the platform's own shape. Nothing is taken.
    Graph(GraphFault),
    /// WhatsApp: the send is answered with 200 and never shown; a `failed` status with this error follows. The other
    /// platforms know no such thing, and answer with the error at once.
    FailLater(GraphFault),
    /// Nothing is taken and nothing is answered until the order is released; then the request goes its usual way.
    Hang,
    /// The message is taken, and nothing is answered until the order is released.
    TakeThenHang,
    /// The message is taken (shown, its status or echo goes out), then the connection is cut without an answer.
    TakeThenCut,
    /// The message is taken, then 500 with an HTML page is answered.
    TakeThenHtml500,
    /// The connection is cut before the request's body is read (after it, if the order is for one person).
    CutBeforeReading,
    /// The message is taken at once and answered that much later.
    SlowAnswer(Duration),
}

/// An error in the platform's own shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphFault {
    /// The HTTP status.
    pub status: u16,
    /// `error.code`.
    pub code: u64,
    /// `error.error_subcode`.
    pub subcode: Option<u64>,
    /// `error.message`.
    pub message: String,
    /// `error.is_transient`.
    pub transient: Option<bool>,
    /// WhatsApp: `error.error_data.details`.
    pub details: Option<String>,
    /// Minutes in `X-Business-Use-Case-Usage` (`estimated_time_to_regain_access`); absent: no such header.
    pub regain_minutes: Option<u32>,
}

impl Fault {
    /// Any Graph error.
    #[must_use]
    pub fn graph(status: u16, code: u64, subcode: Option<u64>) -> Self {
        Self::Graph(GraphFault {
            status,
            code,
            subcode,
            message: format!("(#{code}) Ordered by the sandbox"),
            transient: None,
            details: None,
            regain_minutes: None,
        })
    }

    /// 500 with the Graph body of code 2, "please retry your request later".
    #[must_use]
    pub fn graph_500() -> Self {
        Self::Graph(GraphFault {
            status: 500,
            code: 2,
            subcode: None,
            message: "An unexpected error has occurred. Please retry your request later."
                .to_owned(),
            transient: Some(true),
            details: None,
            regain_minutes: None,
        })
    }

    /// An error that the platform's documentation names, by code and subcode, with its status and its words; all of
    /// them are in [`crate::known_errors`].
    #[must_use]
    pub fn known(kind: Kind, code: u64, subcode: Option<u64>) -> Option<Self> {
        let errors = crate::catalogue::known_errors(kind);
        errors
            .into_iter()
            .find(|error| (error.code, error.subcode) == (code, subcode))
            .map(Self::Graph)
    }

    /// The platform's answer to an account that sends too fast: 130429, 613, 613/2534040.
    #[must_use]
    pub fn throttle(kind: Kind) -> Self {
        Self::Graph(GraphError::throttle(kind).into())
    }

    /// WhatsApp's pair limit, 131056: this person only.
    #[must_use]
    pub fn throttle_pair() -> Self {
        Self::Graph(GraphError::throttle_pair().into())
    }
}

/// Whom a fault strikes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every account of the platform.
    Platform,
    /// One account, by id.
    Account(String),
    /// What is for one person, by id (digits, PSID, IGSID).
    Person(String),
}

/// Which requests a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// What a person would see: messages and reactions.
    Sends,
    /// Read marks and typing.
    Actions,
    /// Uploads, media look-ups and downloads.
    Media,
    /// Everything.
    All,
}

/// How often a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// The next so many requests.
    Next(u64),
    /// All requests for so long, by the platforms' clock.
    For(Duration),
    /// Until it is released.
    UntilReleased,
}

/// An order for a fault.
#[derive(Clone, Debug)]
pub struct Order {
    /// What goes wrong.
    pub fault: Fault,
    /// Whom it strikes.
    pub scope: Scope,
    /// Which requests.
    pub calls: Calls,
    /// How often.
    pub times: Times,
    /// So many fitting requests pass first.
    pub skip: u64,
}

impl Order {
    /// That fault for the next send of any account.
    #[must_use]
    pub fn next(fault: Fault) -> Self {
        Self { fault, scope: Scope::Platform, calls: Calls::Sends, times: Times::Next(1), skip: 0 }
    }

    /// The same order for one account.
    #[must_use]
    pub fn account(mut self, id: impl Into<String>) -> Self {
        self.scope = Scope::Account(id.into());
        self
    }

    /// The same order for one person.
    #[must_use]
    pub fn person(mut self, id: impl Into<String>) -> Self {
        self.scope = Scope::Person(id.into());
        self
    }

    /// The same order for other requests.
    #[must_use]
    pub fn calls(mut self, calls: Calls) -> Self {
        self.calls = calls;
        self
    }

    /// The same order for so many requests.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.times = Times::Next(count);
        self
    }

    /// The same order for so long.
    #[must_use]
    pub fn lasting(mut self, time: Duration) -> Self {
        self.times = Times::For(time);
        self
    }

    /// The same order until it is released.
    #[must_use]
    pub fn until_released(mut self) -> Self {
        self.times = Times::UntilReleased;
        self
    }

    /// The same order after so many fitting requests have passed.
    #[must_use]
    pub fn after(mut self, count: u64) -> Self {
        self.skip = count;
        self
    }
}

/// An order that was placed: how often it struck, and its end.
#[derive(Clone, Debug)]
pub struct Ordered {
    struck: Arc<AtomicU64>,
    released: CancellationToken,
}

impl Ordered {
    /// How many requests it has struck.
    #[must_use]
    pub fn struck(&self) -> u64 {
        self.struck.load(Ordering::Acquire)
    }

    /// Ends the order. Requests that hang because of it go on.
    pub fn release(&self) {
        self.released.cancel();
    }
}

/// The class of a request, for [`Calls`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallClass {
    Send,
    Action,
    Media,
    Other,
}

/// A fault that strikes a request now.
#[derive(Clone, Debug)]
pub(crate) struct Strike {
    pub(crate) fault: Fault,
    pub(crate) released: CancellationToken,
}

struct Open {
    order: Order,
    until_ms: Option<u64>,
    left: Option<u64>,
    handle: Ordered,
}

/// The open orders of one platform.
#[derive(Default)]
pub(crate) struct Book {
    open: Vec<Open>,
    // The parent of every order's token: an order that is used up may still have requests that hang on it.
    all: CancellationToken,
}

impl Book {
    pub(crate) fn place(&mut self, clock: &Clock, order: Order) -> Ordered {
        let handle =
            Ordered { struck: Arc::new(AtomicU64::new(0)), released: self.all.child_token() };
        let (until_ms, left) = match order.times {
            Times::Next(count) => (None, Some(count)),
            Times::For(time) => (Some(clock.now_ms().saturating_add(millis(time))), None),
            Times::UntilReleased => (None, None),
        };
        if self.open.len() >= ORDERS_MAX {
            self.open.remove(0);
        }
        self.open.push(Open { order, until_ms, left, handle: handle.clone() });
        handle
    }

    pub(crate) fn release_all(&mut self) {
        self.open.clear();
        std::mem::take(&mut self.all).cancel();
    }

    /// The fault that strikes this request, if any. `early`: the body has not been read, so only
    /// [`Fault::CutBeforeReading`] for an account or the platform can strike; it strikes at no other time.
    pub(crate) fn strike(
        &mut self,
        now_ms: u64,
        early: bool,
        class: CallClass,
        account: Option<&str>,
        person: Option<&str>,
    ) -> Option<Strike> {
        self.open.retain(|open| {
            !open.handle.released.is_cancelled()
                && open.left != Some(0)
                && open.until_ms.is_none_or(|until_ms| now_ms < until_ms)
        });
        for open in &mut self.open {
            let cuts_early = open.order.fault == Fault::CutBeforeReading
                && !matches!(open.order.scope, Scope::Person(_));
            if cuts_early != early || !fits(&open.order, class, account, person) {
                continue;
            }
            if open.order.skip > 0 {
                open.order.skip -= 1;
                continue;
            }
            if let Some(left) = &mut open.left {
                *left -= 1;
            }
            open.handle.struck.fetch_add(1, Ordering::AcqRel);
            let released = open.handle.released.clone();
            return Some(Strike { fault: open.order.fault.clone(), released });
        }
        None
    }
}

fn fits(order: &Order, class: CallClass, account: Option<&str>, person: Option<&str>) -> bool {
    let call_fits = match order.calls {
        Calls::Sends => class == CallClass::Send,
        Calls::Actions => class == CallClass::Action,
        Calls::Media => class == CallClass::Media,
        Calls::All => true,
    };
    call_fits
        && match &order.scope {
            Scope::Platform => true,
            Scope::Account(id) => account == Some(id.as_str()),
            Scope::Person(id) => person == Some(id.as_str()),
        }
}
