//! How an app comes to hear of an account: `hub.challenge`, `/{app-id}/subscriptions`, `/{id}/subscribed_apps`.
//!
//! A callback URL is taken only after the platform has asked it for the challenge, as the real ones do.
//! Source: platform facts, section 2 (verification).

use serde_json::{Value, json};

use crate::config::Kind;
use crate::endpoints::authorised;
use crate::graph_error::GraphError;
use crate::request::{Call, Method};
use crate::state::{AccountState, Hub};

/// What a webhook answered to the challenge.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The body was the challenge.
    pub(crate) echoed: bool,
}

/// Asks a webhook for the challenge.
pub(crate) async fn challenge(
    hub: &Hub,
    url: &str,
    verify_token: &str,
) -> Result<Answer, reqwest::Error> {
    let challenge = hub.ids.decimal();
    let query = [
        ("hub.mode", "subscribe"),
        ("hub.challenge", challenge.as_str()),
        ("hub.verify_token", verify_token),
    ];
    let timeout = hub.settings().delivery.timeout;
    let response = hub.web.client().get(url).query(&query).timeout(timeout).send().await?;
    let status = response.status().as_u16();
    Ok(Answer { status, echoed: response.text().await? == challenge })
}

/// The same, with the API's own error.
async fn verify(hub: &Hub, url: &str, verify_token: &str) -> Result<(), GraphError> {
    match challenge(hub, url, verify_token).await {
        Ok(Answer { status: 200, echoed: true }) => Ok(()),
        Ok(Answer { status, .. }) => {
            Err(GraphError::callback(&format!("HTTP Status Code = {status}")))
        }
        Err(error) if error.is_timeout() => Err(GraphError::callback("the callback timed out")),
        Err(_) => Err(GraphError::callback("the callback URL couldn't be reached")),
    }
}

/// The callback URL and its token, if a request names one under `url_key`.
fn callback<'a>(
    fields: &'a serde_json::Map<String, Value>,
    url_key: &str,
) -> Result<Option<(&'a str, &'a str)>, GraphError> {
    let text = |key: &str| fields.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    match (text(url_key), text("verify_token")) {
        (None, _) => Ok(None),
        (Some(url), Some(token)) => Ok(Some((url, token))),
        (Some(_), None) => Err(GraphError::parameter("The parameter verify_token is required.")),
    }
}

/// `/{id}/subscribed_apps`, where `id` is a page, an Instagram account or a WhatsApp business account.
pub(crate) async fn subscribed_apps(
    hub: &Hub,
    method: Method,
    id: &str,
    call: &Call,
) -> Result<Value, GraphError> {
    let owner = authorised(hub, call)?;
    let accounts = of_object(hub, id, &owner);
    if accounts.is_empty() {
        return Err(GraphError::no_object(method.word(), id));
    }
    match method {
        Method::Get => Ok(json!({"data": subscribers(hub, &accounts)})),
        Method::Post => {
            if let Some((url, token)) = callback(&call.params, "override_callback_uri")? {
                verify(hub, url, token).await?;
                set_url(hub, &accounts, Some(url), token);
            } else if hub.kind != Kind::WhatsApp && !call.params.contains_key("subscribed_fields") {
                return Err(GraphError::parameter("The parameter subscribed_fields is required."));
            }
            each(hub, &accounts, |account| account.outbox.subscribe());
            Ok(json!({"success": true}))
        }
        Method::Delete => {
            each(hub, &accounts, |account| {
                account.outbox.unsubscribe([&hub.tally, &account.tally]);
            });
            Ok(json!({"success": true}))
        }
    }
}

fn subscribers(hub: &Hub, accounts: &[String]) -> Vec<Value> {
    let state = hub.lock();
    let subscribed: Vec<&AccountState> = accounts
        .iter()
        .filter_map(|id| state.accounts.get(id))
        .filter(|account| account.outbox.is_subscribed() && account.config.webhook_url.is_some())
        .collect();
    let Some(account) = subscribed.first() else { return Vec::new() };
    let app = account.config.app_id.to_string();
    let link = "https://www.facebook.com/games/?app_id=";
    match hub.kind {
        Kind::WhatsApp => {
            let data = json!({"id": app, "name": "Sandbox", "link": format!("{link}{app}")});
            vec![json!({"whatsapp_business_api_data": data})]
        }
        Kind::Messenger | Kind::Instagram => vec![json!({
            "id": app,
            "name": "Sandbox",
            "link": format!("{link}{app}"),
            "subscribed_fields": ["messages", "messaging_postbacks", "message_reactions"],
        })],
    }
}

