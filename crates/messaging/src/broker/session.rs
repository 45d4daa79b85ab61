//! One connection, kept open by a task of its own for as long as somebody needs it.
//!
//! ```text
//!   Away ──connected──▶ Open ◀──blocked, unblocked──▶ Blocked
//!    ▲                    │                               │
//!    └────────────────────┴──────────── lost ─────────────┘
//! ```

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::connect::{OpenConnection, Target};
use crate::backoff;

/// A connection that lives as long was worth having: when it is lost, the next one is made at once.
const WORTHWHILE: Duration = Duration::from_secs(5);

/// How far losses of shorter ones make the delay grow: there is a broker that answers.
const LOSSES_MAX: u32 = 3;

/// What a connection is at this moment.
#[derive(Clone)]
pub(super) enum State {
    /// There is none; the task tries to make one.
    Away,
    /// It can be used.
    Open(Arc<OpenConnection>),
    /// It is there, and the broker, short of memory or disk, takes nothing on it.
    Blocked(Arc<OpenConnection>),
}

/// A running task and what it tells. Once the last handle is gone it closes its connection.
pub(super) struct Session {
    state: watch::Receiver<State>,
    needed: DropGuard,
    task: JoinHandle<()>,
}

impl State {
    fn of(connection: &Arc<OpenConnection>, is_blocked: bool) -> Self {
        let connection = Arc::clone(connection);
        if is_blocked { Self::Blocked(connection) } else { Self::Open(connection) }
    }

    /// The connection; none when it is lost, also when nobody has told that yet.
    pub(super) fn connection(&self) -> Option<&Arc<OpenConnection>> {
        match self {
            Self::Away => None,
            Self::Open(connection) | Self::Blocked(connection) => {
                Some(connection).filter(|connection| connection.is_open())
            }
        }
    }
}

impl Session {
    /// Starts the task: outside of the caller's span, which ends long before it.
    #[expect(
        clippy::disallowed_methods,
        reason = "it ends with its last user, who may be a request that no supervisor knows of"
    )]
    pub(super) fn start(target: Arc<Target>) -> Self {
        let (sender, state) = watch::channel(State::Away);
        let unneeded = CancellationToken::new();
        let needed = unneeded.clone().drop_guard();
        let task = tokio::spawn(run(target, sender, unneeded));
        Self { state, needed, task }
    }

    pub(super) fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    pub(super) fn is_running(&self) -> bool {
        !self.task.is_finished()
    }

    /// Ends the task; waits until the broker has answered, or had its time to.
    pub(super) async fn end(self) {
        drop(self.needed);
        // It fails only when it panics or the process ends.
        let _nobody_to_tell = self.task.await;
    }
}

async fn run(target: Arc<Target>, state: watch::Sender<State>, unneeded: CancellationToken) {
    let backoff = backoff::reconnect();
    let mut failures = 0;
    while let Some(connected) = unneeded.run_until_cancelled(target.connect()).await {
        match connected {
            Ok(connection) => {
                tracing::info!(broker.connection = %target.name, "broker connected");
                let connection = Arc::new(connection);
                let begin = Instant::now();
                let lost = unneeded.run_until_cancelled(follow(&target, &connection, &state)).await;
                state.send_replace(State::Away);
                if lost.is_none() {
                    return connection.close().await;
                }
                tracing::warn!(broker.connection = %target.name, "broker connection is lost");
                let is_worthwhile = begin.elapsed() >= WORTHWHILE;
                failures = if is_worthwhile { 0 } else { LOSSES_MAX.min(failures + 1) };
            }
            Err(error) => {
                failures += 1;
                tracing::warn!(
                    broker.connection = %target.name,
                    error = %error,
                    attempt = failures,
                    "broker is not reachable"
                );
            }
        }
        if failures > 0
            && unneeded.run_until_cancelled(sleep(backoff.delay(failures))).await.is_none()
        {
            return;
        }
    }
}

/// Tells what the connection is, until it is lost.
async fn follow(target: &Target, connection: &Arc<OpenConnection>, state: &watch::Sender<State>) {
    // Before the first look: a change after it is an event.
    let mut events = pin!(connection.events());
    let mut was_blocked = false;
    while connection.is_open() {
        let is_blocked = connection.is_blocked();
        if was_blocked != is_blocked {
            tell_blocked(&target.name, is_blocked);
        }
        was_blocked = is_blocked;
        state.send_replace(State::of(connection, is_blocked));
        tokio::select! {
            biased;
            () = connection.gone() => return,
            event = events.next() => if event.is_none() { return },
        }
    }
}

fn tell_blocked(name: &str, is_blocked: bool) {
    if is_blocked {
        tracing::warn!(broker.connection = name, "broker takes no messages");
    } else {
        tracing::info!(broker.connection = name, "broker takes messages");
    }
}
