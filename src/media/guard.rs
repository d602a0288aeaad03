//! Where a medium may be fetched from. A URL in an event is a stranger's: it must not lead into the operator's network.
//!
//! The rule: a URL of the account's own `api_url` (same scheme, host and port) is fetched as the API itself is,
//! whatever its address; so a sandbox on loopback works. Every other must be `https`, without a user name, and all that
//! is connected to is a public address: names are resolved here, what is not public among their addresses is dropped,
//! and the connection goes to the addresses that were looked at. Every redirect is judged anew, and no redirect takes a
//! token to another host.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use url::{Host, Url};

/// Why a URL is not fetched. It names neither the URL nor its host: both may tell of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Forbidden {
    /// No `https`.
    #[error("a medium's URL is not https; only one below the account's own `api_url` may be")]
    NotHttps,
    /// A user name or a password stands in it.
    #[error("a medium's URL has a user name in it")]
    Credentials,
    /// Its host has no public address.
    #[error("a medium's URL leads to an address that is not public")]
    NotPublic,
    /// It cannot be read.
    #[error("a medium's URL cannot be read")]
    Unreadable,
}

/// How a URL is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Road {
    /// As the account's own API.
    Api,
    /// Only from public addresses.
    Public,
}

/// The road that a URL may take.
///
/// # Errors
/// [`Forbidden`] if it may not be fetched.
pub(super) fn road(url: &Url, api: Option<&Url>) -> Result<Road, Forbidden> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Forbidden::Credentials);
    }
    if api.is_some_and(|api| api.origin().is_tuple() && api.origin() == url.origin()) {
        return Ok(Road::Api);
    }
    if url.scheme() != "https" {
        return Err(Forbidden::NotHttps);
    }
    // A literal address is never resolved, so it is judged here.
    let is_public = match url.host() {
        Some(Host::Ipv4(ip)) => is_public(ip.into()),
        Some(Host::Ipv6(ip)) => is_public(ip.into()),
        Some(Host::Domain(_)) => true,
        None => false,
    };
    if is_public { Ok(Road::Public) } else { Err(Forbidden::NotPublic) }
}

/// True for an address that anybody on the internet may be reached under.
///
/// Source: the IANA special-purpose address registries (RFC 6890 and its updates).
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

const fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_documentation()
        || a == 0
        // Carrier-grade NAT.
        || (a == 100 && b & 0xc0 == 64)
        // Protocol assignments; 6to4 relays; benchmarks.
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && b & 0xfe == 18)
        // Reserved, and broadcast.
        || a >= 240)
}

const fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    // NAT64 (RFC 6052): what matters is the address that it stands for.
    if a == 0x64 && b == 0xff9b && c == 0 && d == 0 && e == 0 && f == 0 {
        let ([g0, g1], [h0, h1]) = (g.to_be_bytes(), h.to_be_bytes());
        return is_public_v4(Ipv4Addr::new(g0, g1, h0, h1));
    }
    // Only global unicast: so neither loopback, link-local, unique local, multicast nor v4-mapped addresses.
    a & 0xe000 == 0x2000
        // Protocol assignments with Teredo; documentation; 6to4, which hides an IPv4 address.
        && !(a == 0x2001 && b < 0x200)
        && !(a == 0x2001 && b == 0xdb8)
        && !(a == 0x3fff && b < 0x1000)
        && a != 0x2002
}

/// Resolves names to their public addresses only.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PublicResolver;

impl Resolve for PublicResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(Forbidden::NotPublic.into());
            }
            let addresses: Addrs = Box::new(public.into_iter());
            Ok(addresses)
        })
    }
}

/// The refusal that stands behind an error of the HTTP client, if that is what it is.
pub(super) fn refusal_behind(error: &(dyn std::error::Error + 'static)) -> Option<Forbidden> {
    let mut error = Some(error);
    while let Some(one) = error {
        if let Some(forbidden) = one.downcast_ref::<Forbidden>() {
            return Some(*forbidden);
        }
        error = one.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn an_address_that_is_not_everybodys_is_not_public() {
        for private in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:8.8.8.8",
            "::ffff:127.0.0.1",
            "::8.8.8.8",
            "64:ff9b::7f00:1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "3fff::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "31.13.64.1",
            "100.63.0.1",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.1",
            "2606:4700::1111",
            "2a03:2880::1",
            "64:ff9b::808:808",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn only_https_to_public_addresses_and_the_api_itself_are_fetched() {
        let api = url("http://127.0.0.1:4000/v24.0");
        let judge = |text: &str| road(&url(text), Some(&api));
        assert_eq!(judge("http://127.0.0.1:4000/cdn/7?oh=x"), Ok(Road::Api));
        assert_eq!(judge("https://cdn.example.org/7"), Ok(Road::Public));
        assert_eq!(judge("https://8.8.8.8/7"), Ok(Road::Public));
        assert_eq!(judge("https://[2a03:2880::1]/7"), Ok(Road::Public));
        for (text, why) in [
            ("http://127.0.0.1:4001/", Forbidden::NotHttps),
            ("https://127.0.0.1:4000/", Forbidden::NotPublic),
            ("http://cdn.example.org/7", Forbidden::NotHttps),
            ("file:///etc/passwd", Forbidden::NotHttps),
            ("gopher://cdn.example.org/", Forbidden::NotHttps),
            ("data:text/plain,hello", Forbidden::NotHttps),
            ("https://169.254.169.254/latest/meta-data", Forbidden::NotPublic),
            ("https://[::1]/", Forbidden::NotPublic),
            ("https://[::ffff:10.0.0.1]/", Forbidden::NotPublic),
            // The URL standard reads these as 127.0.0.1.
            ("https://2130706433/", Forbidden::NotPublic),
            ("https://0x7f.1/", Forbidden::NotPublic),
            ("https://0177.0.0.1/", Forbidden::NotPublic),
            ("https://user@cdn.example.org/", Forbidden::Credentials),
            ("http://a:b@127.0.0.1:4000/", Forbidden::Credentials),
        ] {
            assert_eq!(judge(text), Err(why), "{text}");
        }
        // Without an account there is no exception.
        assert_eq!(road(&url("http://127.0.0.1:4000/x"), None), Err(Forbidden::NotHttps));
    }

    #[tokio::test]
    async fn a_name_of_this_machine_is_resolved_to_nothing() {
        let resolved = PublicResolver.resolve("localhost".parse().unwrap()).await;
        let error = resolved.err().unwrap();
        assert_eq!(refusal_behind(error.as_ref()), Some(Forbidden::NotPublic));
    }
}
