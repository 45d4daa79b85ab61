//! What does not fit of a connection to a server: no TLS where there has to be, and files of
//! certificates that hold none.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use super::ValidationError;

/// Whether a host is this machine itself, so that nobody in between reads or changes what is sent to
/// it: `localhost`, or an address of the loopback interface, in brackets or not.
pub fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

impl ValidationError {
    /// A server at `host` that the setting at `path` has spoken to without TLS, unless the host is this
    /// machine. `remedy` says what to write instead.
    pub fn plaintext(path: impl Into<String>, host: &str, remedy: &str) -> Option<Self> {
        let text = format!(
            "what goes to this server could be read and changed on the way, passwords included: {remedy}"
        );
        Self::unless(is_loopback(host), path, text)
    }

    /// A file of certificates (PEM) of the authorities to trust, empty for none: it cannot be read,
    /// holds none, or is there without TLS.
    pub fn authorities(path: impl Into<String>, file: &Path, uses_tls: bool) -> Option<Self> {
        if file.as_os_str().is_empty() {
            return None;
        }
        let text = match fs::read_to_string(file) {
            _ if !uses_tls => "it is for TLS, which is not used".to_owned(),
            Err(error) => format!("{} cannot be read: {error}", file.display()),
            Ok(pem) if !pem.contains("-----BEGIN CERTIFICATE-----") => {
                format!("{} holds no certificate in PEM", file.display())
            }
            Ok(_) => return None,
        };
        Some(Self::at(path, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_name_and_by_address() {
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.8.9.1", "::1", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", "localhost.example.com", "10.0.0.1", "0.0.0.0", "::", "127.0.0.1.example"]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
