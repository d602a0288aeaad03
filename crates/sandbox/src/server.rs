//! One platform's HTTP server: finds the account, applies ordered faults, calls the endpoint, answers.
//!
//! Every bad input gets an error of the API. The order of things is the real one's: token before content, and what was
//! taken stays taken even if the answer never arrives.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use serde_json::Value;

use crate::batch;
use crate::clock::millis;
use crate::config::{Kind, Timing};
use crate::counts::{Tally, add};
use crate::endpoints::{Outcome, process};
use crate::fault::{CallClass, Fault, Strike};
use crate::graph_error::GraphError;
use crate::listener::Cutter;
use crate::messaging;
use crate::receipts::Receipts;
use crate::request::{Call, Route, UPLOAD_BYTES_MAX};
use crate::seen::RawRequest;
use crate::state::Hub;
use crate::usage;
use crate::whatsapp;

/// How long a response waits for its echo where the echo is to come first.
const ECHO_FIRST_MAX: Duration = Duration::from_secs(2);

const HTML_500: &str = "<!DOCTYPE html>\n<html><head><title>Facebook | Error</title></head>\
    <body><h1>Sorry, something went wrong.</h1></body></html>\n";

/// What an endpoint did.
pub(crate) struct Done {
    pub(crate) response: Value,
    pub(crate) receipts: Receipts,
}

pub(crate) fn router(hub: Arc<Hub>) -> Router {
    Router::new().fallback(handle).layer(DefaultBodyLimit::max(UPLOAD_BYTES_MAX)).with_state(hub)
}

/// A request that is open: counted until it is answered, cut, or given up by its client.
struct InFlight {
    hub: Arc<Hub>,
    account: Option<Arc<Tally>>,
    account_id: Option<String>,
    number: u64,
}

impl InFlight {
    fn tallies(&self) -> impl Iterator<Item = &Tally> {
        std::iter::once(&self.hub.tally).chain(self.account.as_deref())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        for tally in self.tallies() {
            tally.in_flight.fetch_sub(1, std::sync::atomic::Ordering::AcqRel);
        }
        self.hub.touch();
    }
}

async fn handle(
    State(hub): State<Arc<Hub>>,
    ConnectInfo(cutter): ConnectInfo<Cutter>,
    request: Request,
) -> Response {
    let route = Route::of(request.method().as_str(), request.uri().path());
    let open = begin(&hub, &request, &route);
    let account = route.id().and_then(|id| account_id(&hub, id));
    let early = strike(&hub, true, class_of_route(&route), account.as_deref(), None);
    if early.is_some() {
        add_all(&open, |tally| &tally.struck);
        return cut(&cutter);
    }
    let call = match Call::read(request).await {
        Ok(call) => call,
        Err(error) => return refuse(&hub, &open, &error),
    };
    answer(&hub, &open, &cutter, &call).await
}

fn add_all(open: &InFlight, which: impl Fn(&Tally) -> &std::sync::atomic::AtomicU64) {
    for tally in open.tallies() {
        add(which(tally), 1);
    }
}

fn begin(hub: &Arc<Hub>, request: &Request, route: &Route) -> InFlight {
    let mut state = hub.lock();
    let number = state.raw_next;
    state.raw_next += 1;
    let account = route.id().and_then(|id| state.account(id));
    let tally = account.map(|account| Arc::clone(&account.tally));
    let account_id = account.map(|account| account.config.id.clone());
    let raw = RawRequest {
        number,
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        account: account_id.clone(),
        person: None,
        params: Value::Null,
        status: None,
    };
    while state.raw.len() >= state.settings.raw_requests_max.max(1) {
        state.raw.pop_front();
    }
    state.raw.push_back(raw);
    drop(state);
    let open = InFlight { hub: Arc::clone(hub), account: tally, account_id, number };
    add_all(&open, |tally| &tally.requests_seen);
    add_all(&open, |tally| &tally.in_flight);
    hub.touch();
    open
}

fn strike(
    hub: &Hub,
    early: bool,
    class: CallClass,
    account: Option<&str>,
    person: Option<&str>,
) -> Option<Strike> {
    let mut state = hub.lock();
    let now_ms = state.now_ms();
    state.book.strike(now_ms, early, class, account, person)
}

/// Changes the log's entry of an open request, if the log still has it.
fn note(hub: &Hub, number: u64, how: impl FnOnce(&mut RawRequest)) {
    let mut state = hub.lock();
    let first = state.raw.front().map_or(number, |raw| raw.number);
    let index = usize::try_from(number.saturating_sub(first)).unwrap_or(usize::MAX);
    if let Some(raw) = state.raw.get_mut(index).filter(|raw| raw.number == number) {
        how(raw);
    }
}

