//! What the paths of the API do, once a request is read and no fault strikes it.
//!
//! Token before content, as the real one does.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::config::Kind;
use crate::fault::GraphFault;
use crate::graph_error::GraphError;
use crate::media::File;
use crate::messaging;
use crate::profile;
use crate::request::{Call, Method, Route};
use crate::server::{Done, account_id};
use crate::state::{AccountState, Hub};
use crate::subscriptions;
use crate::whatsapp;

/// What comes of a request that is let through.
pub(crate) enum Outcome {
    Json(Value),
    File(File),
    Sent(Done),
}

/// `later`: WhatsApp takes the send, and reports it as failed.
pub(crate) async fn process(
    hub: &Arc<Hub>,
    call: &Call,
    later: Option<&GraphFault>,
) -> Result<Outcome, GraphError> {
    match &call.route {
        Route::Messages(_) => {
            let account = addressed(hub, call)?;
            let done = match hub.kind {
                Kind::WhatsApp => whatsapp::send::messages(hub, &account, call, later).await?,
                Kind::Messenger | Kind::Instagram => {
                    messaging::send::messages(hub, &account, call).await?
                }
            };
            Ok(Outcome::Sent(done))
        }
        Route::Cdn(file) => cdn_file(hub, call, file.as_deref()).map(Outcome::File),
        Route::LookAside => {
            let account = authorised(hub, call)?;
            look_aside(hub, &account, call).map(Outcome::File)
        }
        Route::UploadMedia(_)
        | Route::UploadAttachment(_)
        | Route::Get(_)
        | Route::Update(_)
        | Route::Delete(_)
        | Route::SubscribedApps(..)
        | Route::Subscriptions(..)
        | Route::Profile(..)
        | Route::Numbers(_)
        | Route::Register(_)
        | Route::AppToken
        | Route::Batch
        | Route::NoEdge(..)
        | Route::Unknown => object(hub, call).await.map(Outcome::Json),
    }
}

/// What is answered with a JSON object and tells nobody of it.
async fn object(hub: &Hub, call: &Call) -> Result<Value, GraphError> {
    match &call.route {
        Route::UploadMedia(_) if hub.kind == Kind::WhatsApp => {
            whatsapp::send::upload(hub, &addressed(hub, call)?, call)
        }
        Route::UploadAttachment(_) if hub.kind != Kind::WhatsApp => {
            let account = addressed(hub, call)?;
            messaging::attach::upload(hub, &account, call).await
        }
        Route::Get(id) => {
            let account = authorised(hub, call)?;
            on_that_number(hub, &account, "GET", id, call)?;
            get(hub, &account, id, call)
        }
        Route::Update(_) => subscriptions::of_number(hub, &addressed(hub, call)?, call).await,
        Route::Delete(id) => {
            let account = authorised(hub, call)?;
            on_that_number(hub, &account, "DELETE", id, call)?;
            let mut state = hub.lock();
            let own = state.shelf.get(id).is_some_and(|shelved| shelved.account == account);
            if own && state.shelf.remove(id) {
                Ok(json!({"success": true}))
            } else {
                Err(GraphError::no_object("DELETE", id))
            }
        }
        Route::SubscribedApps(method, id) => {
            subscriptions::subscribed_apps(hub, *method, id, call).await
        }
        Route::Subscriptions(method, app) => subscriptions::app(hub, *method, app, call).await,
        Route::AppToken => subscriptions::app_token(hub, call),
        Route::Profile(method, _, edge) => {
            profile::of_account(hub, *method, &addressed(hub, call)?, edge, call)
        }
        Route::Numbers(business) => {
            let account = authorised(hub, call)?;
            profile::numbers(hub, &account, business, call)
        }
        Route::Register(_) if hub.kind == Kind::WhatsApp => {
            addressed(hub, call)?;
            Ok(json!({"success": true}))
        }
        Route::NoEdge(method, id, edge) => {
            let account = authorised(hub, call)?;
            let is_here = id == "me" || account_id(hub, id).as_deref() == Some(&account);
            if is_here && *method == Some(Method::Get) {
                Err(GraphError::no_field(edge))
            } else {
                Err(GraphError::no_object(method.map_or("get", Method::word), id))
            }
        }
        Route::UploadMedia(id) | Route::UploadAttachment(id) | Route::Register(id) => {
            addressed(hub, call)?;
            Err(GraphError::no_object("POST", id))
        }
        // The media hosts and the Send API are no objects; a batch within a batch is none either.
        Route::Messages(_) | Route::LookAside | Route::Cdn(_) | Route::Batch | Route::Unknown => {
            Err(GraphError::unknown_path())
        }
    }
}

