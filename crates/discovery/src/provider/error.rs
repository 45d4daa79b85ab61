//! Why a provider could not go on.

use std::io;

/// Why a provider could not go on. All of it may pass.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The server could not be reached, or did not answer in time.
    #[error("the server did not answer: {0}")]
    Unreachable(#[source] reqwest::Error),
    /// The server answered that it cannot.
    #[error("the server answered {status}: {text}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The begin of what it said.
        text: String,
    },
    /// The answer is not what the protocol says.
    #[error("the answer cannot be read: {0}")]
    Malformed(String),
    /// The answer is longer than is read.
    #[error("the answer is longer than {max} bytes")]
    TooLong {
        /// The bound.
        max: usize,
    },
    /// The server said nothing for too long, or ended its stream.
    #[error("the watch is broken: {0}")]
    Broken(&'static str),
    /// The registration is not there any more.
    #[error("the registration is lost")]
    Lost,
    /// No name server could say which addresses a name has.
    #[error("look up {host}: {source}")]
    Lookup {
        /// The name.
        host: String,
        /// Why not.
        source: hickory_resolver::net::NetError,
    },
    /// The own address was not found, or a file could not be read.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl From<reqwest::Error> for ProviderError {
    /// Without the URL, which says nothing new and may say too much.
    fn from(error: reqwest::Error) -> Self {
        Self::Unreachable(error.without_url())
    }
}
