//! Process managers, also called sagas: work that several services do, and that one of them leads.
//!
//! An order asks for a payment and waits: for `payment.completed`, or until its time is up; then what
//! was done is undone (compensated). No transaction spans that. What is left is a state machine whose
//! state is a row, whose steps are events, and whose effects are events too:
//!
//! ```text
//!   a consumer's transaction
//!     delivery.claim                     the same event has no second step
//!     handle::<P>(key, message)
//!       lock the row of (kind, key)      replicas take turns
//!       P::step(state, message)          pure: the new state, what to publish, the deadline
//!       save; enqueue; (re)schedule or cancel the deadline
//!   commit, ack
//! ```
//!
//! - **Correlation.** The key is what the events of one process have in common, such as the order's id.
//! - **Time-outs.** A state's deadline is an event that is [scheduled](crate::schedule) with the state
//!   and comes back through the service's own queue. It may be under way already when another step
//!   cancels it: so a step must ignore a time-out that its state does not wait for. A step that leaves
//!   the process waiting for the same time-out [keeps](Step::keep_deadline) it: one that set it again
//!   while it is under way would have it come twice.
//! - **Crash.** State, events and deadline are of one transaction: all or none.
//! - **The end.** An ended process stays for `[consumer] inbox_retention`, so that what comes late finds
//!   a state that ignores it; then the [cleaner](crate::inbox::Cleaner) deletes it. One that does not end
//!   stays: [`count_open`] finds those that take too long, also where a time-out was lost.
//!
//! user-service leads the erasure of a user so (`services/user-service/src/erasure.rs`);
//! `tests/it/process_manager.rs` has one with a compensation.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use contracts::{Event, FieldFault};
use database::{Database, drain};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::consumer::Verdict;
use crate::message;
use crate::outbox::{EnqueueError, Outbox, Row};
use crate::schedule;

/// The longest correlation key, in bytes.
pub const KEY_BYTES_MAX: usize = 128;

/// A process: its state, the messages that it takes, and what each does.
pub trait Process {
    /// Its name in the table and in keys, the same for ever; at most 64 bytes.
    const KIND: &'static str;
    /// Where a process stands. Kept as JSON: a later version must read what an earlier one wrote.
    type State: Serialize + DeserializeOwned + Send + Sync;
    /// What may happen to it: mostly an enum with a variant for each event.
    type Message: Send;

    /// What a message does to a process that stands where `state` says, or to one that has not begun;
    /// none when it does nothing. Pure: the same arguments give the same step.
    fn step(state: Option<Self::State>, message: Self::Message) -> Option<Step<Self::State>>;
}

/// A step of a process: where it stands afterwards, and what follows from that.
pub struct Step<S> {
    state: S,
    events: Vec<Box<dyn AnyEvent>>,
    deadline: Deadline,
    has_ended: bool,
}

/// Until when a state waits.
enum Deadline {
    /// Without end.
    None,
    /// As long as the state before.
    Kept,
    /// Until then; then the event is published.
    At(DateTime<Utc>, Box<dyn AnyEvent>),
}

