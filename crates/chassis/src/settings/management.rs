//! Settings of the listener for operators: `[management]` of a service's own file.

use serde::Deserialize;
use tusk_config::ValidationError;

use super::ServerSettings;
use super::check::is_host;

/// The word for the port of `[server]`.
const SAME: &str = "same";

/// Section `[management]`: where operators are answered. Left out, on the port of `[server]`.
#[derive(Debug, Clone, Deserialize)]
pub struct ManagementSettings {
    /// Address to listen on; `0.0.0.0` for all. Of no meaning on the port of `[server]`.
    pub host: String,
    /// Port to listen on.
    pub port: ManagementPort,
    /// Connections at most, on a port of its own: far fewer than callers have.
    pub connection_limit: usize,
}

/// Where operators are answered: metrics, administration, documents, details of health.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum ManagementPort {
    /// Where everybody is: `same`.
    #[default]
    Same,
    /// On a port of its own, 0 for a free one, and nowhere else.
    Own(u16),
}

/// Whom a listener answers. What gauges tell of limits is about callers: operators' few connections
/// and requests would hide how full it is for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Callers, and operators too where they have no listener of their own.
    Callers,
    /// Operators alone.
    Operators,
}

impl Default for ManagementSettings {
    fn default() -> Self {
        let host = "0.0.0.0".to_owned();
        Self { host, port: ManagementPort::Same, connection_limit: 64 }
    }
}

impl ManagementSettings {
    /// What cannot work beside this server. Opens nothing.
    pub fn check(&self, server: &ServerSettings) -> Vec<ValidationError> {
        let ManagementPort::Own(port) = self.port else { return Vec::new() };
        let at = |key: &str| format!("management.{key}");
        let host =
            "an address to listen on is needed, without a scheme and a port: 0.0.0.0 for all";
        let taken = format!("{port} is the port of [server] already; for that one, write {SAME}");
        let all = [
            ValidationError::unless(is_host(&self.host), at("host"), host),
            ValidationError::unless(port == 0 || port != server.port, at("port"), taken),
            ValidationError::outside(
                at("connection_limit"),
                self.connection_limit,
                8..=server.connection_limit.max(8),
            ),
        ];
        all.into_iter().flatten().collect()
    }

    /// What the listener takes on, where it is one of its own: as the server, with fewer connections.
    pub(crate) fn listener(&self, server: &ServerSettings) -> Option<ServerSettings> {
        let ManagementPort::Own(port) = self.port else { return None };
        let host = self.host.clone();
        Some(ServerSettings {
            host,
            port,
            connection_limit: self.connection_limit,
            ..server.clone()
        })
    }
}

impl TryFrom<String> for ManagementPort {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        if word == SAME {
            return Ok(Self::Same);
        }
        let port = word.parse().map(Self::Own);
        port.map_err(|_| format!("{word:?} is neither a port nor the word `{SAME}`"))
    }
}

#[cfg(test)]
mod tests {
    use tusk_config::{Loader, Vars};

    use super::*;

    #[derive(serde::Deserialize)]
    struct Settings {
        server: ServerSettings,
        management: ManagementSettings,
    }

    fn load(variables: &[(&str, &str)]) -> Result<Settings, String> {
        let text = include_str!("../../../../config/payment-service.tsk");
        let vars = Vars::of(variables.iter().copied());
        let loader = Loader::new("").text("payment-service.tsk", text).vars(vars);
        loader.load().map_err(|faults| faults.to_string())
    }

    fn reported(variables: &[(&str, &str)]) -> Vec<String> {
        let Settings { server, management } = load(variables).unwrap();
        management.check(&server).iter().map(|error| error.path().to_owned()).collect()
    }

    #[test]
    fn the_port_is_that_of_the_server_unless_a_number_is_given() {
        for (value, expected) in [
            ("same", ManagementPort::Same),
            ("0", ManagementPort::Own(0)),
            ("3100", ManagementPort::Own(3100)),
        ] {
            assert_eq!(load(&[("MANAGEMENT_PORT", value)]).unwrap().management.port, expected);
            assert!(reported(&[("MANAGEMENT_PORT", value)]).is_empty(), "{value}");
        }
        assert_eq!(load(&[]).unwrap().management.port, ManagementPort::Same);
        for value in ["65536", "-1", "other", ""] {
            let fault = load(&[("MANAGEMENT_PORT", value)]).err();
            assert!(fault.is_some_and(|fault| fault.contains("same")), "{value}");
        }
    }

    #[test]
    fn what_cannot_work_is_reported_at_its_key() {
        assert_eq!(reported(&[("MANAGEMENT_PORT", "3002")]), ["management.port"]);
        let host = [("MANAGEMENT_PORT", "3100"), ("MANAGEMENT_HOST", "http://0.0.0.0")];
        assert_eq!(reported(&host), ["management.host"]);
        assert!(reported(&[("MANAGEMENT_HOST", "http://0.0.0.0")]).is_empty());
    }
}
