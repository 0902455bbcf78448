//! Whose a request is, for log lines and nothing else: the connection's peer or, where that is a proxy whose word is
//! taken (`server.trusted_proxies`), whom it names in `X-Forwarded-For` or `Forwarded` (RFC 7239).
//!
//! ```text
//!  X-Forwarded-For: anything, CLIENT, proxy        peer: proxy
//!                   └ written by CLIENT   └──────────┘ read from here to the left, as long as addresses are trusted
//! ```

use std::net::{IpAddr, SocketAddr};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};

use crate::network::Network;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Addresses that are looked at in a header. A longer way is not followed to its end.
const STEPS_MAX: usize = 16;

/// Proxies whose word is taken.
#[derive(Debug)]
pub struct TrustedProxies(Vec<Network>);

impl TrustedProxies {
    /// None where no proxy is trusted.
    #[must_use]
    pub fn new(networks: &[Network]) -> Option<Self> {
        (!networks.is_empty()).then(|| Self(networks.to_vec()))
    }

    fn has(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// The last address on the way that no proxy of ours has.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let name = match headers.contains_key(X_FORWARDED_FOR) {
            true => X_FORWARDED_FOR,
            false => FORWARDED,
        };
        let is_list = name == X_FORWARDED_FOR;
        let values = headers.get_all(&name).into_iter().rev();
        let texts = values.filter_map(|value| value.to_str().ok());
        let steps = texts.flat_map(|text| text.rsplit(','));
        let mut client = peer;
        for step in steps.take(STEPS_MAX) {
            if !self.has(client) {
                break;
            }
            let named = if is_list { address(step) } else { for_of(step) };
            match named {
                Some(named) => client = named,
                // This entry is no address, so the entries before it cannot be trusted either.
                None => break,
            }
        }
        client
    }
}

/// An address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let bracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let address = match bracketed {
        Some(inner) => inner.parse().ok()?,
        None => text.parse::<SocketAddr>().ok()?.ip(),
    };
    Some(address.to_canonical())
}

/// The address of `for=` in one element of `Forwarded`.
fn for_of(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let value = value.trim().trim_matches('"');
        name.trim().eq_ignore_ascii_case("for").then(|| address(value))?
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(peer: &str, headers: &[(&HeaderName, &'static str)]) -> String {
        let networks = ["10.0.0.0/8", "fd00::/8"].map(|text| Network::parse(text).unwrap());
        let trusted = TrustedProxies::new(&networks).unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        trusted.client(peer.parse().unwrap(), &map).to_string()
    }

    #[test]
    fn a_client_is_who_the_last_proxy_of_ours_names() {
        let of = |peer, value| client(peer, &[(&X_FORWARDED_FOR, value)]);
        assert_eq!(of("10.0.0.1", "192.0.2.1"), "192.0.2.1");
        assert_eq!(
            of("10.0.0.1", "203.0.113.9, 192.0.2.1, 10.0.0.7"),
            "192.0.2.1",
            "what a client writes is not believed"
        );
        assert_eq!(of("10.0.0.1", "192.0.2.1:51234"), "192.0.2.1");
        assert_eq!(of("fd00::1", "[2001:db8::1]:443"), "2001:db8::1");
        assert_eq!(of("10.0.0.1", "::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(of("192.0.2.7", "203.0.113.9"), "192.0.2.7", "nobody's proxy");
        assert_eq!(of("10.0.0.1", "203.0.113.9, unknown"), "10.0.0.1");
        assert_eq!(of("10.0.0.1", "10.0.0.3, 10.0.0.2"), "10.0.0.3", "all of them are ours");
        let lines = [(&X_FORWARDED_FOR, "203.0.113.9"), (&X_FORWARDED_FOR, "192.0.2.1")];
        assert_eq!(client("10.0.0.1", &lines), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn forwarded_is_read_where_the_other_header_is_not_there() {
        let of = |value| client("10.0.0.1", &[(&FORWARDED, value)]);
        assert_eq!(
            of("for=203.0.113.9, For=\"[2001:db8::1]:80\";proto=https, by=x;for=10.1.1.1"),
            "2001:db8::1"
        );
        assert_eq!(of("for=_hidden"), "10.0.0.1");
        assert_eq!(of("proto=https"), "10.0.0.1");
        let both = [(&FORWARDED, "for=203.0.113.9"), (&X_FORWARDED_FOR, "192.0.2.1")];
        assert_eq!(client("10.0.0.1", &both), "192.0.2.1");
    }

    #[test]
    fn a_long_way_is_not_followed_to_its_end() {
        let way = "10.9.9.9,".repeat(1000) + "10.0.0.2";
        let mut map = HeaderMap::new();
        map.append(X_FORWARDED_FOR, HeaderValue::from_str(&way).unwrap());
        let trusted = TrustedProxies::new(&[Network::parse("10.0.0.0/8").unwrap()]).unwrap();
        assert_eq!(
            trusted.client("10.0.0.1".parse().unwrap(), &map).to_string(),
            "10.9.9.9"
        );
    }
}