pub(crate) fn account_id(hub: &Hub, id: &str) -> Option<String> {
    hub.lock().account(id).map(|account| account.config.id.clone())
}

fn class_of_route(route: &Route) -> CallClass {
    match route {
        Route::Messages(_) => CallClass::Send,
        Route::UploadMedia(_) | Route::UploadAttachment(_) | Route::LookAside | Route::Cdn(_) => {
            CallClass::Media
        }
        Route::Get(_)
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
        | Route::Unknown => CallClass::Other,
    }
}

fn class_of(hub: &Hub, call: &Call) -> CallClass {
    let is_action = call.params.contains_key("status")
        || call
            .params
            .get("sender_action")
            .and_then(Value::as_str)
            .is_some_and(|action| matches!(action, "typing_on" | "typing_off" | "mark_seen"));
    let class = class_of_route(&call.route);
    let is_file = || call.route.id().is_some_and(|id| hub.lock().shelf.get(id).is_some());
    match class {
        CallClass::Send if is_action => CallClass::Action,
        CallClass::Other if is_file() => CallClass::Media,
        CallClass::Send | CallClass::Action | CallClass::Media | CallClass::Other => class,
    }
}

/// The account that a request is for, as far as path and token say; not yet whether it may.
fn account_of(hub: &Hub, call: &Call) -> Option<String> {
    let state = hub.lock();
    let by_token = || {
        let token = call.token.as_deref()?;
        state.accounts.values().find(|account| account.config.access_token == token)
    };
    let account = match call.route.id() {
        Some("me") | None => by_token(),
        Some(id) => state.account(id).or_else(by_token),
    };
    account.map(|account| account.config.id.clone())
}

async fn answer(hub: &Arc<Hub>, open: &InFlight, cutter: &Cutter, call: &Call) -> Response {
    let account = account_of(hub, call);
    let person = account.as_deref().and_then(|account| match hub.kind {
        Kind::WhatsApp => whatsapp::send::person_of(hub, account, &call.params),
        Kind::Messenger | Kind::Instagram => messaging::send::person_of(hub, account, &call.params),
    });
    note(hub, open.number, |raw| {
        raw.account.clone_from(&account);
        raw.person.clone_from(&person);
        raw.params = Value::Object(call.params.clone());
    });
    let class = class_of(hub, call);
    if let Some(strike) = strike(hub, false, class, account.as_deref(), person.as_deref()) {
        add_all(open, |tally| &tally.struck);
        hub.touch();
        return struck(hub, open, cutter, call, strike).await;
    }
    let allowed = usage::count(hub, &call.route);
    let processed = match allowed {
        Ok(()) if call.route == Route::Batch => batch::run(hub, call).await.map(Outcome::Json),
        Ok(()) => process(hub, call, None).await,
        Err(error) => Err(error),
    };
    let mut response = match processed {
        Ok(outcome) => outcome.respond(hub, open).await,
        Err(error) => refuse(hub, open, &error),
    };
    usage::tell(hub, account.as_deref(), &call.route, response.headers_mut());
    response
}

