//! Which events are logged, as the settings say or as an operator says while the process runs.

use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::{Directive, FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::layer::Filter;
use tracing_subscriber::{EnvFilter, reload};

/// Targets whose events hold message bodies, which must not reach a log whatever the filter says:
/// lapin prints a returned message whole. With all targets below them.
const NEVER_LOGGED: [&str; 1] = ["lapin"];
/// The target of the audit trail, which no filter leaves out: what administrators do is logged, also
/// that they log less.
const ALWAYS_LOGGED: &str = "audit";
/// Longest filter, in bytes.
const FILTER_BYTES_MAX: usize = 1024;

/// Why a text is no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// A word that is no level. The library would take it for a module, and log nothing else.
    #[error("`{0}` is neither a level (error, warn, info, debug, trace, off) nor module=level")]
    Directive(String),
    /// More than 1024 bytes.
    #[error("a filter has {FILTER_BYTES_MAX} bytes at most")]
    TooLong,
}

type Replace = Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>;

/// What the process logs. Another filter can be set while it runs.
pub struct LogFilter {
    configured: String,
    current: Mutex<String>,
    replace: Replace,
}

static INSTALLED: OnceLock<LogFilter> = OnceLock::new();

/// The filter of this process's logs; none before [`init`](crate::init).
pub fn log_filter() -> Option<&'static LogFilter> {
    INSTALLED.get()
}

impl LogFilter {
    /// What the settings say.
    pub fn configured(&self) -> &str {
        &self.configured
    }

    /// What is in force.
    pub fn current(&self) -> String {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Logs what `directives` say from now on, less what is never logged.
    ///
    /// # Errors
    /// The text is no filter; the one in force stays.
    pub fn set(&self, directives: &str) -> Result<(), FilterError> {
        let filter = parse(directives)?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        // It fails only when the subscriber is gone, and then there are no logs.
        if (self.replace)(filter).is_ok() {
            directives.clone_into(&mut current);
        }
        Ok(())
    }
}

impl fmt::Debug for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogFilter").field("current", &self.current()).finish_non_exhaustive()
    }
}

/// The filter of the settings, less what is never logged, and the audit trail; from now on it is [`log_filter`].
pub(super) fn install<S: Subscriber>(
    directives: &str,
) -> Result<impl Filter<S> + use<S>, FilterError> {
    let (filter, handle) = reload::Layer::new(parse(directives)?);
    INSTALLED.get_or_init(|| LogFilter {
        configured: directives.to_owned(),
        current: Mutex::new(directives.to_owned()),
        replace: Box::new(move |filter| handle.reload(filter)),
    });
    // A filter of its own: in one with the directives, the more specific one would win.
    let filter = filter_fn(may_be_logged).with_max_level_hint(LevelFilter::TRACE).and(filter);
    let is_audit = |metadata: &Metadata<'_>| {
        metadata.is_event()
            && metadata.target() == ALWAYS_LOGGED
            && *metadata.level() <= LevelFilter::INFO
    };
    Ok(filter.or(filter_fn(is_audit).with_max_level_hint(LevelFilter::INFO)))
}

pub(crate) fn parse(directives: &str) -> Result<EnvFilter, FilterError> {
    if directives.len() > FILTER_BYTES_MAX {
        return Err(FilterError::TooLong);
    }
    let refused = |directive: &str| FilterError::Directive(directive.to_owned());
    for directive in directives.split(',') {
        let is_level = !directive.is_empty() && directive.parse::<LevelFilter>().is_ok();
        let is_of_a_module = directive.find('=').is_some_and(|position| position > 0);
        // `[span]=level` would have every span made for the filter alone.
        let is_of_a_module = is_of_a_module && !directive.contains('[');
        if !(is_level || is_of_a_module) || directive.parse::<Directive>().is_err() {
            return Err(refused(directive));
        }
    }
    EnvFilter::builder().parse(directives).map_err(|_| refused(directives))
}

/// Spans are not logged, and must not be made for a log.
fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    metadata.is_event()
        && !NEVER_LOGGED.iter().any(|never| {
            target.strip_prefix(never).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_levels_and_modules_with_levels_and_nothing_else() {
        for good in ["info", "off", "WARN", "info,sqlx=warn", "user_service::store=debug"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for (bad, named) in [
            ("debgu", "debgu"),
            ("info,user_service", "user_service"),
            ("info,sqlx=loud", "sqlx=loud"),
            ("info, sqlx=warn", " sqlx=warn"),
            ("info,", ""),
            ("=debug", "=debug"),
            ("info,[http.request]=debug", "[http.request]=debug"),
            ("user_service[charge]=debug", "user_service[charge]=debug"),
            ("", ""),
        ] {
            let fault = parse(bad).unwrap_err();
            assert_eq!(fault, FilterError::Directive(named.to_owned()), "{bad}");
        }
        assert_eq!(parse(&"info,".repeat(300)).unwrap_err(), FilterError::TooLong);
    }
}
