//! Limits that fit the process: no more connections than files, no more requests than connections.

use rustix::process::{Resource, getrlimit};

use crate::ServerSettings;

/// Connections that are never in a handler, so that there is one to make room for a probe: one in so
/// many.
const KEPT_PART: usize = 8;

/// The settings, with lower limits where the process may not open as many files as they need. A
/// quarter of the files is left to databases, brokers and calls.
pub(crate) fn within_open_files(settings: ServerSettings) -> ServerSettings {
    let files = getrlimit(Resource::Nofile).current;
    let files = files.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX);
    within(settings, files)
}

fn within(mut settings: ServerSettings, files: usize) -> ServerSettings {
    let allowed = (files / 4 * 3).max(KEPT_PART);
    if settings.connection_limit > allowed {
        tracing::warn!(
            connections.max = allowed,
            files.max = files,
            "the limit of open files allows fewer connections than [server] connection_limit"
        );
        settings.connection_limit = allowed;
    }
    let requests = settings.connection_limit - settings.connection_limit.div_ceil(KEPT_PART);
    let services = settings.service_concurrency_limit.min(requests / KEPT_PART);
    let anybody = settings.concurrency_limit.min(requests.saturating_sub(services).max(1));
    if settings.concurrency_limit > anybody {
        tracing::warn!(
            requests.max = anybody,
            "so many connections allow fewer requests in hand than [server] concurrency_limit"
        );
    }
    (settings.concurrency_limit, settings.service_concurrency_limit) = (anybody, services);
    settings
}
