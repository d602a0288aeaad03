//! What is simulated: accounts, people, and how the platforms behave.
//!
//! Pure data. Secrets stand here in clear because a sandbox invents them; they are never logged.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::limits::{Limits, Usage};

/// After a person's last message an account may write freely for so long.
const WINDOW: Duration = Duration::from_secs(24 * 3_600);

/// One of the three simulated platforms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// WhatsApp Business Cloud API.
    WhatsApp,
    /// Messenger Platform.
    Messenger,
    /// Instagram API with Instagram Login (`/{ig-id}/messages`), or with a page id as an alias.
    Instagram,
}

impl Kind {
    /// The word that stands in addresses and paths: `whatsapp`, `messenger`, `instagram`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::WhatsApp => "whatsapp",
            Self::Messenger => "messenger",
            Self::Instagram => "instagram",
        }
    }
}

/// Everything [`crate::Platforms::start`] needs; `Config::default()` has no account.
#[derive(Clone, Debug)]
pub struct Config {
    /// The loopback address to listen on; each platform takes a free port of it.
    pub listen: IpAddr,
    /// WhatsApp: accounts are phone-number ids, people are digits.
    pub whatsapp: PlatformConfig,
    /// Messenger: accounts are page ids, people are PSIDs.
    pub messenger: PlatformConfig,
    /// Instagram: accounts are Instagram account ids, people are IGSIDs.
    pub instagram: PlatformConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
            whatsapp: PlatformConfig::default(),
            messenger: PlatformConfig::default(),
            instagram: PlatformConfig::default(),
        }
    }
}

/// One platform's accounts and manners. More accounts can be added while it runs.
#[derive(Clone, Debug, Default)]
pub struct PlatformConfig {
    /// The operator's accounts there.
    pub accounts: Vec<AccountConfig>,
    /// How the platform behaves; changeable later by [`crate::Platform::change_settings`].
    pub settings: Settings,
    /// A fixed port; absent: a free one.
    pub port: Option<u16>,
}

/// An account of the operator on one platform, with the people who talk to it.
#[derive(Clone)]
pub struct AccountConfig {
    /// Phone-number id, page id or Instagram account id: decimal digits.
    pub id: String,
    /// Other ids that the Send API takes for it (Instagram with Facebook Login: the linked page's id).
    pub aliases: Vec<String>,
    /// What the Send API wants as bearer token.
    pub access_token: String,
    /// The key of `X-Hub-Signature-256`.
    pub app_secret: String,
    /// What `hub.challenge` verification sends.
    pub verify_token: String,
    /// Where webhooks are posted; absent: they wait until [`crate::Account::set_webhook_url`].
    pub webhook_url: Option<String>,
    /// `app_id` of echoes (Messenger).
    pub app_id: u64,
    /// WhatsApp: the business's own number, digits (`metadata.display_phone_number`).
    pub display_phone_number: String,
    /// WhatsApp: `entry[].id`.
    pub waba_id: String,
    /// WhatsApp: a coexistence number, which hears of edits and unsends.
    pub coexistence: bool,
    /// The people who talk to this account: one phone (chat screen) each.
    pub people: Vec<Person>,
}

impl AccountConfig {
    /// An account with invented secrets that are derived from `id`, so that two runs agree on them:
    /// token `sandbox-token-{id}`, app secret `sandbox-secret-{id}`, verify token `sandbox-verify-{id}`.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        let id = id.into();
        Self {
            access_token: format!("sandbox-token-{id}"),
            app_secret: format!("sandbox-secret-{id}"),
            verify_token: format!("sandbox-verify-{id}"),
            aliases: Vec::new(),
            webhook_url: None,
            app_id: 1_500_000_000_000_001,
            display_phone_number: "15550009999".to_owned(),
            waba_id: "102290129340398".to_owned(),
            coexistence: true,
            people: Vec::new(),
            id,
        }
    }

    /// The same account with one more person.
    #[must_use]
    pub fn with(mut self, person: Person) -> Self {
        self.people.push(person);
        self
    }

    /// The same account, posting its webhooks to `url`.
    #[must_use]
    pub fn posting_to(mut self, url: impl Into<String>) -> Self {
        self.webhook_url = Some(url.into());
        self
    }
}

impl fmt::Debug for AccountConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountConfig")
            .field("id", &self.id)
            .field("people", &self.people.len())
            .finish_non_exhaustive()
    }
}

