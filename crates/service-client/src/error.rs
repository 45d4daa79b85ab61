//! What can go wrong with a call: the kinds of fault, each with where and when.

use std::time::Duration;

use auth::IssueError;
use chassis::Problem;
use chassis::problem::kind;
use resilience::Outcome;
use serde::Deserialize;

/// What a caller is told to wait when nobody says how long.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A call that gave no answer to work with.
#[derive(Debug, thiserror::Error)]
#[error("{service}.{operation} failed after {attempts} attempts: {kind}")]
pub struct CallError {
    /// The target in `services.tsk`.
    pub service: String,
    /// The operation named by the caller.
    pub operation: &'static str,
    /// `host:port` of the last instance tried; none when none was.
    pub instance: Option<String>,
    /// Attempts made; 0 when the breaker let none through.
    pub attempts: u32,
    /// From the first attempt to the last.
    pub elapsed: Duration,
    /// What went wrong last.
    pub kind: Kind,
}

impl CallError {
    /// What a request whose handler cannot do without the call is answered: 503 with `detail` and a
    /// `Retry-After`; 500 where it is we who are wrong, so that trying again is of no use.
    pub fn problem(&self, detail: &'static str) -> Problem {
        tracing::warn!(error = %self, call.attempts = self.attempts, "a call gave no answer");
        if self.kind.is_transient() {
            let retry_after = self.kind.retry_after().unwrap_or(RETRY_AFTER);
            Problem::unavailable(detail, retry_after)
        } else {
            Problem::internal()
        }
    }
}

/// The kinds of fault.
#[derive(Debug, thiserror::Error)]
pub enum Kind {
    /// The target says that there is no such thing (404, 410).
    #[error("not found")]
    NotFound,
    /// The target says that the request is wrong (any other 4xx).
    #[error("refused with status {status}")]
    Client {
        /// The HTTP status.
        status: u16,
        /// What the target says of it, when it does.
        problem: Option<ProblemDocument>,
    },
    /// The target is at fault (5xx), or asks to be left alone for a while (429, 503).
    #[error("answered with status {status}")]
    Server {
        /// The HTTP status.
        status: u16,
        /// Its `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// No answer in the time of an attempt: whether the target did it is unknown.
    #[error("timed out")]
    TimedOut,
    /// The call's own deadline passed, before an answer or before an attempt: whether the target
    /// did it is unknown.
    #[error("the deadline passed")]
    DeadlineExceeded,
    /// The breaker is open: the target was not called.
    #[error("the circuit breaker is open")]
    Open {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// As many calls to the target as there may be are in flight: it was not called.
    #[error("too many calls in flight")]
    Overloaded,
    /// No instance is registered: nobody was called.
    #[error("no instance is known")]
    NoInstance,
    /// The instance could not be reached: nothing was sent.
    #[error("unreachable")]
    Unreachable,
    /// The connection was lost: whether the target did it is unknown.
    #[error("the connection was lost")]
    ConnectionLost,
    /// There is no token to call with: the target was not called.
    #[error(transparent)]
    NoToken(IssueError),
    /// An answer that is none: cut short, too large, of another shape.
    #[error("unexpected answer: {0}")]
    Unexpected(&'static str),
}

impl Kind {
    /// Whether the same request may do better later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Server { .. }
            | Self::TimedOut
            | Self::DeadlineExceeded
            | Self::Unreachable
            | Self::ConnectionLost
            | Self::NoInstance
            | Self::NoToken(_)
            | Self::Open { .. }
            | Self::Overloaded => true,
            Self::NotFound | Self::Client { .. } | Self::Unexpected(_) => false,
        }
    }

    /// Whether another token may do better: this one is not good, or carries too little.
    pub(crate) fn refuses_token(&self) -> bool {
        let lacks_scope =
            |problem: &ProblemDocument| problem.kind.ends_with(kind::INSUFFICIENT_SCOPE.name);
        match self {
            Self::Client { status: 401, .. } => true,
            Self::Client { status: 403, problem } => problem.as_ref().is_some_and(lacks_scope),
            _ => false,
        }
    }

    /// Whether another attempt of the same call may do better.
    pub(crate) fn may_pass_at_once(&self) -> bool {
        self.is_transient() && !matches!(self, Self::Overloaded | Self::Open { .. })
    }

    /// Whether nothing was sent, so that even what may not be repeated may be tried again.
    pub(crate) fn is_unsent(&self) -> bool {
        matches!(self, Self::Unreachable | Self::NoInstance)
    }

    /// Whether it says that too many calls are in flight.
    pub(crate) fn is_overload(&self) -> bool {
        matches!(self, Self::Server { status: 429 | 503, .. } | Self::TimedOut)
    }

    /// What it says of the target, for a breaker. Being told to slow down (429) is not being down; 503
    /// is, whatever time the target names, since it is what a service says that lost its database; a
    /// refusal is an answer; a caller in a hurry proves nothing.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Server { status: 429, .. } => Outcome::Throttled,
            Self::Server { .. } | Self::TimedOut | Self::Unreachable | Self::ConnectionLost => {
                Outcome::Failure
            }
            Self::NotFound | Self::Client { .. } | Self::Unexpected(_) => Outcome::Success,
            Self::DeadlineExceeded
            | Self::NoInstance
            | Self::NoToken(_)
            | Self::Open { .. }
            | Self::Overloaded => Outcome::Neutral,
        }
    }

    /// The kind as a metric's label.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Client { .. } => "client",
            Self::Server { .. } => "server",
            Self::TimedOut => "timed_out",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Open { .. } => "open",
            Self::Overloaded => "overloaded",
            Self::NoInstance => "no_instance",
            Self::NoToken(_) => "no_token",
            Self::Unreachable => "unreachable",
            Self::ConnectionLost => "connection_lost",
            Self::Unexpected(_) => "unexpected",
        }
    }

    /// How long the target, or the breaker, asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Open { retry_after } => Some(*retry_after),
            Self::Server { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// A problem document (RFC 9457), as far as a caller uses it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ProblemDocument {
    /// The kind of problem.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The kind in words.
    #[serde(default)]
    pub title: String,
    /// This one in words.
    #[serde(default)]
    pub detail: Option<String>,
}