/// Why a step was not taken. The transaction is to be rolled back.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The key is empty or too long.
    #[error("a correlation key needs 1 to 128 bytes")]
    Key,
    /// The stored state is not one of this version of the process.
    #[error("the state of a process of {kind} cannot be read or written")]
    State {
        /// [`Process::KIND`].
        kind: &'static str,
        /// What the decoder says.
        source: serde_json::Error,
    },
    /// An event was not enqueued.
    #[error(transparent)]
    Enqueue(#[from] EnqueueError),
    /// The database.
    #[error("the process could not be read or written")]
    Database(#[from] sqlx::Error),
}

/// So that a step can be the work of [`Database::transaction`].
impl database::Fault for ProcessError {
    fn database(&self) -> Option<&sqlx::Error> {
        match self {
            Self::Database(error) | Self::Enqueue(EnqueueError::Database(error)) => Some(error),
            _ => None,
        }
    }
}

/// To the broker: a database that is away is not the message's fault; what cannot be read or written
/// today is for people.
impl From<ProcessError> for Verdict {
    fn from(error: ProcessError) -> Self {
        match error {
            ProcessError::Database(error) => error.into(),
            ProcessError::Enqueue(error) => error.into(),
            ProcessError::Key | ProcessError::State { .. } => Self::dead_letter(error),
        }
    }
}

impl<S> Step<S> {
    /// To this state, with nothing to publish, no deadline, and more to come.
    pub fn to(state: S) -> Self {
        Self { state, events: Vec::new(), deadline: Deadline::None, has_ended: false }
    }

    /// Publishes an event, such as a command to the next service, or the compensation of a step before.
    #[must_use]
    pub fn publish(mut self, event: impl Event) -> Self {
        self.events.push(Box::new(event));
        self
    }

    /// Waits in this state until `at` at most: then `event` is published. It replaces the deadline
    /// of the state before; without one, that is cancelled.
    #[must_use]
    pub fn deadline(mut self, at: DateTime<Utc>, event: impl Event) -> Self {
        self.deadline = Deadline::At(at, Box::new(event));
        self
    }

    /// Waits for no longer than the state before, whose deadline stays as it is, be it under way already.
    #[must_use]
    pub fn keep_deadline(mut self) -> Self {
        self.deadline = Deadline::Kept;
        self
    }

    /// Ends the process in this state: what still comes is stepped through, and the row is deleted after
    /// a while.
    #[must_use]
    pub fn end(mut self) -> Self {
        self.has_ended = true;
        self
    }

    /// The state it leads to.
    pub fn state(&self) -> &S {
        &self.state
    }

    /// Whether the process ends with it.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The types of the events that it publishes.
    pub fn published(&self) -> impl Iterator<Item = &'static str> {
        self.events.iter().map(|event| event.event_type())
    }
}

impl<S: fmt::Debug> fmt::Debug for Step<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step")
            .field("published", &self.published().collect::<Vec<_>>())
            .field("deadline", &self.deadline)
            .field("has_ended", &self.has_ended)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Kept => f.write_str("Kept"),
            Self::At(at, event) => {
                f.debug_tuple("At").field(at).field(&event.event_type()).finish()
            }
        }
    }
}

/// An event of any type.
trait AnyEvent: Send + Sync {
    fn event_type(&self) -> &'static str;

    fn row<'a>(
        &self,
        outbox: &'a Outbox,
        event_id: Uuid,
        at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Row<'a>, EnqueueError>;
}

impl<E: Event> AnyEvent for E {
    fn event_type(&self) -> &'static str {
        E::TYPE
    }

    fn row<'a>(
        &self,
        outbox: &'a Outbox,
        event_id: Uuid,
        at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Row<'a>, EnqueueError> {
        outbox.row(event_id, at, self, now)
    }
}

