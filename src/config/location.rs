//! Whether a host is this machine: what goes there needs no TLS.

use std::net::IpAddr;

/// True for `localhost`, `127.0.0.0/8` and `::1` (in brackets as a URL has it, or bare).
pub(super) fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    bare.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn only_this_machine_is_loopback() {
        for near in ["localhost", "127.0.0.1", "127.1.2.3", "[::1]", "::1"] {
            assert!(is_loopback(near), "{near}");
        }
        for far in ["rabbit.example", "10.0.0.1", "localhost.example", "[::2]", "0.0.0.0", ""] {
            assert!(!is_loopback(far), "{far}");
        }
    }
}
