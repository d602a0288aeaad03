//! Messenger, through the Messenger Platform: webhooks of Pages, and the Send API.
//!
//! A codec: pure, without clock, network or secrets. What it shares with Instagram stands in
//! `interline_graph::messaging`; here is what only Messenger has: its names, its limits, its capabilities.
//! Facts: PLATFORMS.md, section by section as the code names them.

mod capabilities;

use interline_bridge_api::{
    BodyError, Bridge, Budgets, Capabilities, ChatKind, Manifest, Normalized, Outcome, Outgoing,
    Quota, Rate, RenderContext, RenderError, Request, Response, Role, Split, WebhookScheme,
};
use interline_envelope::{IdKey, Kind, Platform};
use interline_graph::Network;
use interline_graph::messaging::{Dialect, Emoji, SendRules};

/// The bridge's id.
pub const ID: &str = "messenger";

/// The Messenger codec.
#[derive(Debug)]
pub struct Messenger {
    dialect: Dialect,
    manifest: Manifest,
    capabilities: Capabilities,
}

impl Messenger {
    /// Makes the codec. It holds tables only.
    #[expect(clippy::expect_used, reason = "a constant that every test reads")]
    pub fn new() -> Self {
        let platform = Platform::new(ID).expect("messenger is a platform id");
        let dialect = Dialect {
            platform: platform.clone(),
            name: "Messenger",
            object: "page",
            network: Network::Messenger,
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
            display_name: "Messenger",
            budgets: BUDGETS,
            fails_later: false,
            // PLATFORMS.md section 4, windows.
            window_hours: Some(24),
        };
        Self { dialect, manifest, capabilities: capabilities::capabilities() }
    }
}

impl Default for Messenger {
    fn default() -> Self {
        Self::new()
    }
}

/// PLATFORMS.md sections 1, 4 and 6, column Messenger.
const SEND: SendRules = SendRules {
    text: capabilities::TEXT,
    messaging_type: Some("RESPONSE"),
    marker_bytes_max: Some(capabilities::MARKER_BYTES_MAX),
    images_max: 1,
    reactions: Emoji::Any,
    stickers: true,
    heart: false,
    post: false,
    utility: true,
    user_ref: true,
    release: false,
    tags: &["HUMAN_AGENT"],
    upload_platform: None,
    reusable_as_text: false,
    ascii_filenames: false,
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
    messages: Some(Rate::per_second(300)),
    counts_inbound: false,
    audio_video: Some(Rate::per_second(10)),
    pair: None,
};

impl Bridge for Messenger {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn capabilities(&self, _chat: ChatKind) -> &Capabilities {
        // Pages have no groups (PLATFORMS.md section 6): every chat is with one person.
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
