//! Reads a request of the Graph API into its parameters.
//!
//! The real API takes JSON, URL-encoded forms, multipart forms (where objects are JSON strings) and query parameters,
//! with or without a version in the path, and the token as bearer or as `access_token`. So does this. Bounded in bytes
//! and depth; a body that cannot be read is an error of the API, never a failure of the server.

use axum::body::to_bytes;
use axum::extract::{FromRequest as _, Multipart, Request};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::{Map, Value, json};

use crate::graph_error::GraphError;
use crate::media::{FILE_BYTES_MAX, File};

/// The largest JSON or form body.
const BODY_BYTES_MAX: usize = 3 << 20;

/// The largest multipart body: a file and its fields.
pub(crate) const UPLOAD_BYTES_MAX: usize = FILE_BYTES_MAX + (1 << 20);

/// Fields of one form.
const FIELDS_MAX: usize = 100;

/// A request of the API.
pub(crate) struct Call {
    pub(crate) route: Route,
    pub(crate) token: Option<String>,
    pub(crate) params: Map<String, Value>,
    pub(crate) upload: Option<File>,
}

/// What is done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
    Delete,
}

impl Method {
    fn named(name: &str) -> Option<Self> {
        match name {
            "GET" => Some(Self::Get),
            "POST" => Some(Self::Post),
            "DELETE" => Some(Self::Delete),
            _ => None,
        }
    }

    /// As errors write it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Delete => "delete",
        }
    }
}

/// Which endpoint a path names. `me` stands for the token's account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// `POST /{id}/messages`.
    Messages(String),
    /// `POST /{phone-number-id}/media`.
    UploadMedia(String),
    /// `POST /{page-id}/message_attachments`.
    UploadAttachment(String),
    /// `GET /{id}`: media, a profile, the account, its business or its app.
    Get(String),
    /// `POST /{phone-number-id}`: settings of a number.
    Update(String),
    /// `DELETE /{media-id}`.
    Delete(String),
    /// `/{id}/subscribed_apps`.
    SubscribedApps(Method, String),
    /// `/{app-id}/subscriptions`.
    Subscriptions(Method, String),
    /// `/{id}/messenger_profile`, `/{id}/whatsapp_business_profile`.
    Profile(Method, String, String),
    /// `GET /{whatsapp-business-account}/phone_numbers`.
    Numbers(String),
    /// `POST /{phone-number-id}/register` and `/deregister`.
    Register(String),
    /// `GET /oauth/access_token`.
    AppToken,
    /// `POST /`: several requests in one.
    Batch,
    /// WhatsApp's media host: `GET /whatsapp_business/attachments/?mid=…`.
    LookAside,
    /// Messenger's and Instagram's media hosts, without a token.
    Cdn(Option<String>),
    /// Something of an object that it does not have.
    NoEdge(Option<Method>, String, String),
    /// No path of the API.
    Unknown,
}

impl Route {
    /// `path`: with or without a version, and without a query.
    pub(crate) fn of(method: &str, path: &str) -> Self {
        let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        if parts.first().is_some_and(|part| is_version(part)) {
            parts.remove(0);
        }
        let verb = Method::named(method);
        let id = |part: &&str| (*part).to_owned();
        match (verb, parts.as_slice()) {
            (Some(Method::Post), []) => Self::Batch,
            (Some(Method::Post), [account, "messages"]) => Self::Messages(id(account)),
            (Some(Method::Post), [account, "media"]) => Self::UploadMedia(id(account)),
            (Some(Method::Post), [account, "message_attachments"]) => {
                Self::UploadAttachment(id(account))
            }
            (Some(Method::Post), [number, "register" | "deregister"]) => Self::Register(id(number)),
            (Some(Method::Get), [business, "phone_numbers"]) => Self::Numbers(id(business)),
            (Some(Method::Get), ["oauth", "access_token"]) => Self::AppToken,
            (Some(Method::Get), ["whatsapp_business", "attachments"]) => Self::LookAside,
            (Some(Method::Get), ["ig_messaging_cdn"]) => Self::Cdn(None),
            (Some(Method::Get), ["v", _, file, _]) => Self::Cdn(Some(id(file))),
            (Some(verb), [object, "subscribed_apps"]) => Self::SubscribedApps(verb, id(object)),
            (Some(verb), [app, "subscriptions"]) => Self::Subscriptions(verb, id(app)),
            (Some(verb), [account, edge @ ("messenger_profile" | "whatsapp_business_profile")]) => {
                Self::Profile(verb, id(account), id(edge))
            }
            (Some(Method::Get), [object]) => Self::Get(id(object)),
            (Some(Method::Post), [object]) => Self::Update(id(object)),
            (Some(Method::Delete), [object]) => Self::Delete(id(object)),
            (verb, [object, edge]) => Self::NoEdge(verb, id(object), id(edge)),
            _ => Self::Unknown,
        }
    }

    /// The account or object that the path names.
    pub(crate) fn id(&self) -> Option<&str> {
        match self {
            Self::Messages(id)
            | Self::UploadMedia(id)
            | Self::UploadAttachment(id)
            | Self::Get(id)
            | Self::Update(id)
            | Self::Delete(id)
            | Self::SubscribedApps(_, id)
            | Self::Subscriptions(_, id)
            | Self::Profile(_, id, _)
            | Self::Numbers(id)
            | Self::Register(id)
            | Self::NoEdge(_, id, _) => Some(id),
            Self::AppToken | Self::Batch | Self::LookAside | Self::Cdn(_) | Self::Unknown => None,
        }
    }
}