/// The account that the token belongs to: of several with one token the one that the request is about.
pub(crate) fn authorised(hub: &Hub, call: &Call) -> Result<String, GraphError> {
    let state = hub.lock();
    let token = call.token.as_deref().unwrap_or("");
    let file = call.text("mid");
    let object = call.route.id().or(file.as_deref());
    let about = object.and_then(|id| match state.shelf.get(id) {
        Some(shelved) => state.accounts.get(&shelved.account),
        None => state.account(id),
    });
    let holds = |account: &&AccountState| account.config.access_token == token;
    let account = about.filter(holds).or_else(|| state.accounts.values().find(holds));
    let Some(account) = account else { return Err(GraphError::token(hub.kind, None)) };
    if let Some(subcode) = account.revoked {
        return Err(GraphError::token(hub.kind, Some(subcode)));
    }
    let proof = call.params.get("appsecret_proof").and_then(Value::as_str);
    let wanted =
        || crate::meta_json::hmac_hex(account.config.app_secret.as_bytes(), token.as_bytes());
    if proof.is_some_and(|proof| proof != wanted()) {
        return Err(GraphError::parameter("Invalid appsecret_proof provided in the API argument"));
    }
    Ok(account.config.id.clone())
}

/// The account that the path names, if the token is its own.
fn addressed(hub: &Hub, call: &Call) -> Result<String, GraphError> {
    let owner = authorised(hub, call)?;
    let id = call.route.id().unwrap_or("me");
    let named = account_id(hub, id);
    if id == "me" || named.as_ref() == Some(&owner) {
        Ok(owner)
    } else {
        Err(GraphError::no_object("POST", id))
    }
}

/// WhatsApp: who names a number beside a file's id gets the file only if it was uploaded there.
fn on_that_number(
    hub: &Hub,
    account: &str,
    method: &str,
    id: &str,
    call: &Call,
) -> Result<(), GraphError> {
    match call.text("phone_number_id") {
        Some(number) if hub.kind == Kind::WhatsApp && number != account => {
            Err(GraphError::no_object(method, id))
        }
        Some(_) | None => Ok(()),
    }
}

fn get(hub: &Hub, account: &str, id: &str, call: &Call) -> Result<Value, GraphError> {
    let own = profile::own(hub, account, id);
    let found = own.map(|own| profile::chosen(own, call)).or_else(|| match hub.kind {
        Kind::WhatsApp => whatsapp::send::media_info(hub, account, id),
        Kind::Messenger | Kind::Instagram => messaging::send::profile(hub, account, id, call),
    });
    found.ok_or_else(|| GraphError::no_object("GET", id))
}

fn look_aside(hub: &Hub, account: &str, call: &Call) -> Result<File, GraphError> {
    let state = hub.lock();
    let now_s = state.now_ms() / 1_000;
    let id = call.text("mid").unwrap_or_default();
    let expires_s = call.text("ext").and_then(|text| text.parse().ok()).unwrap_or(0);
    let gone = || GraphError { status: 404, ..GraphError::no_object("GET", &id) };
    let config = &state.accounts.get(account).ok_or_else(gone)?.config;
    let signed = call.text("hash") == Some(whatsapp::words::media_hash(config, &id, expires_s));
    let shelved = state.shelf.get(&id).filter(|shelved| shelved.account == account);
    match shelved {
        Some(shelved) if signed && now_s <= expires_s => Ok(shelved.file.clone()),
        Some(_) | None => Err(gone()),
    }
}

/// `named`: the file that stands in the path; Instagram has it in the query.
fn cdn_file(hub: &Hub, call: &Call, named: Option<&str>) -> Result<File, GraphError> {
    let (id, signature) = match named {
        Some(id) => (id.to_owned(), call.text("oh")),
        None => (call.text("asset_id").unwrap_or_default(), call.text("signature")),
    };
    let state = hub.lock();
    let gone = || GraphError { status: 403, ..GraphError::no_object("GET", &id) };
    let hash = |account: &AccountState| messaging::words::cdn_hash(&account.config, &id);
    if let Some(shelved) = state.shelf.get(&id) {
        let account = state.accounts.get(&shelved.account).ok_or_else(gone)?;
        let is_signed = signature == Some(hash(account));
        return if is_signed { Ok(shelved.file.clone()) } else { Err(gone()) };
    }
    let is_picture = id.starts_with(messaging::words::PICTURE)
        && state.accounts.values().any(|account| signature == Some(hash(account)));
    if is_picture { Ok(File::picture()) } else { Err(gone()) }
}
