//! Fetching from servers that mean harm.

use super::fetch::{Bounds, Fetch, FetchError};
use super::guard::Forbidden;
use crate::config::{Egress, Order, Secret, Uncertain};
use crate::deliver::Http;
use crate::live::Account;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use interline_envelope::{AccountRef, Media, MediaKind, Platform};
use interline_relay::Budgets;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A server on loopback that does what the path says, and remembers who came.
struct Server {
    url: String,
    asked: Asked,
    _task: JoinSet<()>,
}

/// Path and token of each request.
type Asked = Arc<Mutex<Vec<(String, Option<String>)>>>;

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Asked::default();
        let app = Router::new().fallback(answer).with_state((asked.clone(), url.clone()));
        let mut task = JoinSet::new();
        task.spawn(async move { drop(axum::serve(listener, app).await) });
        Self { url, asked, _task: task }
    }

    fn asked(&self) -> Vec<(String, Option<String>)> {
        self.asked.lock().unwrap().clone()
    }

    /// The same port under another name.
    fn as_host(&self, scheme: &str, host: &str) -> String {
        let port = self.url.rsplit(':').next().unwrap();
        format!("{scheme}://{host}:{port}/file")
    }
}

async fn answer(State((asked, own)): State<(Asked, String)>, request: Request) -> Response {
    let token = request.headers().get(header::AUTHORIZATION);
    let token = token.map(|token| token.to_str().unwrap().to_owned());
    let path = request.uri().path().to_owned();
    asked.lock().unwrap().push((path.clone(), token));
    let times = asked.lock().unwrap().iter().filter(|(other, _)| *other == path).count();
    let mut headers = HeaderMap::new();
    match path.as_str() {
        "/file" => "the file".into_response(),
        // WhatsApp's answer to where a medium is: stale the first time.
        "/look-up" => {
            let name = if times == 1 { "stale" } else { "file" };
            format!(r#"{{"url":"{own}/{name}","mime_type":"text/plain","file_size":8,"id":"1"}}"#)
                .into_response()
        }
        "/endless" => {
            let chunks =
                stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[7; 999])));
            Body::from_stream(chunks).into_response()
        }
        "/stuck" => {
            let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"a"))]);
            Body::from_stream(first.chain(stream::pending())).into_response()
        }
        "/silent" => std::future::pending().await,
        "/around" => {
            headers.insert(header::LOCATION, "/around".parse().unwrap());
            (StatusCode::FOUND, headers).into_response()
        }
        "/nowhere" => StatusCode::FOUND.into_response(),
        "/redirect" => {
            let to = request.uri().query().unwrap();
            headers.insert(header::LOCATION, to.parse().unwrap());
            (StatusCode::TEMPORARY_REDIRECT, headers).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn account(api: &Server) -> Account {
    let platform = Platform::new("whatsapp").unwrap();
    let bridge = crate::bridges::all().into_iter().find(|one| one.manifest().id == platform);
    Account {
        of: AccountRef::new(platform, "106"),
        bridge: bridge.unwrap(),
        api_url: api.url.clone(),
        send_as: "106".to_owned(),
        access_token: Some(Secret::new("the-token")),
        app_secret: None,
        verify_token: None,
        egress: Egress::Http,
        uncertain: Uncertain::Resend,
        order: Order::Accepted,
        budgets: Budgets::default(),
        window_template: None,
        name: None,
        operator_messages: crate::config::OperatorMessages::Relay,
    }
}

fn at(url: &str) -> Media {
    Media { url: Some(url.into()), ..Media::new(MediaKind::Document) }
}

/// With more patience than any answer needs.
async fn fetched(source: &Account, media: &Media) -> Result<Vec<u8>, FetchError> {
    fetched_within(source, media, Duration::from_secs(60)).await
}

async fn fetched_within(
    source: &Account,
    media: &Media,
    idle_max: Duration,
) -> Result<Vec<u8>, FetchError> {
    let http = Http::new(Duration::from_secs(10), Duration::from_secs(10)).unwrap();
    let bounds = Bounds { bytes_max: 100_000, idle_max, total_max: Duration::from_secs(60) };
    let fetch = Fetch { http: &http, source, bounds };
    let located = fetch.locate(media).await?;
    let found = fetch.open(media, located).await?;
    let (stream, fate) = found.incoming.into_stream();
    let chunks: Result<Vec<Bytes>, _> = stream.try_collect().await;
    chunks.map(|chunks| chunks.concat()).map_err(|_| fate.take().unwrap())
}

#[tokio::test]
async fn an_address_in_an_event_reaches_nothing_but_the_api_and_public_hosts() {
    let (api, victim) = (Server::start().await, Server::start().await);
    let source = account(&api);
    let own = format!("{}/file", api.url);
    assert_eq!(fetched(&source, &at(&own)).await.unwrap(), b"the file");
    // What an event names gets no token, not even at the API.
    assert_eq!(api.asked(), [("/file".to_owned(), None)]);
    for (scheme, host, why) in [
        ("http", "127.0.0.1", Forbidden::NotHttps),
        ("http", "localhost", Forbidden::NotHttps),
        ("https", "127.0.0.1", Forbidden::NotPublic),
        ("https", "localhost", Forbidden::NotPublic),
        ("https", "[::1]", Forbidden::NotPublic),
        ("https", "[::ffff:127.0.0.1]", Forbidden::NotPublic),
        ("https", "0.0.0.0", Forbidden::NotPublic),
        ("https", "api@127.0.0.1", Forbidden::Credentials),
    ] {
        let url = victim.as_host(scheme, host);
        let error = fetched(&source, &at(&url)).await.unwrap_err();
        assert!(matches!(error, FetchError::Forbidden(found) if found == why), "{url}: {error:?}");
        assert!(!error.may_pass() && !error.to_string().contains(host), "{error}");
    }
    assert_eq!(victim.asked(), []);
}

#[tokio::test]
async fn a_redirect_reaches_nothing_that_an_address_may_not() {
    let (api, victim) = (Server::start().await, Server::start().await);
    let source = account(&api);
    for (scheme, host) in [("http", "127.0.0.1"), ("https", "localhost"), ("https", "127.0.0.1")] {
        let url = format!("{}/redirect?{}", api.url, victim.as_host(scheme, host));
        let error = fetched(&source, &at(&url)).await.unwrap_err();
        assert!(matches!(error, FetchError::Forbidden(_)), "{error:?}");
    }
    assert_eq!(victim.asked(), []);
    let within = format!("{}/redirect?/file", api.url);
    assert_eq!(fetched(&source, &at(&within)).await.unwrap(), b"the file");
}

#[tokio::test]
async fn g9_redirects_have_an_end() {
    let api = Server::start().await;
    let source = account(&api);
    for path in ["/around", "/nowhere"] {
        let error = fetched(&source, &at(&format!("{}{path}", api.url))).await.unwrap_err();
        assert!(matches!(error, FetchError::Redirects), "{error:?}");
    }
    assert_eq!(api.asked().len(), 4 + 1);
}

#[tokio::test]
async fn g9_endless_and_stuck_bodies_are_given_up() {
    let api = Server::start().await;
    let source = account(&api);
    let of = |path: &str| at(&format!("{}{path}", api.url));
    let endless = fetched(&source, &of("/endless")).await.unwrap_err();
    assert!(matches!(endless, FetchError::TooLarge { max: 100_000 }), "{endless:?}");
    for path in ["/stuck", "/silent"] {
        let idle_max = Duration::from_millis(300);
        let error = fetched_within(&source, &of(path), idle_max).await.unwrap_err();
        assert!(matches!(error, FetchError::Stalled), "{path}: {error:?}");
    }
    let gone = fetched(&source, &of("/gone")).await.unwrap_err();
    assert!(matches!(gone, FetchError::Status(404)), "{gone:?}");
}

#[tokio::test]
async fn a_stale_address_is_asked_for_again_by_id_and_the_token_goes_along() {
    let api = Server::start().await;
    let source = account(&api);
    let media = Media { id: Some("look-up".into()), ..Media::new(MediaKind::Document) };
    assert_eq!(fetched(&source, &media).await.unwrap(), b"the file");
    let asked = api.asked();
    let paths: Vec<&str> = asked.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["/look-up", "/stale", "/look-up", "/file"]);
    assert!(asked.iter().all(|(_, token)| token.as_deref() == Some("Bearer the-token")));
}
