//! The client's address: the peer's own, or, behind a proxy that is trusted, the one it names.
//!
//! Anybody can write `X-Forwarded-For`, so it is read from its end (each proxy appends the address
//! it was called from) and only as far as proxies that are trusted: the first address that is none
//! of them is the client.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request};
use http::HeaderMap;

use crate::settings::TrustedProxies;

const HEADER: &str = "x-forwarded-for";
/// Proxies in a row that are followed at most.
const HOPS_MAX: usize = 16;

/// The client's address; an extension of every request. It balances calls, it proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// Puts the client's address into a request's extensions.
pub(super) fn resolve(trusted: &TrustedProxies, request: &mut Request) {
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        let address = client(peer.ip(), request.headers(), trusted);
        request.extensions_mut().insert(ClientAddress(address));
    }
}

fn client(peer: IpAddr, headers: &HeaderMap, trusted: &TrustedProxies) -> IpAddr {
    let lines = headers.get_all(HEADER).into_iter().rev();
    let named = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    let mut client = peer;
    for name in named.take(HOPS_MAX) {
        let name = std::str::from_utf8(name).unwrap_or_default();
        let Some(named) = trusted.contains(client).then(|| address(name)).flatten() else { break };
        client = named;
    }
    client
}

/// An address as proxies write it: bare, with a port, an IPv6 one in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare.parse().ok().or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&str]) -> String {
        let trusted = ["10.0.0.0/8", "::1"].map(str::to_owned).to_vec();
        let trusted = TrustedProxies::try_from(trusted).unwrap();
        let lines = forwarded.iter().map(|line| (HEADER.parse().unwrap(), line.parse().unwrap()));
        client(peer.parse().unwrap(), &lines.collect(), &trusted).to_string()
    }

    #[test]
    fn a_peer_that_is_not_trusted_is_the_client_whatever_it_says() {
        assert_eq!(seen("192.0.2.7", &["198.51.100.1"]), "192.0.2.7");
        assert_eq!(seen("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn trusted_proxies_are_followed_to_the_first_address_that_is_none() {
        assert_eq!(seen("10.0.0.1", &["203.0.113.9, 198.51.100.1, 10.0.0.2"]), "198.51.100.1");
        assert_eq!(seen("::1", &["198.51.100.1", "10.0.0.3, 10.0.0.2"]), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(seen("10.0.0.1", &["10.0.0.3"]), "10.0.0.3");
    }

    #[test]
    fn a_line_with_bytes_of_no_text_hides_no_address_behind_it_and_brings_none_before_it() {
        let lines = [&b"198.51.100.77"[..], b"\xff, 198.51.100.1"];
        let trusted = TrustedProxies::try_from(vec!["10.0.0.0/8".to_owned()]).unwrap();
        let headers = lines
            .iter()
            .map(|line| (HEADER.parse().unwrap(), http::HeaderValue::from_bytes(line).unwrap()));
        let client = client("10.0.0.1".parse().unwrap(), &headers.collect(), &trusted);
        assert_eq!(client.to_string(), "198.51.100.1");
    }

    #[test]
    fn what_is_no_address_ends_the_chain() {
        assert_eq!(seen("10.0.0.1", &["198.51.100.1, unknown"]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &["unknown, 10.0.0.2"]), "10.0.0.2");
        let long = vec!["10.0.0.2"; HOPS_MAX + 9].join(",");
        assert_eq!(seen("10.0.0.1", &[&format!("198.51.100.1,{long}")]), "10.0.0.2");
    }
}
