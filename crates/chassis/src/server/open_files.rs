//! Limits that fit the process: no more connections than files, no more requests than connections.

use rustix::process::{Resource, getrlimit};

use crate::{ManagementSettings, ServerSettings};

/// One connection in so many is in no handler, so that there is one to make room for a probe.
const KEPT_PART: usize = 8;
/// The listener for operators has one file in so many.
const MANAGEMENT_PART: usize = 12;

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
/// log says so. And those of the listener for operators, if it is one of its own: its connections take
/// a sixteenth of the files at most: three quarters of a twelfth.
pub(crate) fn within_open_files(
    mut settings: ServerSettings,
    management: &ManagementSettings,
) -> (ServerSettings, Option<ServerSettings>) {
    let files = getrlimit(Resource::Nofile).current;
    let files = files.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX);
    let mut management = management.listener(&settings);
    let kept = management.as_mut().map_or(0, |management| {
        Limits::of(management).within(files / MANAGEMENT_PART).apply(management);
        management.connection_limit
    });
    let asked = Limits::of(&settings);
    let fitting = asked.within(files - kept.min(files));
    if fitting != asked {
        tracing::warn!(
            files.max = files,
            connections.max = fitting.connections,
            requests.max = fitting.requests,
            "the server takes on less than [server] says: open files limit connections, and connections limit requests"
        );
    }
    fitting.apply(&mut settings);
    (settings, management)
}

impl Limits {
    fn of(settings: &ServerSettings) -> Self {
        Self {
            connections: settings.connection_limit,
            requests: settings.concurrency_limit,
            service_requests: settings.service_concurrency_limit,
        }
    }

    fn apply(self, settings: &mut ServerSettings) {
        settings.connection_limit = self.connections;
        settings.concurrency_limit = self.requests;
        settings.service_concurrency_limit = self.service_requests;
    }

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
