//! Ports of 127.0.0.1 that nobody listens on.

use std::net::{Ipv4Addr, TcpListener};

use super::{NativeError, Place};
use crate::ports::free_port;

/// How often a server is started anew because somebody took its port meanwhile.
const ATTEMPTS_MAX: usize = 3;

/// Whether a server could listen on this port now.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// `wanted` when nobody listens there, else a port that is free now. It is not reserved.
pub fn free(wanted: Option<u16>) -> u16 {
    wanted.filter(|port| is_free(*port)).unwrap_or_else(free_port)
}

/// Starts a server, and again on other ports when it lost the race for one.
pub(crate) fn retry_when_busy<S>(
    place: &Place,
    start: impl Fn(&Place) -> Result<S, NativeError>,
) -> Result<S, NativeError> {
    let mut place = place.clone();
    for _ in 1..ATTEMPTS_MAX {
        match start(&place) {
            Err(error) if error.is_busy_port() => place.port = None,
            outcome => return outcome,
        }
    }
    start(&place)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_port_is_passed_over() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let busy = listener.local_addr().unwrap().port();
        assert!(!is_free(busy));
        assert_ne!(free(Some(busy)), busy);
    }
}
