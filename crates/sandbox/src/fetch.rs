//! How a platform fetches a linked file: with a time limit, a size limit, and no patience.

use axum::http::header::CONTENT_TYPE;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;

use crate::media::{FILE_BYTES_MAX, File};
use crate::state::Hub;

/// Fetches `link`; the error says why in a few words.
pub(crate) async fn fetch(hub: &Hub, link: &str) -> Result<File, String> {
    let url = url::Url::parse(link).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("the link is neither http nor https".to_owned());
    }
    let filename = url
        .path_segments()
        .and_then(|mut segments| segments.next_back().map(str::to_owned))
        .filter(|name| !name.is_empty());
    let timeout = hub.settings().fetch_timeout;
    let response = hub.web.client().get(url).timeout(timeout).send().await;
    let response = response.map_err(|error| error.without_url().to_string())?;
    if !response.status().is_success() {
        return Err(format!("http code {}", response.status().as_u16()));
    }
    let mime = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let mime = mime.map(str::to_owned);
    let mut bytes = BytesMut::new();
    let mut body = response.bytes_stream();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| error.without_url().to_string())?;
        if bytes.len() + chunk.len() > FILE_BYTES_MAX {
            return Err("the file is too big".to_owned());
        }
        bytes.extend_from_slice(&chunk);
    }
    let mime = mime.unwrap_or_else(|| guess(filename.as_deref()).to_owned());
    Ok(File::new(Bytes::from(bytes), mime, filename))
}

/// A media type for a server that names none.
fn guess(filename: Option<&str>) -> &'static str {
    let ending = filename.and_then(|name| name.rsplit_once('.')).map_or("", |(_, ending)| ending);
    match ending {
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "mp4" => "video/mp4",
        "mp3" => "audio/mpeg",
        "m4a" => "audio/mp4",
        "ogg" => "audio/ogg",
        "pdf" => "application/pdf",
        _ => "application/octet-stream",
    }
}