/// A person with a phone.
#[derive(Clone)]
pub struct Person {
    /// Digits (WhatsApp), PSID or IGSID.
    pub id: String,
    /// The name in the profile.
    pub name: String,
    /// The user name, where the platform has one.
    pub username: Option<String>,
    /// WhatsApp: the business-scoped user id; absent: derived from `id`.
    pub bsuid: Option<String>,
    /// WhatsApp: a username user, whose webhooks carry the BSUID and neither `from` nor `wa_id`.
    pub hides_phone: bool,
    /// Wrote to the account just before the sandbox began, so that the account may write, too. A person who never wrote
    /// is unknown to Messenger and Instagram, and gets only templates on WhatsApp.
    pub has_written: bool,
}

impl Person {
    /// A person with that id and name.
    #[must_use]
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            username: None,
            bsuid: None,
            hides_phone: false,
            has_written: true,
        }
    }
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Person(<redacted>)")
    }
}

/// When the webhooks that follow from an accepted send go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// The response waits until they were answered (at most two seconds): an echo that overtakes.
    BeforeResponse,
    /// They are queued once the response has been handed to the connection.
    AfterResponse,
}

/// What a platform reports of an accepted send.
#[derive(Clone, Copy, Debug)]
pub struct Receipts {
    /// WhatsApp: status `sent`; Messenger and Instagram: the echo.
    pub sent: bool,
    /// WhatsApp: status `delivered`; Messenger: a delivery with mid and watermark; Instagram has none.
    pub delivered: bool,
    /// Before or after the response.
    pub timing: Timing,
}

/// Which form Instagram's webhooks have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstagramForm {
    /// `entry[].messaging[]`.
    Messaging,
    /// `entry[].changes[]` with `field: "messages"`.
    Changes,
    /// `entry[].messaging[]` in an array at the root, as samples of the documentation have it.
    RootArray,
}

/// How webhooks are posted.
#[derive(Clone, Copy, Debug)]
pub struct Delivery {
    /// The wait after the first failed POST, by the platforms' clock; it doubles with each failure.
    pub retry_first: Duration,
    /// The longest wait between two attempts.
    pub retry_max: Duration,
    /// How long one POST may take.
    pub timeout: Duration,
    /// How many updates one POST carries at most: 1 to 1000.
    pub batch_max: usize,
    /// How long a POST waits for its batch to fill; zero: it takes what is there.
    pub batch_linger: Duration,
    /// How often each body is posted successfully; 1 is once.
    pub copies: u32,
    /// The copies are batched otherwise: a batch is taken apart, a lone update is posted with the one before it.
    pub rebatch: bool,
    /// How many POSTs of one account are open at a time; more than 1 may reorder.
    pub in_flight_max: usize,
    /// So many POSTs are gathered, for at most `batch_linger`, and go out in the opposite order; 1 keeps the order.
    pub reversed: usize,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            retry_first: Duration::from_millis(50),
            retry_max: Duration::from_secs(1),
            timeout: Duration::from_secs(20),
            batch_max: 1,
            batch_linger: Duration::ZERO,
            copies: 1,
            rebatch: false,
            in_flight_max: 1,
            reversed: 1,
        }
    }
}

/// A platform's manners and bounds.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What is reported of an accepted send.
    pub receipts: Receipts,
    /// How webhooks are posted.
    pub delivery: Delivery,
    /// Instagram only.
    pub instagram_form: InstagramForm,
    /// WhatsApp: edits come as `type: "edit"` (before June 2026) and not as `unsupported` with subtype `edit`.
    pub native_edits: bool,
    /// Messenger: a sticker comes twice, as `sticker` and as `image` (until 30 August 2026).
    pub sticker_twice: bool,
    /// How long an account may write freely after a person did (24 hours); `None`: for ever.
    pub window: Option<Duration>,
    /// How much an account may send.
    pub limits: Limits,
    /// What the usage headers say; absent: what was counted.
    pub usage: Option<Usage>,
    /// How long a WhatsApp media URL lives.
    pub media_url_lifetime: Duration,
    /// How long the platform tries to fetch a linked file.
    pub fetch_timeout: Duration,
    /// Bytes of media that are kept; the oldest go first.
    pub media_bytes_max: usize,
    /// Messages that one phone's screen keeps; the oldest go first.
    pub timeline_max: usize,
    /// Requests that are kept for [`crate::Platform::raw_requests`]; the oldest go first.
    pub raw_requests_max: usize,
    /// Updates that may wait for one webhook; a phone that says more gets an error.
    pub outbox_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            receipts: Receipts { sent: true, delivered: true, timing: Timing::AfterResponse },
            delivery: Delivery::default(),
            instagram_form: InstagramForm::Messaging,
            native_edits: false,
            sticker_twice: false,
            window: Some(WINDOW),
            limits: Limits::NONE,
            usage: None,
            media_url_lifetime: Duration::from_secs(300),
            fetch_timeout: Duration::from_secs(5),
            media_bytes_max: 256 << 20,
            timeline_max: 100_000,
            raw_requests_max: 20_000,
            outbox_max: 200_000,
        }
    }
}
