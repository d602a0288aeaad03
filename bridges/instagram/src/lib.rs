//! Instagram Direct, through either login (Facebook Login or Instagram Login): webhooks, and the Send API.
//!
//! A codec: pure, without clock, network or secrets. What it shares with Messenger stands in
//! `interline_graph::messaging`; here is what only Instagram has: its names, its limits, its capabilities.
//! Facts: PLATFORMS.md, section by section as the code names them.
//!
//! Which login an account uses is the operator's business: its `api_url` (`graph.instagram.com` for Instagram Login),
//! the id that its requests go to (the linked Page, or the account itself) and its app secret. **Webhooks of
//! Instagram Login are signed with the Instagram app secret, not with the Facebook one** (section 1). The codec sees
//! no secret; ingest checks with the `app_secret` of each account, so the config decides.

mod capabilities;

use interline_bridge_api::{
    BodyError, Bridge, Budgets, Capabilities, ChatKind, Manifest, Normalized, Outcome, Outgoing,
    Quota, Rate, RenderContext, RenderError, Request, Response, Role, Split, WebhookScheme,
};
use interline_envelope::{IdKey, Kind, Platform};
use interline_graph::Network;
use interline_graph::messaging::{Dialect, Emoji, SendRules};

/// The bridge's id.
pub const ID: &str = "instagram";

/// The Instagram codec.
#[derive(Debug)]
pub struct Instagram {
    dialect: Dialect,
    manifest: Manifest,
    capabilities: Capabilities,
}

impl Instagram {
    /// Makes the codec. It holds tables only.
    #[expect(clippy::expect_used, reason = "a constant that every test reads")]
    pub fn new() -> Self {
        let platform = Platform::new(ID).expect("instagram is a platform id");
        let dialect = Dialect {
            platform: platform.clone(),
            name: "Instagram",
            object: "instagram",
            network: Network::Instagram,
            send: SEND,
        };
        let manifest = Manifest {
            id: platform,
            version: env!("CARGO_PKG_VERSION"),
            contract: "1",
            roles: &[Role::Codec],
            kinds: KINDS,
            webhook: WebhookScheme::Hub256,
            api_url: "https://graph.facebook.com/v24.0",
            display_name: "Instagram",
            budgets: BUDGETS,
            fails_later: false,
            // PLATFORMS.md section 4, windows.
            window_hours: Some(24),
        };
        Self { dialect, manifest, capabilities: capabilities::capabilities() }
    }
}

impl Default for Instagram {
    fn default() -> Self {
        Self::new()
    }
}

/// PLATFORMS.md sections 1, 4 and 6, column Instagram.
const SEND: SendRules = SendRules {
    text: capabilities::TEXT,
    messaging_type: None,
    marker_bytes_max: None,
    images_max: capabilities::IMAGES_MAX as usize,
    reactions: Emoji::Love,
    stickers: false,
    heart: true,
    post: true,
    utility: false,
    user_ref: false,
    release: true,
    tags: &["HUMAN_AGENT"],
    upload_platform: Some("instagram"),
    reusable_as_text: true,
    ascii_filenames: true,
};

const KINDS: &[Kind] = &[
    Kind::Message,
    Kind::Edit,
    Kind::Delete,
    Kind::Reaction,
    Kind::Status,
    Kind::Referral,
    Kind::Handover,
    Kind::Account,
    Kind::Unsupported,
];

/// PLATFORMS.md section 4, rates.
const BUDGETS: Budgets = Budgets {
    // Another page says 300.
    messages: Some(Rate::per_second(100)),
    counts_inbound: false,
    audio_video: Some(Rate::per_second(10)),
    pair: None,
};

impl Bridge for Instagram {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn capabilities(&self, _chat: ChatKind) -> &Capabilities {
        // There are no groups (PLATFORMS.md section 6): every chat is with one person.
        &self.capabilities
    }

    fn split(&self, body: &[u8]) -> Result<Split, BodyError> {
        self.dialect.split(body)
    }

    fn normalize(&self, ids: &IdKey, event: &[u8]) -> Result<Normalized, BodyError> {
        self.dialect.normalize(ids, event)
    }

    fn render(
        &self,
        context: &RenderContext<'_>,
        outgoing: &Outgoing,
    ) -> Result<Request, RenderError> {
        self.dialect.render(context, outgoing)
    }

    fn interpret(&self, request: &Request, response: &Response) -> Outcome {
        self.dialect.interpret(request, response)
    }

    fn quota(&self, response: &Response) -> Quota {
        interline_graph::quota(response)
    }
}
