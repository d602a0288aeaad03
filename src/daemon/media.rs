//! Opens what media take: the converter, the place on the disk, the listener for downloads.

use super::{DaemonError, bind};
use crate::config::StoreUrl;
use crate::deliver::Http;
use crate::live::LiveHandle;
use crate::media::{Carrier, Converter, Links, MediaServer};
use crate::metrics::Metrics;
use interline_envelope::RootKey;
use std::path::Path;
use tokio::net::TcpListener;
use tracing::info;

/// What carries media, and the listener that gives out what is linked, if there is one.
pub(super) async fn open(
    live: &LiveHandle,
    http: &Http,
    root: &RootKey,
    metrics: &Metrics,
) -> Result<(Carrier, Option<(TcpListener, MediaServer)>), DaemonError> {
    let now = live.get();
    let config = &now.config;
    let settings = config.media.clone();
    let listen = settings.links.as_ref().map(|links| links.listen);
    let listener = bind(listen, "[media] listen").await?;
    let links =
        settings.links.map(|links| Links::new(links.public_url, settings.link_lifetime, root));
    let server = listener.zip(links.clone()).map(|(listener, links)| {
        let (live, http, metrics) = (live.clone(), http.clone(), metrics.clone());
        (listener, MediaServer { live, http, links, metrics })
    });
    let converter = Converter::find(&settings.ffmpeg);
    match converter.ffmpeg() {
        Some(ffmpeg) => info!(ffmpeg = %ffmpeg.display(), "sounds and films can be converted"),
        None => info!("there is no ffmpeg: sounds and films go as they are, or as links"),
    }
    // Beside the store, which is on a disk: `/tmp` may be memory.
    let StoreUrl::Sqlite(store) = &config.store.url;
    let folder = store.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).to_owned();
    let spool_bytes_max = settings.spool_bytes_max;
    let carrier =
        Carrier::new(http.clone(), folder, spool_bytes_max, converter, links, metrics.clone());
    Ok((carrier, server))
}