async fn struck(
    hub: &Arc<Hub>,
    open: &InFlight,
    cutter: &Cutter,
    call: &Call,
    strike: Strike,
) -> Response {
    match &strike.fault {
        Fault::Html500 => return html_500(hub, open),
        Fault::Empty503 => {
            note(hub, open.number, |raw| raw.status = Some(503));
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        Fault::FailLater(fault) if hub.kind != Kind::WhatsApp => {
            return refused(hub, open, &GraphError::from(fault));
        }
        Fault::Graph(fault) => return refused(hub, open, &GraphError::from(fault)),
        Fault::CutBeforeReading => return cut(cutter),
        Fault::Hang => strike.released.cancelled().await,
        Fault::FailLater(_)
        | Fault::TakeThenHang
        | Fault::TakeThenCut
        | Fault::TakeThenHtml500
        | Fault::SlowAnswer(_) => {}
    }
    let later = if let Fault::FailLater(fault) = &strike.fault { Some(fault) } else { None };
    let clock = hub.clock();
    let began_ms = clock.now_ms();
    let outcome = match process(hub, call, later).await {
        Ok(outcome) => outcome,
        Err(error) => return refuse(hub, open, &error),
    };
    match strike.fault {
        Fault::TakeThenHang => {
            let outcome = outcome.told_at_once();
            strike.released.cancelled().await;
            outcome.respond(hub, open).await
        }
        Fault::TakeThenCut => {
            drop(outcome);
            cut(cutter)
        }
        Fault::TakeThenHtml500 => {
            drop(outcome);
            html_500(hub, open)
        }
        Fault::SlowAnswer(time) => {
            let outcome = outcome.told_at_once();
            clock.sleep_until(began_ms.saturating_add(millis(time))).await;
            outcome.respond(hub, open).await
        }
        Fault::Html500
        | Fault::Empty503
        | Fault::Graph(_)
        | Fault::FailLater(_)
        | Fault::Hang
        | Fault::CutBeforeReading => outcome.respond(hub, open).await,
    }
}

impl Outcome {
    async fn respond(self, hub: &Arc<Hub>, open: &InFlight) -> Response {
        match self {
            Self::Json(value) => json_response(hub, open, 200, &value, None),
            Self::File(file) => {
                note(hub, open.number, |raw| raw.status = Some(200));
                let mime = if file.mime.is_ascii() {
                    file.mime.clone()
                } else {
                    "application/octet-stream".into()
                };
                let length = file.len().to_string();
                let pieces = file.pieces().map(Ok::<_, std::convert::Infallible>);
                let body = Body::from_stream(stream::iter(pieces));
                ([(CONTENT_TYPE, mime), (CONTENT_LENGTH, length)], body).into_response()
            }
            Self::Sent(Done { response, receipts }) => match hub.settings().receipts.timing {
                Timing::AfterResponse => json_response(hub, open, 200, &response, Some(receipts)),
                Timing::BeforeResponse => {
                    // Too late is no error: the echo then comes after the response.
                    drop(tokio::time::timeout(ECHO_FIRST_MAX, receipts.put_and_taken()).await);
                    json_response(hub, open, 200, &response, None)
                }
            },
        }
    }

    /// Queues the receipts whether or not an answer follows.
    fn told_at_once(self) -> Self {
        match self {
            Self::Sent(Done { response, receipts }) => {
                drop(receipts);
                Self::Json(response)
            }
            Self::Json(_) | Self::File(_) => self,
        }
    }

    /// The answer within a batch, which hands no files over.
    pub(crate) fn into_json(self) -> Value {
        match self {
            Self::Json(value) => value,
            Self::File(_) => Value::Null,
            Self::Sent(done) => done.response,
        }
    }
}

/// The answer; `after` is queued when the connection lets go of the body, written or not.
fn json_response(
    hub: &Hub,
    open: &InFlight,
    status: u16,
    body: &Value,
    after: Option<Receipts>,
) -> Response {
    note(hub, open.number, |raw| raw.status = Some(status));
    let bytes = Bytes::from(body.to_string());
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let length = bytes.len().to_string();
    let body = match after {
        None => Body::from(bytes),
        Some(receipts) => {
            Body::from_stream(stream::unfold((Some(bytes), receipts), |(bytes, receipts)| async {
                bytes.map(|bytes| (Ok::<_, std::convert::Infallible>(bytes), (None, receipts)))
            }))
        }
    };
    let headers =
        [(CONTENT_TYPE, "application/json; charset=UTF-8".to_owned()), (CONTENT_LENGTH, length)];
    (status, headers, body).into_response()
}

/// An error that the API's own rules found.
fn refuse(hub: &Hub, open: &InFlight, error: &GraphError) -> Response {
    add_all(open, |tally| &tally.refused);
    refused(hub, open, error)
}

fn refused(hub: &Hub, open: &InFlight, error: &GraphError) -> Response {
    let body = error.body_json(hub.kind, hub.ids.trace());
    let mut response = json_response(hub, open, error.status, &body, None);
    if let Some(minutes) = error.regain_minutes {
        usage::tell_throttled(hub, open.account_id.as_deref(), minutes, response.headers_mut());
    }
    response
}

fn html_500(hub: &Hub, open: &InFlight) -> Response {
    note(hub, open.number, |raw| raw.status = Some(500));
    let headers = [(CONTENT_TYPE, "text/html; charset=utf-8")];
    (StatusCode::INTERNAL_SERVER_ERROR, headers, HTML_500).into_response()
}

/// Cuts the connection; the response that this returns never leaves.
fn cut(cutter: &Cutter) -> Response {
    cutter.cut();
    StatusCode::OK.into_response()
}