/// Has a process of type `P` take the step of `message`, in the caller's transaction; gives the state that
/// it leads to, none when the message does nothing. `key` is of 1 to [`KEY_BYTES_MAX`] bytes; `now` is the time of the events that
/// are published, and `new_id` makes their ids.
///
/// The caller has [claimed](crate::Delivery::claim) the message in the same transaction, commits, and then
/// [wakes](Outbox::wake) the relay.
///
/// # Errors
/// [`ProcessError`]; nothing of the step may be committed then.
pub async fn handle<P: Process>(
    tx: &mut PgConnection,
    outbox: &Outbox,
    key: &str,
    now: DateTime<Utc>,
    mut new_id: impl FnMut() -> Uuid + Send,
    message: P::Message,
) -> Result<Option<P::State>, ProcessError> {
    const { assert!(P::KIND.len() <= 64, "a process's kind is of 64 bytes at most") };
    if !(1..=KEY_BYTES_MAX).contains(&key.len()) {
        return Err(ProcessError::Key);
    }
    let state_error = |source| ProcessError::State { kind: P::KIND, source };
    let before = lock(tx, P::KIND, key).await?;
    let state = before.state.map(serde_json::from_value).transpose().map_err(state_error)?;
    let Some(step) = P::step(state, message) else {
        if before.version == 0 {
            delete(tx, P::KIND, key).await?;
        }
        return Ok(None);
    };
    for event in &step.events {
        outbox.write(tx, &event.row(outbox, new_id(), now, message::now())?).await?;
    }
    let schedule_key = format!("{}:{key}", P::KIND);
    let deadline = match &step.deadline {
        Deadline::At(at, event) => {
            let checked = schedule::check(&schedule_key, *at);
            checked.map_err(|fault| out_of_bounds(event.event_type(), fault))?;
            let row = event.row(outbox, new_id(), *at, *at)?;
            schedule::write(tx, &schedule_key, *at, &row).await?;
            Some(*at)
        }
        Deadline::Kept if !step.has_ended => before.deadline,
        Deadline::Kept | Deadline::None => {
            if before.deadline.is_some() {
                outbox.cancel(tx, &schedule_key).await?;
            }
            None
        }
    };
    let state = serde_json::to_value(&step.state).map_err(state_error)?;
    save(tx, (P::KIND, key), &state, deadline, step.has_ended).await?;
    Ok(Some(step.state))
}

fn out_of_bounds(event_type: &'static str, fault: FieldFault) -> EnqueueError {
    EnqueueError::Field { event_type, fault }
}

/// A process as it stands.
struct Before {
    state: Option<serde_json::Value>,
    version: i64,
    deadline: Option<DateTime<Utc>>,
}

/// Locks the row of a process; makes it if there is none, so that two first steps take turns too.
async fn lock(tx: &mut PgConnection, kind: &str, key: &str) -> Result<Before, sqlx::Error> {
    sqlx::query!(
        "insert into messaging_processes (kind, key) values ($1, $2) on conflict do nothing",
        kind,
        key,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query_as!(
        Before,
        "select state, version, deadline from messaging_processes
         where kind = $1 and key = $2 for update",
        kind,
        key,
    )
    .fetch_one(tx)
    .await
}

async fn save(
    tx: &mut PgConnection,
    (kind, key): (&str, &str),
    state: &serde_json::Value,
    deadline: Option<DateTime<Utc>>,
    has_ended: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update messaging_processes
         set state = $3, version = version + 1, deadline = $4, updated_at = now(),
             ended_at = case when $5 then coalesce(ended_at, now()) end
         where kind = $1 and key = $2",
        kind,
        key,
        state,
        deadline,
        has_ended,
    )
    .execute(tx)
    .await
    .map(drop)
}

async fn delete(tx: &mut PgConnection, kind: &str, key: &str) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from messaging_processes where kind = $1 and key = $2", kind, key)
        .execute(tx)
        .await
        .map(drop)
}

/// How many processes of type `P` began before then and have not ended.
pub async fn count_open<P: Process>(
    database: &Database,
    begun_before: DateTime<Utc>,
) -> Result<i64, sqlx::Error> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from messaging_processes
           where kind = $1 and begun_at < $2 and ended_at is null"#,
        P::KIND,
        begun_before,
    );
    count.fetch_one(database).await
}

/// Deletes processes that ended longer ago than `older_than`; says how many.
pub(crate) async fn purge(database: &Database, older_than: Duration) -> Result<u64, sqlx::Error> {
    drain(&CancellationToken::new(), async |limit| {
        let purged = sqlx::query!(
            "with picked as materialized (
                 select kind, key from messaging_processes
                 where ended_at < now() - make_interval(secs => $1)
                 order by ended_at
                 limit $2
                 for update skip locked
             )
             delete from messaging_processes process using picked
             where process.kind = picked.kind and process.key = picked.key",
            older_than.as_secs_f64(),
            limit,
        );
        Ok(purged.execute(database).await?.rows_affected())
    })
    .await
}