/// The accounts of that page, Instagram account, number or WhatsApp business account, which the token's owner may see.
fn of_object(hub: &Hub, id: &str, owner: &str) -> Vec<String> {
    let state = hub.lock();
    if id == "me" {
        return vec![owner.to_owned()];
    }
    let token = state.accounts.get(owner).map(|account| account.config.access_token.clone());
    let is_meant = |account: &&AccountState| {
        let waba = hub.kind == Kind::WhatsApp && account.config.waba_id == id;
        let named = state.account(id).is_some_and(|named| named.config.id == account.config.id);
        // A business's other numbers belong to it whatever token they have.
        waba || (named && Some(&account.config.access_token) == token.as_ref())
    };
    state.accounts.values().filter(is_meant).map(|account| account.config.id.clone()).collect()
}

fn each(hub: &Hub, accounts: &[String], how: impl Fn(&mut AccountState)) {
    let mut state = hub.lock();
    for id in accounts {
        if let Some(account) = state.accounts.get_mut(id) {
            how(account);
        }
    }
    drop(state);
    hub.touch();
}

fn set_url(hub: &Hub, accounts: &[String], url: Option<&str>, verify_token: &str) {
    each(hub, accounts, |account| {
        account.config.webhook_url = url.map(str::to_owned);
        account.config.verify_token = verify_token.to_owned();
    });
}

/// `/{app-id}/subscriptions`, with the app's own token, `APP-ID|APP-SECRET`.
pub(crate) async fn app(
    hub: &Hub,
    method: Method,
    app: &str,
    call: &Call,
) -> Result<Value, GraphError> {
    let accounts = of_app(hub, app, call)?;
    match method {
        Method::Get => Ok(json!({"data": callbacks(hub, &accounts)})),
        Method::Post => {
            let object = call.text("object").unwrap_or_default();
            if object != object_of(hub.kind) {
                let words = format!("Param object must be {} here", object_of(hub.kind));
                return Err(GraphError::parameter(words));
            }
            let Some((url, token)) = callback(&call.params, "callback_url")? else {
                return Err(GraphError::parameter("The parameter callback_url is required."));
            };
            verify(hub, url, token).await?;
            set_url(hub, &accounts, Some(url), token);
            Ok(json!({"success": true}))
        }
        Method::Delete => {
            each(hub, &accounts, |account| account.config.webhook_url = None);
            Ok(json!({"success": true}))
        }
    }
}

fn object_of(kind: Kind) -> &'static str {
    match kind {
        Kind::WhatsApp => "whatsapp_business_account",
        Kind::Messenger => "page",
        Kind::Instagram => "instagram",
    }
}

fn callbacks(hub: &Hub, accounts: &[String]) -> Vec<Value> {
    let state = hub.lock();
    let url = accounts.iter().find_map(|id| state.accounts.get(id)?.config.webhook_url.clone());
    let object = object_of(hub.kind);
    let entry = |url: String| json!({"object": object, "callback_url": url, "active": true, "fields": [{"name": "messages"}]});
    url.map(entry).into_iter().collect()
}

/// The accounts of an app whose token this is.
fn of_app(hub: &Hub, app: &str, call: &Call) -> Result<Vec<String>, GraphError> {
    let state = hub.lock();
    let token = call.token.as_deref().unwrap_or("");
    let is_own = |account: &&AccountState| {
        account.config.app_id.to_string() == app
            && token == format!("{app}|{}", account.config.app_secret)
    };
    let accounts: Vec<String> =
        state.accounts.values().filter(is_own).map(|account| account.config.id.clone()).collect();
    if accounts.is_empty() { Err(GraphError::token(hub.kind, None)) } else { Ok(accounts) }
}

/// `GET /oauth/access_token` with `grant_type=client_credentials`: the app's own token.
pub(crate) fn app_token(hub: &Hub, call: &Call) -> Result<Value, GraphError> {
    let text = |key: &str| call.text(key).unwrap_or_default();
    let (app, secret) = (text("client_id"), text("client_secret"));
    let state = hub.lock();
    let known = state.accounts.values().any(|account| {
        account.config.app_id.to_string() == app && account.config.app_secret == secret
    });
    if text("grant_type") == "client_credentials" && known {
        Ok(json!({"access_token": format!("{app}|{secret}"), "token_type": "bearer"}))
    } else {
        Err(GraphError::client_secret())
    }
}

/// `POST /{phone-number-id}` with `webhook_configuration`: a callback URL for that number only.
pub(crate) async fn of_number(hub: &Hub, account: &str, call: &Call) -> Result<Value, GraphError> {
    let configuration = call.params.get("webhook_configuration").and_then(Value::as_object);
    let Some(configuration) = configuration.filter(|_| hub.kind == Kind::WhatsApp) else {
        return Err(GraphError::no_object("POST", account));
    };
    let accounts = [account.to_owned()];
    match callback(configuration, "override_callback_uri")? {
        Some((url, token)) => {
            verify(hub, url, token).await?;
            set_url(hub, &accounts, Some(url), token);
        }
        None => each(hub, &accounts, |account| account.config.webhook_url = None),
    }
    Ok(json!({"success": true}))
}
