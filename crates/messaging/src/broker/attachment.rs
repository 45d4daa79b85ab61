//! A task's use of one of the broker's connections, which stays open as long as somebody has one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use lapin::Channel;
use tokio::sync::watch;
use tokio::time::sleep;

use super::connect::{OpenConnection, OpenError, Target};
use super::session::{Session, State};
use crate::backoff;
use crate::settings::RabbitSettings;

/// A connection of the service that is opened when a channel is asked for, and kept until the last
/// attachment ends.
pub(super) struct Link {
    target: Arc<Target>,
    /// Held by the attachments that asked for a channel.
    session: Mutex<Weak<Session>>,
    /// Attachments of tasks that cannot work without the connection.
    working: AtomicUsize,
}

impl Link {
    pub(super) fn new(service: &str, purpose: &str, settings: &RabbitSettings) -> Self {
        let target = Arc::new(Target::new(service, purpose, settings));
        Self { target, session: Mutex::default(), working: AtomicUsize::new(0) }
    }

    pub(super) fn name(&self) -> &str {
        &self.target.name
    }

    /// Whether a task runs that cannot work without the connection.
    pub(super) fn is_worked(&self) -> bool {
        self.working.load(Ordering::SeqCst) > 0
    }

    pub(super) fn is_open(&self) -> bool {
        self.connection().is_some()
    }

    /// Whether the broker, short of memory or disk, takes nothing on this connection for now.
    pub(super) fn is_blocked(&self) -> bool {
        self.connection().is_some_and(|connection| connection.is_blocked())
    }

    fn connection(&self) -> Option<Arc<OpenConnection>> {
        let session = self.session().upgrade()?;
        session.state().borrow().connection().cloned()
    }

    /// The task that keeps the connection, started unless it runs.
    fn running(&self) -> Arc<Session> {
        let mut current = self.session();
        if let Some(session) = current.upgrade().filter(|session| session.is_running()) {
            return session;
        }
        let session = Arc::new(Session::start(Arc::clone(&self.target)));
        *current = Arc::downgrade(&session);
        session
    }

    fn session(&self) -> MutexGuard<'_, Weak<Session>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task's hold on a link. With the last one the connection is closed; [`Attachment::detach`] waits
/// for that.
pub(crate) struct Attachment {
    link: Arc<Link>,
    session: Mutex<Option<Arc<Session>>>,
    keeps_open: bool,
}

impl Attachment {
    pub(super) fn working(link: &Arc<Link>) -> Self {
        link.working.fetch_add(1, Ordering::SeqCst);
        Self::new(link, true)
    }

    pub(super) fn occasional(link: &Arc<Link>) -> Self {
        Self::new(link, false)
    }

    fn new(link: &Arc<Link>, keeps_open: bool) -> Self {
        Self { link: Arc::clone(link), session: Mutex::default(), keeps_open }
    }

    /// A new channel, as soon as the broker gives one: endless, with growing jittered delays.
    pub(crate) async fn channel(&self) -> Channel {
        let backoff = backoff::reconnect();
        for attempt in 1.. {
            // A blocked connection answers nothing, and a new one would be blocked by its first
            // message: more connections, more copies of the message, nothing gained.
            if let Some(connection) = opened(self.state()).await {
                match connection.channel().await {
                    Ok(channel) => return channel,
                    Err(error) => self.discard(&connection, &error),
                }
            }
            sleep(backoff.delay(attempt)).await;
        }
        unreachable!("attempts are endless")
    }

    /// Whether the broker, short of memory or disk, takes nothing on this connection for now.
    pub(crate) fn is_blocked(&self) -> bool {
        self.link.is_blocked()
    }

    /// Ends the hold; the last one closes the connection and waits for the broker's answer.
    pub(crate) async fn detach(self) {
        let session = self.held().take();
        drop(self);
        if let Some(session) = session.and_then(Arc::into_inner) {
            session.end().await;
        }
    }

    fn state(&self) -> watch::Receiver<State> {
        let session = self.link.running();
        let state = session.state();
        *self.held() = Some(session);
        state
    }

    fn discard(&self, connection: &OpenConnection, error: &OpenError) {
        let name = self.link.name();
        tracing::warn!(broker.connection = name, error = %error, "broker gave no channel");
        // One that was blocked meanwhile has a reason not to answer.
        if !connection.is_blocked() {
            connection.give_up();
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<Arc<Session>>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        if self.keeps_open {
            self.link.working.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Waits for a connection that is open and not blocked; none when the task that keeps it has ended.
async fn opened(mut state: watch::Receiver<State>) -> Option<Arc<OpenConnection>> {
    let usable = |state: &State| matches!(state, State::Open(_)) && state.connection().is_some();
    let state = state.wait_for(usable).await.ok()?;
    state.connection().cloned()
}
