//! Where the broker is: one or more `amqp://` or `amqps://` URLs of the nodes of one cluster.
//!
//! Parsed when the config is read. Neither `Display`, `Debug` nor an error text ever shows a password.

use std::fmt;
use std::str::FromStr;

use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use percent_encoding::percent_decode_str;
use url::Url;

/// The frame size we ask for, and never exceed. A broker that offers 0 ("no limit") would otherwise make the client
/// library allocate buffers for the largest number there is.
const FRAME_BYTES_MAX: u32 = 131_072;
/// Channels on one connection: a consumer per queue, and throw-away ones.
const CHANNELS_MAX: u16 = 2047;

/// One node's URL.
#[derive(Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    tls: bool,
    host: String,
    port: u16,
    vhost: String,
    user: String,
    password: String,
}

/// What is wrong with a broker URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// The list is empty.
    #[error(
        "no broker URL is given; write at least one, such as \"amqp://user:password@host:5672/%2f\""
    )]
    Empty,
    /// It cannot be read as a URL at all.
    #[error(
        "the broker URL cannot be read ({problem}); it looks like \"amqp://user:password@host:5672/%2f\""
    )]
    Unreadable {
        /// What the URL parser says; never part of the URL.
        problem: String,
    },
    /// The scheme is neither `amqp` nor `amqps`.
    #[error("the broker URL has the scheme \"{scheme}\"; use amqp:// or, with TLS, amqps://")]
    Scheme {
        /// The scheme found.
        scheme: String,
    },
    /// No host.
    #[error("the broker URL names no host; it looks like \"amqp://user:password@host:5672/%2f\"")]
    NoHost,
    /// More than one path segment.
    #[error(
        "the broker URL's virtual host has a bare \"/\"; write it as %2f, so the default host is \"/%2f\""
    )]
    VhostSlash,
    /// A percent escape that is not UTF-8.
    #[error(
        "the broker URL's {part} has percent escapes that are not UTF-8; write it as text, and only / @ : ? # % as escapes"
    )]
    Escapes {
        /// `user`, `password` or `virtual host`.
        part: &'static str,
    },
    /// A query or a fragment.
    #[error(
        "the broker URL carries parameters behind \"?\" or \"#\"; settings belong into [broker] in the config"
    )]
    Parameters,
}

impl BrokerUrl {
    /// True for `amqps://`.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Host name or address; without brackets where it is IPv6.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// TCP port; 5672, or 5671 with TLS, unless the URL says otherwise.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The virtual host; `/` where the URL names none.
    #[must_use]
    pub fn vhost(&self) -> &str {
        &self.vhost
    }

    pub(crate) fn to_uri(&self, heartbeat_secs: u16) -> AMQPUri {
        AMQPUri {
            scheme: if self.tls { AMQPScheme::AMQPS } else { AMQPScheme::AMQP },
            authority: AMQPAuthority {
                userinfo: AMQPUserInfo {
                    username: self.user.clone(),
                    password: self.password.clone(),
                },
                host: self.host.clone(),
                port: self.port,
            },
            vhost: self.vhost.clone(),
            query: AMQPQueryString {
                frame_max: Some(FRAME_BYTES_MAX),
                channel_max: Some(CHANNELS_MAX),
                heartbeat: Some(heartbeat_secs),
                ..AMQPQueryString::default()
            },
        }
    }
}

impl FromStr for BrokerUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        // The parser's errors are constant sentences; they never quote the input.
        let url = Url::parse(text.trim())
            .map_err(|error| UrlError::Unreadable { problem: error.to_string() })?;
        let tls = match url.scheme() {
            "amqp" => false,
            "amqps" => true,
            other => return Err(UrlError::Scheme { scheme: other.to_owned() }),
        };
        if url.query().is_some() || url.fragment().is_some() {
            return Err(UrlError::Parameters);
        }
        let host = match url.host() {
            Some(url::Host::Domain(name)) if !name.is_empty() => decoded(name, "host")?,
            Some(url::Host::Ipv4(address)) => address.to_string(),
            Some(url::Host::Ipv6(address)) => address.to_string(),
            Some(url::Host::Domain(_)) | None => return Err(UrlError::NoHost),
        };
        let path = url.path().strip_prefix('/').unwrap_or("");
        if path.contains('/') {
            return Err(UrlError::VhostSlash);
        }
        let vhost = if path.is_empty() { "/".to_owned() } else { decoded(path, "virtual host")? };
        let user = if url.username().is_empty() {
            "guest".to_owned()
        } else {
            decoded(url.username(), "user")?
        };
        let password = url
            .password()
            .map_or(Ok("guest".to_owned()), |password| decoded(password, "password"))?;
        Ok(Self {
            tls,
            host,
            port: url.port().unwrap_or(if tls { 5671 } else { 5672 }),
            vhost,
            user,
            password,
        })
    }
}

