//! One connection to the broker, shared by the tasks attached to it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lapin::tcp::OwnedTLSConfig;
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{Channel, Connection, ConnectionProperties, DefaultConnectionBuilder};

use tokio::time::{sleep, timeout};

use crate::backoff::{self, Backoff};
use crate::settings::RabbitSettings;

/// AMQP's code of a close that nothing is wrong with.
const REPLY_SUCCESS: u16 = 200;
/// The largest frame, in bytes: RabbitMQ's own, said at once. lapin keeps room for 32 frames each
/// way. Room that it asks for when it connects takes memory as messages pass through it; what it
/// would add after the broker's answer takes 16 MiB of two connections from then on. A smaller frame
/// would take less, and make messages with long headers undeliverable: these have to fit into one.
const FRAME_MAX: u32 = 128 * 1024;
/// How often a blocked connection is looked at.
const BLOCKED_INTERVAL: Duration = Duration::from_millis(500);

/// A connection that is opened when a channel is asked for and none is open.
pub(crate) struct Link {
    /// Shown in the broker's list: `user-service.publish`.
    name: String,
    uri: AMQPUri,
    /// A file with the authorities to trust besides the public ones; none when empty.
    tls_ca: PathBuf,
    /// The longest that opening a connection or a channel may take.
    open_timeout: Duration,
    backoff: Backoff,
    /// The last connection made, open or not.
    current: Mutex<Option<Arc<Connection>>>,
    /// Held by the one task that connects; the others wait for what it gets.
    connecting: tokio::sync::Mutex<()>,
    /// Whether the broker was last seen blocking the connection: a change is logged once.
    blocked: AtomicBool,
    /// Tasks that keep the connection open.
    working: AtomicUsize,
    /// All tasks that use it; the last one closes it.
    attached: AtomicUsize,
}

#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error("{0}")]
    Broker(#[from] lapin::Error),
    #[error("the file of [rabbitmq] tls_ca cannot be read: {0}")]
    Ca(std::io::Error),
    #[error("no answer in time")]
    TimedOut,
}

