//! The pool: connections that go back without a round trip when they are clean, and are looked after
//! when they are not.
//!
//! | how a connection comes back | what becomes of it |
//! |---|---|
//! | untouched, or [released](PooledConnection::release) | the next one has it at once; one that is half an hour old is closed |
//! | given up, or after an error | what is queued, as the rollback of a transaction, is sent at once; it is lent again when it answers within three seconds, and closed when it does not |
//! | as one that [closes](PooledConnection::close_on_drop) | it is closed |
//!
//! sqlx's own pool asks every connection that comes back whether it still answers, in a task of its
//! own: one more round trip for each statement. So the connections are sqlx's, and the pool is
//! `deadpool`.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use deadpool::managed::{self, Metrics, Object, Pool, PoolError, QueueMode, RecycleResult};
use futures_util::future::join_all;
use prometheus::Histogram;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Postgres, Transaction};
use telemetry::metrics::histogram;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};

use crate::kind;
use crate::session::Session;
use crate::target::Target;

/// How long a connection that was given up may take to answer: it may be in the middle of a statement
/// that takes for ever, and would keep its place in the pool for good.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// How long saying farewell to the server may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How old a connection may become: a session's memory at the server grows with what it has seen, and a
/// load balancer before a new server gets its share only from new connections. Each ends up to
/// `AGE_SPREAD` of it earlier, as those that were opened together are not to end together.
const AGE_MAX: Duration = Duration::from_mins(30);
const AGE_SPREAD: f64 = 0.2;
/// How often connections are looked at.
const CLOSE_INTERVAL_MAX: Duration = Duration::from_mins(1);
/// First delay before a server that starts, or has no connection left, is asked again; it doubles.
const CONNECT_DELAY_MIN: Duration = Duration::from_millis(10);
const CONNECT_DELAY_MAX: Duration = Duration::from_secs(1);

/// How many connections there are, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections at most.
    pub(crate) size_max: u32,
    /// Longest wait for one of them, with the time to open it.
    pub(crate) checkout_timeout: Duration,
    /// Idle time after which one is closed.
    pub(crate) idle_max: Duration,
}

/// Opens a pool's connections.
pub(crate) struct Manager {
    pub(crate) options: PgConnectOptions,
    pub(crate) session: Session,
    limits: Limits,
    wait_times: Histogram,
}

/// A connection, when it is too old, and since when nobody has it.
#[derive(Debug)]
pub(crate) struct Pooled {
    connection: PgConnection,
    expires: Instant,
    idle_since: Instant,
}

impl Pooled {
    fn new(connection: PgConnection) -> Self {
        let now = Instant::now();
        let age_max = AGE_MAX.mul_f64(1.0 - AGE_SPREAD * rand::random::<f64>());
        Self { connection, expires: now + age_max, idle_since: now }
    }

    fn is_expired(&self) -> bool {
        self.expires <= Instant::now()
    }
}

impl fmt::Debug for Manager {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = Target::from(&self.options);
        f.debug_struct("Manager")
            .field("target", &target)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl managed::Manager for Manager {
    type Type = Pooled;
    type Error = sqlx::Error;

    /// Waits for a server that starts or has no connection left; whoever asks limits the time.
    async fn create(&self) -> Result<Pooled, sqlx::Error> {
        let mut delay = CONNECT_DELAY_MIN;
        loop {
            // Boxed: whoever takes a connection that is there need not have the room to open one.
            match Box::pin(self.open()).await {
                Ok(connection) => return Ok(Pooled::new(connection)),
                Err(error) if is_transient(&error) => {}
                Err(error) => return Err(error),
            }
            sleep(delay).await;
            delay = (delay * 2).min(CONNECT_DELAY_MAX);
        }
    }

    /// Whatever is in the pool is clean, and a dead connection shows itself.
    async fn recycle(&self, _: &mut Pooled, _: &Metrics) -> RecycleResult<sqlx::Error> {
        Ok(())
    }
}

impl Manager {
    async fn open(&self) -> Result<PgConnection, sqlx::Error> {
        let mut connection = PgConnection::connect_with(&self.options).await?;
        self.session.limit(&mut connection).await?;
        Ok(connection)
    }
}

/// Whether the server may take a connection in a moment.
fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        sqlx::Error::Database(error) => error.is_transient_in_connect_phase(),
        _ => false,
    }
}

/// A pool that opens nothing before it is used, and closes what is idle for too long. It is made within
/// a tokio runtime.
pub(crate) fn lazy(options: PgConnectOptions, session: Session, limits: Limits) -> Pool<Manager> {
    let help = "Time until a connection was taken from the pool, in seconds.";
    let wait_times = histogram("db_client_connection_wait_time_seconds", help, &[]);
    let wait_times = wait_times.with_label_values::<&str>(&[]);
    let manager = Manager { options, session, limits, wait_times };
    // Last in, first out: what is not needed becomes idle for long enough to be closed.
    let pool =
        Pool::builder(manager).max_size(limits.size_max as usize).queue_mode(QueueMode::Lifo);
    let pool = pool.build();
    let pool = pool.expect("only a pool with limits of time needs a runtime named");
    in_background(close_idle(pool.weak(), limits.idle_max));
    pool
}

/// Closes what is idle for too long, or too old, as long as the pool is there.
async fn close_idle(pool: managed::WeakPool<Manager>, idle_max: Duration) {
    loop {
        sleep(idle_max.min(CLOSE_INTERVAL_MAX)).await;
        let Some(pool) = pool.upgrade() else { return };
        let closed =
            pool.retain(|pooled, _| !pooled.is_expired() && pooled.idle_since.elapsed() < idle_max);
        drop(pool);
        join_all(closed.removed.into_iter().map(|pooled| close(pooled.connection))).await;
    }
}