fn is_version(part: &str) -> bool {
    part.strip_prefix('v').is_some_and(|number| {
        !number.is_empty()
            && number.chars().all(|character| character.is_ascii_digit() || character == '.')
    })
}

impl Call {
    pub(crate) async fn read(request: Request) -> Result<Self, GraphError> {
        let route = Route::of(request.method().as_str(), request.uri().path());
        let mut params = Map::new();
        read_form(request.uri().query().unwrap_or("").as_bytes(), &mut params);
        let bearer = bearer(request.headers());
        let content_type = content_type(request.headers());
        let mut upload = None;
        if content_type.starts_with("multipart/form-data") {
            upload = read_multipart(request, &mut params).await?;
        } else {
            let body =
                to_bytes(request.into_body(), BODY_BYTES_MAX).await.map_err(GraphError::body)?;
            read_body(&content_type, &body, &mut params)?;
        }
        let parameter = params.remove("access_token");
        let token =
            bearer.or_else(|| parameter.as_ref().and_then(Value::as_str).map(str::to_owned));
        Ok(Self { route, token, params, upload })
    }

    /// A parameter that is a string or a number, as text with its exact digits.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        self.params.get(key).and_then(digits_or_text)
    }
}

/// A string, or a number's digits.
pub(crate) fn digits_or_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("oauth"))
        .then(|| token.trim().to_owned())
}

fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or("").to_ascii_lowercase()
}

/// In forms and queries objects are JSON strings; what does not parse stays text.
fn form_value(text: &str) -> Value {
    if text.starts_with(['{', '[']) {
        serde_json::from_str(text).unwrap_or_else(|_| json!(text))
    } else {
        json!(text)
    }
}

/// URL-encoded fields, of a query or a form.
pub(crate) fn read_form(text: &[u8], params: &mut Map<String, Value>) {
    for (key, value) in url::form_urlencoded::parse(text).take(FIELDS_MAX) {
        params.insert(key.into_owned(), form_value(&value));
    }
}

fn read_body(
    content_type: &str,
    body: &[u8],
    params: &mut Map<String, Value>,
) -> Result<(), GraphError> {
    if body.is_empty() {
        return Ok(());
    }
    if content_type.starts_with("application/x-www-form-urlencoded") {
        read_form(body, params);
        return Ok(());
    }
    // The depth is bounded by the parser itself.
    let fields: Map<String, Value> = serde_json::from_slice(body).map_err(GraphError::body)?;
    params.extend(fields);
    Ok(())
}

async fn read_multipart(
    request: Request,
    params: &mut Map<String, Value>,
) -> Result<Option<File>, GraphError> {
    let mut form = Multipart::from_request(request, &()).await.map_err(GraphError::body)?;
    let mut upload = None;
    let mut fields = 0;
    while let Some(field) = form.next_field().await.map_err(GraphError::body)? {
        fields += 1;
        if fields > FIELDS_MAX {
            return Err(GraphError::body("too many fields"));
        }
        let name = field.name().unwrap_or("").to_owned();
        let filename = field.file_name().map(str::to_owned);
        let mime = field.content_type().map(str::to_owned);
        let is_file = filename.is_some() || matches!(name.as_str(), "file" | "filedata");
        let bytes = field.bytes().await.map_err(GraphError::body)?;
        if is_file {
            let mime = mime.unwrap_or_else(|| "application/octet-stream".to_owned());
            upload = Some(File::new(bytes, mime, filename));
        } else {
            let text = String::from_utf8(bytes.into()).map_err(GraphError::body)?;
            params.insert(name, form_value(&text));
        }
    }
    Ok(upload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_with_and_without_a_version() {
        let of = Route::of;
        assert_eq!(of("POST", "/v24.0/1065/messages"), Route::Messages("1065".into()));
        assert_eq!(of("POST", "/1065/messages"), Route::Messages("1065".into()));
        assert_eq!(of("POST", "/me/messages"), Route::Messages("me".into()));
        assert_eq!(of("POST", "/v25/1065/media/"), Route::UploadMedia("1065".into()));
        assert_eq!(of("GET", "/v24.0/77"), Route::Get("77".into()));
        assert_eq!(of("GET", "/whatsapp_business/attachments/"), Route::LookAside);
        assert_eq!(of("GET", "/v/t59.3654-21/12/name.pdf"), Route::Cdn(Some("12".into())));
        let no_edge = Route::NoEdge(Some(Method::Get), "1065".into(), "messages".into());
        assert_eq!(of("GET", "/v24.0/1065/messages"), no_edge);
        let profile = Route::Profile(Method::Post, "me".into(), "messenger_profile".into());
        assert_eq!(of("POST", "/me/messenger_profile"), profile);
        assert_eq!(of("POST", "/v24.0/"), Route::Batch);
        assert_eq!(of("GET", "/a/b/c"), Route::Unknown);
        assert_eq!(of("PUT", "/a"), Route::Unknown);
    }
}
