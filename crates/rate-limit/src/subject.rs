//! Whom a key in Redis is about. A key holds a keyed hash: addresses are few enough to try all of
//! them, and e-mail addresses can be guessed, so that a plain hash would hide neither.

use std::net::{IpAddr, Ipv6Addr};

use chassis::ClientAddress;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Bytes of a hash that stand in a key: two subjects in one cell are not to be expected.
const HASH_BYTES: usize = 16;

/// Hashes subjects.
#[derive(Clone)]
pub(crate) struct Hasher(Hmac<Sha256>);

impl Hasher {
    pub(crate) fn new(secret: &str) -> Self {
        // A key for this use alone.
        let key = Sha256::new().chain_update("rate limits\0").chain_update(secret).finalize();
        Self(Hmac::new_from_slice(&key).expect("HMAC takes keys of any length"))
    }

    /// An account by any name.
    pub(crate) fn account(&self, name: &str) -> String {
        self.hash("account", name.as_bytes())
    }

    /// A signed-in user.
    pub(crate) fn user(&self, id: &[u8]) -> String {
        self.hash("user", id)
    }

    /// A client's address; of IPv6 the network of 56 bits: providers give subscribers
    /// whole networks of that size, in which an address is one of many at will.
    pub(crate) fn address(&self, ClientAddress(address): ClientAddress) -> String {
        match address.to_canonical() {
            IpAddr::V4(address) => self.hash("ipv4", &address.octets()),
            IpAddr::V6(address) => self.hash("ipv6", &network(address).octets()),
        }
    }

    fn hash(&self, kind: &str, subject: &[u8]) -> String {
        let mac = self.0.clone().chain_update(kind).chain_update([0]).chain_update(subject);
        let bytes = mac.finalize().into_bytes();
        let hash = bytes.iter().take(HASH_BYTES);
        let hash = hash.fold(0_u128, |hash, byte| hash << 8 | u128::from(*byte));
        format!("{hash:032x}")
    }
}

fn network(address: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 72))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> String {
        Hasher::new("secret").address(ClientAddress(text.parse().unwrap()))
    }

    #[test]
    fn ipv6_clients_of_one_network_of_56_bits_are_one_and_a_mapped_address_is_the_ipv4_one() {
        assert_eq!(address("2001:db8:1:200::1"), address("2001:db8:1:2ff:ffff::9"));
        assert_ne!(address("2001:db8:1:200::1"), address("2001:db8:1:300::1"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
    }

    #[test]
    fn another_secret_gives_other_hashes_and_none_holds_the_subject() {
        let one = Hasher::new("one");
        let other = Hasher::new("other");
        assert_ne!(one.account("ada@example.com"), other.account("ada@example.com"));
        assert_eq!(one.account("ada@example.com").len(), 2 * HASH_BYTES);
        assert_ne!(one.account("a"), one.user(b"a"));
    }
}
