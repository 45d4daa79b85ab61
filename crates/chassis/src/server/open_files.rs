//! Limits that fit the process: no more connections than files, no more requests than connections.

use rustix::process::{Resource, getrlimit};

use crate::ServerSettings;

/// One connection in so many is in no handler, so that there is one to make room for a probe.
const KEPT_PART: usize = 8;

/// Limits that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limits {
    connections: usize,
    /// Requests in flight, of anybody.
    requests: usize,
    /// Further ones, of services.
    service_requests: usize,
}

/// The settings, with lower limits where the process may not open as many files as they need; the
/// log says so.
pub(crate) fn within_open_files(mut settings: ServerSettings) -> ServerSettings {
    let files = getrlimit(Resource::Nofile).current;
    let files = files.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX);
    let asked = Limits {
        connections: settings.connection_limit,
        requests: settings.concurrency_limit,
        service_requests: settings.service_concurrency_limit,
    };
    let fitting = asked.within(files);
    if fitting != asked {
        tracing::warn!(
            files.max = files,
            connections.max = fitting.connections,
            requests.max = fitting.requests,
            "the server takes on less than [server] says: open files limit connections, and connections limit requests"
        );
    }
    settings.connection_limit = fitting.connections;
    settings.concurrency_limit = fitting.requests;
    settings.service_concurrency_limit = fitting.service_requests;
    settings
}

impl Limits {
    /// A quarter of the files is left to databases, brokers and calls.
    fn within(self, files: usize) -> Self {
        let connections = self.connections.min(files / 4 * 3).max(2);
        let in_hand = connections - connections.div_ceil(KEPT_PART);
        let service_requests = self.service_requests.min(in_hand / KEPT_PART);
        let requests = self.requests.min(in_hand - service_requests);
        Self { connections, requests, service_requests }
    }
}

#[cfg(test)]
mod tests {
    use super::Limits;

    const SHIPPED: Limits = Limits { connections: 1024, requests: 512, service_requests: 64 };

    #[test]
    fn limits_that_fit_are_left_as_they_are() {
        assert_eq!(SHIPPED.within(usize::MAX), SHIPPED);
    }

    #[test]
    fn few_files_allow_fewer_connections_and_these_fewer_requests() {
        assert_eq!(SHIPPED.within(1024), Limits { connections: 768, ..SHIPPED });
        let fitting = Limits { connections: 96, requests: 74, service_requests: 10 };
        assert_eq!(SHIPPED.within(128), fitting);
    }

    #[test]
    fn there_is_always_a_connection_that_is_in_no_handler() {
        for files in 0..2048 {
            let Limits { connections, requests, service_requests } = SHIPPED.within(files);
            assert!(requests + service_requests < connections, "{files} files");
            assert!(requests > 0, "{files} files");
        }
    }
}