impl Link {
    pub(crate) fn new(service: &str, purpose: &str, settings: &RabbitSettings) -> Self {
        Self {
            name: format!("{service}.{purpose}"),
            uri: uri(settings),
            tls_ca: settings.tls_ca.clone(),
            open_timeout: settings.connect_timeout,
            backoff: backoff::reconnect(),
            current: Mutex::new(None),
            connecting: tokio::sync::Mutex::new(()),
            blocked: AtomicBool::new(false),
            working: AtomicUsize::new(0),
            attached: AtomicUsize::new(0),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn is_worked(&self) -> bool {
        self.working.load(Ordering::SeqCst) > 0
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open().is_some()
    }

    /// Whether the broker, short of memory or disk, takes nothing on this connection for now.
    pub(super) fn is_blocked(&self) -> bool {
        let blocked = self.open().is_some_and(|connection| connection.status().blocked());
        if blocked != self.blocked.swap(blocked, Ordering::SeqCst) {
            let broker_connection = self.name.as_str();
            if blocked {
                tracing::warn!(broker.connection = broker_connection, "broker takes no messages");
            } else {
                tracing::info!(broker.connection = broker_connection, "broker takes messages");
            }
        }
        blocked
    }

    fn open(&self) -> Option<Arc<Connection>> {
        self.current().clone().filter(|connection| connection.status().connected())
    }

    /// A connection: the open one, or a new one as soon as the broker takes one.
    async fn connection(&self) -> Arc<Connection> {
        let _turn = self.connecting.lock().await;
        for attempt in 1.. {
            if let Some(connection) = self.open() {
                return connection;
            }
            match self.connect().await {
                Ok(connection) => return self.keep(connection),
                Err(error) => {
                    tracing::warn!(
                        broker.connection = %self.name,
                        error = %error,
                        attempt,
                        "broker is not reachable"
                    );
                }
            }
            sleep(self.backoff.delay(attempt)).await;
        }
        unreachable!("attempts are endless")
    }

    async fn connect(&self) -> Result<Connection, OpenError> {
        let properties =
            ConnectionProperties::default().with_connection_name(self.name.as_str().into());
        let builder = DefaultConnectionBuilder::new()?
            .with_uri(self.uri.clone())
            .with_properties(properties)
            .with_tls_config(self.tls().await?);
        let connecting = builder.connect();
        Ok(timeout(self.open_timeout, connecting).await.map_err(|_| OpenError::TimedOut)??)
    }

    /// Read anew for each connection: certificates are renewed in place.
    async fn tls(&self) -> Result<OwnedTLSConfig, OpenError> {
        if self.tls_ca.as_os_str().is_empty() {
            return Ok(OwnedTLSConfig::default());
        }
        let cert_chain = tokio::fs::read_to_string(&self.tls_ca).await.map_err(OpenError::Ca)?;
        Ok(OwnedTLSConfig { cert_chain: Some(cert_chain), ..OwnedTLSConfig::default() })
    }

    fn keep(&self, connection: Connection) -> Arc<Connection> {
        tracing::info!(broker.connection = %self.name, "broker connected");
        let connection = Arc::new(connection);
        *self.current() = Some(Arc::clone(&connection));
        connection
    }

    async fn open_channel(&self, connection: &Connection) -> Result<Channel, OpenError> {
        let opening = connection.create_channel();
        Ok(timeout(self.open_timeout, opening).await.map_err(|_| OpenError::TimedOut)??)
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Option<Arc<Connection>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task's hold on a link. Give it back by [`Attachment::detach`], so that the last one says
/// goodbye to the broker.
pub(crate) struct Attachment {
    link: Arc<Link>,
    keeps_open: bool,
    released: bool,
}

impl Attachment {
    pub(crate) fn working(link: &Arc<Link>) -> Self {
        link.working.fetch_add(1, Ordering::SeqCst);
        Self::new(link, true)
    }

    pub(crate) fn occasional(link: &Arc<Link>) -> Self {
        Self::new(link, false)
    }

    fn new(link: &Arc<Link>, keeps_open: bool) -> Self {
        link.attached.fetch_add(1, Ordering::SeqCst);
        Self { link: Arc::clone(link), keeps_open, released: false }
    }

    /// A new channel, as soon as the broker gives one: endless, with growing jittered pauses.
    pub(crate) async fn channel(&self) -> Channel {
        for attempt in 1.. {
            let connection = self.link.connection().await;
            // A blocked connection answers nothing, and a new one would be blocked by its first
            // message: more connections, more copies of the message, nothing gained.
            while self.link.is_blocked() {
                sleep(BLOCKED_INTERVAL).await;
            }
            match self.link.open_channel(&connection).await {
                Ok(channel) => return channel,
                Err(error) => {
                    tracing::warn!(
                        broker.connection = %self.link.name,
                        error = %error,
                        "broker gave no channel"
                    );
                    // A connection without an answer is as good as closed.
                    self.discard(&connection);
                }
            }
            sleep(self.link.backoff.delay(attempt)).await;
        }
        unreachable!("attempts are endless")
    }

    /// Whether the broker, short of memory or disk, takes nothing on this connection for now.
    pub(crate) fn is_blocked(&self) -> bool {
        self.link.is_blocked()
    }

    /// Counts this hold off, once; says whether it was the last one.
    fn release(&mut self) -> bool {
        if std::mem::replace(&mut self.released, true) {
            return false;
        }
        if self.keeps_open {
            self.link.working.fetch_sub(1, Ordering::SeqCst);
        }
        self.link.attached.fetch_sub(1, Ordering::SeqCst) == 1
    }

    fn discard(&self, broken: &Arc<Connection>) {
        let mut current = self.link.current();
        if current.as_ref().is_some_and(|connection| Arc::ptr_eq(connection, broken)) {
            *current = None;
        }
    }

    /// Ends the hold; the last one closes the connection and waits for the broker's answer.
    pub(crate) async fn detach(mut self) {
        if !self.release() {
            return;
        }
        let last = self.link.current().take();
        if let Some(connection) = last.filter(|connection| connection.status().connected()) {
            let closing = connection.close(REPLY_SUCCESS, "OK".into());
            if let Ok(Err(error)) = timeout(self.link.open_timeout, closing).await {
                tracing::debug!(error = %error, "broker connection was not closed in order");
            }
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.release();
    }
}

fn uri(settings: &RabbitSettings) -> AMQPUri {
    let millis = u64::try_from(settings.connect_timeout.as_millis()).unwrap_or(u64::MAX);
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
            connection_timeout: Some(millis),
            frame_max: Some(FRAME_MAX),
            ..AMQPQueryString::default()
        },
    }
}