async fn close(connection: PgConnection) {
    if !matches!(timeout(CLOSE_TIMEOUT, connection.close()).await, Ok(Ok(()))) {
        tracing::debug!("a connection to the database was closed without a farewell");
    }
}

/// Takes a connection. Those who wait have theirs in the order in which they came.
///
/// # Errors
/// None is free, or could be opened, within `checkout_timeout` ([`sqlx::Error::PoolTimedOut`]); what
/// the server said to a new one.
pub(crate) async fn acquire(pool: &Pool<Manager>) -> Result<PooledConnection, sqlx::Error> {
    let manager = pool.manager();
    let began = Instant::now();
    let taking = timeout(manager.limits.checkout_timeout, pool.get()).await;
    let object = match taking {
        Ok(Ok(object)) => object,
        Ok(Err(PoolError::Backend(error))) => return Err(error),
        Ok(Err(PoolError::Closed)) => return Err(sqlx::Error::PoolClosed),
        Ok(Err(_)) | Err(_) => return Err(sqlx::Error::PoolTimedOut),
    };
    manager.wait_times.observe(began.elapsed().as_secs_f64());
    Ok(PooledConnection { object: Some(object), on_drop: OnDrop::Return })
}

/// What becomes of a connection that is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnDrop {
    /// It is clean: the next one has it.
    Return,
    /// It may be in the middle of something: it has to answer first.
    Check,
    Close,
}

/// A connection that is lent out. Once it was used, it has to be [released](Self::release) to go back
/// at once; one that is dropped without that, as by a caller who gives up, has to answer first.
pub struct PooledConnection {
    /// None while it is dropped.
    object: Option<Object<Manager>>,
    on_drop: OnDrop,
}

impl PooledConnection {
    /// Gives the connection back: it is idle, and in no transaction. Does not wait.
    pub fn release(mut self) {
        self.set_idle();
    }

    /// Has the connection closed unless it is [released](Self::release), so that the server undoes
    /// whatever it is in the middle of.
    pub fn close_on_drop(&mut self) {
        self.on_drop = OnDrop::Close;
    }

    /// Takes the connection out of the pool, which may open another one in its place.
    pub(crate) fn detach(mut self) -> PgConnection {
        let object = self.object.take().expect(TAKEN);
        Object::take(object).connection
    }

    /// Marks the connection as one that was not used, until it is used again.
    pub(crate) fn set_idle(&mut self) {
        // A transaction that was dropped may still have its rollback in the queue.
        let is_idle = !self.is_in_transaction() && !self.should_flush();
        self.on_drop = if is_idle { OnDrop::Return } else { OnDrop::Check };
    }

    /// Begins a transaction.
    ///
    /// sqlx 0.9.0 forgets a `begin` that is dropped before the server has answered, as by a caller
    /// who goes: the server has begun, nobody rolls back, and whatever runs on the connection next,
    /// reads and writes of others, is part of that transaction and lost with it
    /// (<https://github.com/transact-rs/sqlx/issues/4393>). So a connection that is given up at that
    /// moment is closed.
    pub(crate) async fn begin_as(
        &mut self,
        session: &Session,
    ) -> Result<Transaction<'_, Postgres>, sqlx::Error> {
        self.on_drop = OnDrop::Close;
        let object = self.object.as_mut().expect(TAKEN);
        let tx = session.begin(&mut object.connection).await?;
        self.on_drop = OnDrop::Check;
        Ok(tx)
    }
}

/// Why there is always a connection.
const TAKEN: &str = "only drop and detach take the connection, and end its use";

impl Deref for PooledConnection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.object.as_ref().expect(TAKEN).connection
    }
}

impl DerefMut for PooledConnection {
    /// Whoever can change it may leave it in the middle of something.
    fn deref_mut(&mut self) -> &mut PgConnection {
        if self.on_drop == OnDrop::Return {
            self.on_drop = OnDrop::Check;
        }
        &mut self.object.as_mut().expect(TAKEN).connection
    }
}

impl fmt::Debug for PooledConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PooledConnection").field("on_drop", &self.on_drop).finish_non_exhaustive()
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        let Some(mut object) = self.object.take() else { return };
        match self.on_drop {
            OnDrop::Return if object.is_expired() => {
                in_background(close(Object::take(object).connection));
            }
            OnDrop::Return => object.idle_since = Instant::now(),
            OnDrop::Check => in_background(Unchecked(Some(object)).check()),
            OnDrop::Close => in_background(close(Object::take(object).connection)),
        }
    }
}

/// Does work that ends by itself. Where the runtime is gone, the work is dropped.
fn in_background(work: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(work);
    }
}

/// A connection that may be in the middle of something. It keeps its place in the pool, and leaves the
/// pool when this is dropped before it has answered.
struct Unchecked(Option<Object<Manager>>);

impl Unchecked {
    async fn check(mut self) {
        let Some(pooled) = &mut self.0 else { return };
        // Sends what is queued, too.
        match timeout(ANSWER_TIMEOUT, pooled.connection.ping()).await {
            Ok(Ok(())) => {
                pooled.idle_since = Instant::now();
                // Gives it back; one that is too old is closed at the end of this function.
                if !pooled.is_expired() {
                    self.0 = None;
                }
            }
            Ok(Err(error)) => {
                tracing::warn!(
                    error.kind = kind(&error),
                    "a connection that was given up is closed"
                );
            }
            Err(_) => {
                tracing::warn!("a connection that was given up does not answer, and is closed");
            }
        }
    }
}

impl Drop for Unchecked {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}
