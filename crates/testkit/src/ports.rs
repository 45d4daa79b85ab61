//! Free ports on the loopback address.
//!
//! Asking the kernel for port 0 and closing the socket gives a port that the next outgoing
//! connection of any process may be given, before a server has started on it. Ports below the
//! kernel's ephemeral range (32768 on Linux, 49152 elsewhere) are handed out to nobody, so this
//! looks there, from a place that differs from process to process.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// First port that is tried; above the registered ports that servers commonly use.
const FIRST: u32 = 18_000;
/// How many ports are tried, one after another, before giving up.
const COUNT: u32 = 12_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A port on 127.0.0.1 that nobody listened on a moment ago. No port is given twice by one process
/// until all of them have been given.
///
/// Two processes can in principle be given the same one between this call and the start of the
/// server that uses it; whoever starts a server watches whether it stays up.
pub fn free_port() -> u16 {
    // Neighbouring process ids (tests that run at once) start far apart.
    let start = std::process::id().wrapping_mul(97);
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let offset = start.wrapping_add(step) % COUNT;
        if let Ok(port) = u16::try_from(FIRST + offset)
            && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
        {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}

#[cfg(test)]
mod tests {
    use super::free_port;
    use std::collections::HashSet;
    use std::net::TcpListener;

    #[test]
    fn a_free_port_can_be_listened_on_and_is_given_once() {
        let ports: HashSet<u16> = (0..50).map(|_| free_port()).collect();
        assert_eq!(ports.len(), 50);
        for port in ports {
            assert!(TcpListener::bind(("127.0.0.1", port)).is_ok(), "{port}");
        }
    }
}