fn decoded(text: &str, part: &'static str) -> Result<String, UrlError> {
    percent_decode_str(text)
        .decode_utf8()
        .map(|text| text.into_owned())
        .map_err(|_| UrlError::Escapes { part })
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "amqps" } else { "amqp" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{} (virtual host {})", self.host, self.port, self.vhost)
        } else {
            write!(f, "{scheme}://{}:{} (virtual host {})", self.host, self.port, self.vhost)
        }
    }
}

impl fmt::Debug for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BrokerUrl({self})")
    }
}

/// The URLs of the nodes of one cluster, at least one, in the order in which they are tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerUrls(Vec<BrokerUrl>);

impl BrokerUrls {
    /// # Errors
    /// [`UrlError::Empty`] for an empty list.
    pub fn new(urls: Vec<BrokerUrl>) -> Result<Self, UrlError> {
        if urls.is_empty() { Err(UrlError::Empty) } else { Ok(Self(urls)) }
    }

    /// Parses every text of the list. A config that wants to name each bad entry parses them one by one as
    /// [`BrokerUrl`] and calls [`BrokerUrls::new`].
    ///
    /// # Errors
    /// The first [`UrlError`] met.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, UrlError> {
        Self::new(texts.iter().map(|text| text.as_ref().parse()).collect::<Result<_, _>>()?)
    }

    /// In the order in which they are tried.
    pub fn iter(&self) -> impl Iterator<Item = &BrokerUrl> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> BrokerUrl {
        text.parse().expect("a good URL")
    }

    #[test]
    fn a_url_without_details_means_the_default_port_host_and_guest() {
        let url = parsed("amqp://broker.example");
        assert_eq!(
            (url.host(), url.port(), url.vhost(), url.is_tls()),
            ("broker.example", 5672, "/", false)
        );
        assert_eq!((url.user.as_str(), url.password.as_str()), ("guest", "guest"));
        assert_eq!(parsed("amqps://broker.example").port(), 5671);
    }

    #[test]
    fn escapes_in_user_password_and_virtual_host_are_undone() {
        let url = parsed("amqps://us%40er:p%2Fa%3Ass@h:1/team%2fa");
        assert_eq!(
            (url.user.as_str(), url.password.as_str(), url.vhost()),
            ("us@er", "p/a:ss", "team/a")
        );
        assert_eq!(parsed("amqp://h/%2f").vhost(), "/");
        assert_eq!(parsed("amqp://h/").vhost(), "/");
    }

    #[test]
    fn an_ipv6_address_is_kept_and_not_replaced_by_localhost() {
        let url = parsed("amqp://[2001:db8::1]:5673");
        assert_eq!((url.host(), url.port()), ("2001:db8::1", 5673));
        assert_eq!(url.to_uri(10).authority.host, "2001:db8::1");
        assert_eq!(url.to_string(), "amqp://[2001:db8::1]:5673 (virtual host /)");
    }

    #[test]
    fn bad_urls_are_refused_with_a_mend_and_never_show_the_password() {
        let cases = [
            ("http://u:s3cret@h", "scheme"),
            ("amqp://u:s3cret@h:99999", "cannot be read"),
            ("amqp://u:s3cret@h/a/b", "%2f"),
            ("amqp://u:s3cret@h/%2f?heartbeat=1", "[broker]"),
            ("amqp://u:s3cret%ff@h", "not UTF-8"),
            ("s3cret", "cannot be read"),
            ("amqp:s3cret", "no host"),
        ];
        for (text, expected) in cases {
            let error = text.parse::<BrokerUrl>().expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("s3cret") || text == "s3cret", "{error}");
        }
        assert_eq!(BrokerUrls::parse::<&str>(&[]), Err(UrlError::Empty));
    }

    #[test]
    fn neither_display_nor_debug_shows_the_password() {
        let url = parsed("amqp://us3r:s3cret@h/v");
        assert!(
            !format!("{url} {url:?} {:?}", BrokerUrls::new(vec![url.clone()])).contains("s3cret")
        );
    }
}
