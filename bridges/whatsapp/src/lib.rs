//! The WhatsApp codec: Cloud API webhooks to envelopes, what is to be sent to Graph API requests.
//!
//! Pure: no clock, no I/O, no credentials. Facts stand in PLATFORMS.md; each module names its section.
//!
//! *Invariant:* one malformed item never fails its neighbours.
//! *Invariant:* `split` and `normalize` find their items by the same walk, so the envelopes of all items are those of
//! the whole body.

mod account;
mod capabilities;
mod content;
mod interpret;
mod message;
mod native;
mod normalize;
mod people;
mod render;
mod single;
mod split;
mod status;
mod walk;

use interline_bridge_api::{
    BodyError, Bridge, Budgets, Failure, Manifest, Normalized, Outcome, Quota, Rate, RenderContext,
    RenderError, Request, Response, Role, Split, WebhookScheme,
};
use interline_envelope::{IdKey, Kind, Platform, StatusError};
use interline_graph::{Network, classify};
use interline_relay::{Action, Capabilities, ChatKind, Outgoing};
use serde_json::json;

/// The adapter.
#[derive(Debug)]
pub struct WhatsApp {
    manifest: Manifest,
    direct: Capabilities,
    group: Capabilities,
}

impl WhatsApp {
    /// Makes the adapter; it has no state.
    #[expect(clippy::expect_used, reason = "the constant is a platform id")]
    pub fn new() -> Self {
        let id = Platform::new(walk::PLATFORM).expect("the constant is a platform id");
        Self {
            manifest: Manifest {
                id,
                version: env!("CARGO_PKG_VERSION"),
                contract: "1",
                roles: &[Role::Codec],
                kinds: &[
                    Kind::Message,
                    Kind::Edit,
                    Kind::Delete,
                    Kind::Reaction,
                    Kind::Status,
                    Kind::Referral,
                    Kind::System,
                    Kind::Account,
                    Kind::Unsupported,
                ],
                webhook: WebhookScheme::Hub256,
                api_url: "https://graph.facebook.com/v24.0",
                display_name: "WhatsApp",
                budgets: BUDGETS,
                fails_later: true,
                // PLATFORMS.md section 4, windows.
                window_hours: Some(24),
            },
            direct: capabilities::capabilities(ChatKind::Direct),
            group: capabilities::capabilities(ChatKind::Group),
        }
    }
}

impl Default for WhatsApp {
    fn default() -> Self {
        Self::new()
    }
}

/// PLATFORMS.md section 4, rates.
const BUDGETS: Budgets = Budgets {
    messages: Some(Rate::per_second(80)),
    counts_inbound: true,
    audio_video: None,
    // 1 message in 6 s, bursts of 45 borrowed from later quota.
    pair: Some(Rate { every_us: 6_000_000, burst: 45 }),
};

impl Bridge for WhatsApp {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn capabilities(&self, chat: ChatKind) -> &Capabilities {
        match chat {
            ChatKind::Direct => &self.direct,
            ChatKind::Group => &self.group,
        }
    }

    fn split(&self, body: &[u8]) -> Result<Split, BodyError> {
        split::split(body)
    }

    fn normalize(&self, ids: &IdKey, event: &[u8]) -> Result<Normalized, BodyError> {
        normalize::normalize(ids, &self.manifest.id, event)
    }

    fn render(
        &self,
        context: &RenderContext<'_>,
        outgoing: &Outgoing,
    ) -> Result<Request, RenderError> {
        render::render(context, outgoing)
    }

    fn interpret(&self, request: &Request, response: &Response) -> Outcome {
        interpret::interpret(request, response)
    }

    fn judge(&self, error: &StatusError) -> Option<Failure> {
        Some(classify(Network::WhatsApp, 0, error.code, None, false))
    }

    fn invitation(&self, template: &str, language: &str) -> Option<Action> {
        Some(Action::Template(json!({"name": template, "language": {"code": language}})))
    }

    fn quota(&self, response: &Response) -> Quota {
        interline_graph::quota(response)
    }
}
