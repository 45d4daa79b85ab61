//! Making one connection, within its time, and ending it with everything that belongs to it.

use std::path::PathBuf;
use std::time::Duration;

use async_rs::{Runtime, Tokio};
use futures_util::Stream;
use lapin::tcp::OwnedTLSConfig;
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{Channel, Connection, ConnectionProperties};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::wire::{self, WireTokio};
use crate::settings::RabbitSettings;

/// AMQP's code of a close that nothing is wrong with.
const REPLY_SUCCESS: u16 = 200;
/// The largest frame, in bytes, that is agreed with the broker. lapin keeps room for 32 frames each way,
/// and writes all of it again and again: frames of 128 KiB, RabbitMQ's own, had 8 MB of a process that
/// publishes. A body goes in as many frames as it needs. A message's headers have to fit into one: those
/// that are longer are unreadable (`frames`).
pub(crate) const FRAME_MAX: u32 = 32 * 1024;

/// Where a connection goes, and how.
pub(super) struct Target {
    /// Shown in the broker's list: `user-service.publish`.
    pub(super) name: String,
    uri: AMQPUri,
    /// A file with the authorities to trust besides the public ones; none when empty.
    tls_ca: PathBuf,
    /// The longest that opening a connection or a channel, or closing a connection, may take.
    open_timeout: Duration,
}

/// A connection that was opened. Dropped, it ends at once, with lapin's thread and the socket.
pub(super) struct OpenConnection {
    connection: Connection,
    open_timeout: Duration,
    end: CancellationToken,
    _ended_when_dropped: DropGuard,
    gone: CancellationToken,
}

/// Why there is no connection or no channel.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("{0}")]
    Broker(#[from] lapin::Error),
    #[error("the file of [rabbitmq] tls_ca cannot be read: {0}")]
    Ca(std::io::Error),
    #[error("no answer in time")]
    TimedOut,
}

impl Target {
    pub(super) fn new(service: &str, purpose: &str, settings: &RabbitSettings) -> Self {
        Self {
            name: format!("{service}.{purpose}"),
            uri: uri(settings),
            tls_ca: settings.tls_ca.clone(),
            open_timeout: settings.connect_timeout,
        }
    }

    /// Connects. An attempt that runs out of time, or is dropped, leaves nothing behind.
    pub(super) async fn connect(&self) -> Result<OpenConnection, OpenError> {
        let tls = self.tls().await?;
        let end = CancellationToken::new();
        let gone = CancellationToken::new();
        let ends = end.clone();
        let goes = gone.clone();
        let ended_when_dropped = end.clone().drop_guard();
        let tokio = Runtime::new(Tokio::current());
        let wire = async move |uri: AMQPUri, _| {
            let connecting = wire::connect(&uri, &tls, &tokio, ends.clone(), goes.clone());
            Ok(connecting.await?)
        };
        let properties =
            ConnectionProperties::default().with_connection_name(self.name.as_str().into());
        let runtime = Runtime::new(WireTokio::current());
        let connecting = Connection::connector(self.uri.clone(), runtime, wire, properties);
        let connection = in_time(self.open_timeout, connecting).await?;
        Ok(OpenConnection {
            connection,
            open_timeout: self.open_timeout,
            end,
            _ended_when_dropped: ended_when_dropped,
            gone,
        })
    }

    /// Read anew for each connection: certificates are renewed in place.
    async fn tls(&self) -> Result<OwnedTLSConfig, OpenError> {
        if self.tls_ca.as_os_str().is_empty() {
            return Ok(OwnedTLSConfig::default());
        }
        let cert_chain = tokio::fs::read_to_string(&self.tls_ca).await.map_err(OpenError::Ca)?;
        Ok(OwnedTLSConfig { cert_chain: Some(cert_chain), ..OwnedTLSConfig::default() })
    }
}

impl OpenConnection {
    pub(super) fn is_open(&self) -> bool {
        self.connection.status().connected()
    }

    /// Whether the broker, short of memory or disk, takes nothing on this connection for now.
    pub(super) fn is_blocked(&self) -> bool {
        self.connection.status().blocked()
    }

    pub(super) async fn channel(&self) -> Result<Channel, OpenError> {
        in_time(self.open_timeout, self.connection.create_channel()).await
    }

    /// What happens to the connection, for one listener.
    pub(super) fn events(&self) -> impl Stream<Item = lapin::Event> + Send {
        self.connection.events_listener()
    }

    /// Waits until lapin has let go of the connection.
    pub(super) async fn gone(&self) {
        self.gone.cancelled().await;
    }

    /// Ends it at once: without an answer it is as good as closed.
    pub(super) fn give_up(&self) {
        self.end.cancel();
    }

    /// Tells the broker, waits for its answer, and then ends it in any case.
    pub(super) async fn close(&self) {
        if self.is_open() {
            let closing = self.connection.close(REPLY_SUCCESS, "OK".into());
            if let Err(error) = in_time(self.open_timeout, closing).await {
                tracing::debug!(error = %error, "broker connection was not closed in order");
            }
        }
        self.end.cancel();
    }
}

async fn in_time<T>(
    limit: Duration,
    answer: impl Future<Output = lapin::Result<T>>,
) -> Result<T, OpenError> {
    Ok(timeout(limit, answer).await.map_err(|_| OpenError::TimedOut)??)
}

fn uri(settings: &RabbitSettings) -> AMQPUri {
    AMQPUri {
        scheme: if settings.tls { AMQPScheme::AMQPS } else { AMQPScheme::AMQP },
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo {
                username: settings.username.clone(),
                password: settings.password.expose().clone(),
            },
            host: settings.host.clone(),
            port: settings.port,
        },
        vhost: settings.vhost.clone(),
        query: AMQPQueryString {
            heartbeat: Some(u16::try_from(settings.heartbeat.as_secs().max(1)).unwrap_or(u16::MAX)),
            frame_max: Some(FRAME_MAX),
            ..AMQPQueryString::default()
        },
    }
}
