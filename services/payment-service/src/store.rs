//! The only file with SQL. Payments change through the store's methods only: `create` for requests,
//! `change` for the worker; customers through `open_once` and `close_once`, for messages. What
//! happened is saved and sent together or not at all.

mod keys;
mod rows;
mod waiters;
mod work;

pub(crate) use keys::{Claim, Kept};
pub(crate) use work::Due;

use std::sync::Arc;

use chassis::Clock;
use chassis::database::{Database, FutureExt};
use chassis::page::{Page, PageRequest};
use chrono::{DateTime, Utc};
use contracts::erasure::ErasureConfirmed;
use contracts::user::UserCreated;
use contracts::{PaymentId, UserId};
use messaging::inbox::{self, InboxKey};
use messaging::{Delivery, Outbox, erasure};
use sqlx::PgConnection;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::domain::{Currency, Customer, Description, DomainError, Event, Payment, Status};
use crate::error::Error;
use crate::events;
use crate::store::rows::PaymentRow;
use crate::store::waiters::Waiters;

/// What a decision gives: the payment as it is then, and what happened.
type Decided = Result<(Payment, Vec<Event>), DomainError>;

/// Payments, their idempotency keys, and customers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    database: Database,
    outbox: Outbox,
    clock: Clock,
    /// Wakes this process's worker: a payment is due.
    due: Arc<Notify>,
    /// This process's requests that wait for an outcome.
    waiters: Waiters,
    /// The codes of the currencies that this version takes.
    currencies: Arc<[String]>,
}

/// A statement that reads payments: all columns of [`PaymentRow`], and the rest of it.
macro_rules! select_payments {
    ($rest:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            PaymentRow,
            "select id, user_id, amount, currency, payment_method, description, status,
                    decline_code, decline_message, provider_id, attempts, version, created_at,
                    updated_at
             from payments " + $rest
            $(, $argument)*
        )
    };
}

impl Store {
    pub(crate) fn new(database: Database, outbox: Outbox, clock: Clock) -> Self {
        let currencies = Currency::all().map(|currency| currency.as_str().to_owned()).collect();
        let (due, waiters) = (Arc::default(), Waiters::default());
        Self { database, outbox, clock, due, waiters, currencies }
    }

    /// The same repository over other connections, such as those of background work.
    pub(crate) fn over(self, database: Database) -> Self {
        Self { database, ..self }
    }

    /// Waits until this process has made a payment.
    pub(crate) async fn due(&self) {
        self.due.notified().await;
    }

    /// Says that there may be more to charge.
    pub(crate) fn wake(&self) {
        self.due.notify_one();
    }

    /// Saves a new payment and claims its idempotency key, in one transaction.
    ///
    /// Gives what the key keeps when it is taken. [`Error::KeyInFlight`] when another request is
    /// claiming it at this moment.
    pub(crate) async fn create(&self, claim: &Claim, payment: &Payment) -> Result<Kept, Error> {
        let kept =
            self.database.transaction(|tx| self.claim(tx, claim, payment).scope_boxed()).await?;
        self.due.notify_one();
        Ok(kept)
    }

    async fn claim(
        &self,
        tx: &mut PgConnection,
        claim: &Claim,
        payment: &Payment,
    ) -> Result<Kept, Error> {
        check_open(tx, claim.user_id).await?;
        if !keys::lock(tx, claim).await? {
            return Err(Error::KeyInFlight);
        }
        let now = self.clock.now();
        if let Some(kept) = keys::find(&mut *tx, claim, now).await? {
            return Ok(kept);
        }
        insert(tx, payment).await?;
        keys::insert(tx, claim, payment.id, now).await?;
        Ok(Kept::new(payment.id))
    }

    /// Changes a payment as `decide` says.
    pub(crate) async fn change(
        &self,
        id: PaymentId,
        decide: impl Fn(Payment) -> Decided + Send + Sync,
    ) -> Result<Payment, Error> {
        let payment =
            self.database.transaction(|tx| self.write(tx, id, &decide).scope_boxed()).await?;
        self.outbox.wake();
        self.waiters.wake(id);
        Ok(payment)
    }

    async fn write(
        &self,
        tx: &mut PgConnection,
        id: PaymentId,
        decide: &(impl Fn(Payment) -> Decided + Sync),
    ) -> Result<Payment, Error> {
        let row = select_payments!("where id = $1 for update", id.as_uuid());
        let row = row.fetch_optional(&mut *tx).await?.ok_or(DomainError::NotFound)?;
        let seen = row.version;
        let (payment, happened) = decide(row.into())?;
        if payment.version != seen {
            save(tx, &payment).await?;
        }
        events::enqueue(&self.outbox, &self.clock, tx, &payment, happened).await?;
        Ok(payment)
    }

    /// Opens the customer of each message, once. One that is there already, closed or not, stays.
    pub(crate) async fn open_once(
        &self,
        messages: Vec<Delivery<UserCreated>>,
        opened: impl Fn(&Delivery<UserCreated>) -> Customer + Send + Sync,
    ) -> Result<(), Error> {
        self.database.transaction(|tx| open(tx, messages.clone(), &opened).scope_boxed()).await
    }

    /// Closes a customer, erases what the user wrote, and confirms it, for a message; one seen before does
    /// nothing.
    pub(crate) async fn close_once(
        &self,
        message: &InboxKey,
        user: UserId,
        closed: impl Fn(Option<Customer>) -> Customer + Send + Sync,
    ) -> Result<(), Error> {
        self.database
            .transaction(|tx| self.close(tx, message, user, &closed).scope_boxed())
            .await?;
        self.outbox.wake();
        Ok(())
    }

    async fn close(
        &self,
        tx: &mut PgConnection,
        message: &InboxKey,
        user: UserId,
        closed: &(impl Fn(Option<Customer>) -> Customer + Sync),
    ) -> Result<(), Error> {
        if !message.claim(tx).await? {
            return Ok(());
        }
        lock_customer(tx, user).await?;
        let customer = closed(customer(&mut *tx, user).await?);
        // What the user wrote goes by a trigger, so that it does wherever a customer is closed.
        erasure::erase(tx, user.as_uuid()).await?;
        save_customer(tx, &customer).await?;
        let confirmed = ErasureConfirmed { user_id: user };
        Ok(self.outbox.enqueue(tx, self.clock.new_id(), self.clock.now(), &confirmed).await?)
    }

    /// One payment.
    pub(crate) async fn payment(&self, id: PaymentId) -> Result<Payment, Error> {
        let row = select_payments!("where id = $1", id.as_uuid());
        Ok(row.fetch_optional(&self.database).await?.ok_or(DomainError::NotFound)?.into())
    }

    /// A page of a user's payments, or of all, newest first.
    pub(crate) async fn payments(
        &self,
        of: Option<UserId>,
        page: PageRequest,
    ) -> Result<Page<Payment>, Error> {
        let rows = select_payments!(
            "where ($1::uuid is null or user_id = $1) and ($2::uuid is null or id < $2)
             order by id desc limit $3",
            of.map(UserId::as_uuid),
            page.before,
            page.rows(),
        );
        let rows = rows.fetch_all(&self.database).await?;
        let payments = rows.into_iter().map(Payment::from).collect();
        Ok(Page::new(payments, page, |payment: &Payment| payment.id.as_uuid()))
    }

    /// A user's customer.
    pub(crate) async fn customer(&self, user: UserId) -> Result<Option<Customer>, Error> {
        customer(&self.database, user).await
    }
}

/// Writes a new payment, due at once, and its first state.
async fn insert(tx: &mut PgConnection, payment: &Payment) -> Result<(), Error> {
    sqlx::query!(
        "insert into payments (id, user_id, amount, currency, payment_method, description, status,
                               attempts, next_attempt_at, version, created_at, updated_at,
                               traceparent)
         values ($1, $2, $3, $4, $5, $6, 'processing', 0, $7, $8, $7, $7, $9)",
        payment.id.as_uuid(),
        payment.user_id.as_uuid(),
        payment.money.minor(),
        payment.money.currency().as_str(),
        payment.method.as_str(),
        payment.description.as_ref().map(Description::as_str),
        payment.created_at,
        payment.version,
        telemetry::propagation::current_traceparent(),
    )
    .execute(&mut *tx)
    .await?;
    record(tx, payment).await
}

/// Saves a settled payment, and the state in its history.
async fn save(tx: &mut PgConnection, payment: &Payment) -> Result<(), Error> {
    let (decline_code, decline_message) = match &payment.status {
        Status::RequiresPaymentMethod { code, message } => (Some(code), Some(message)),
        Status::Processing | Status::Succeeded | Status::Other(_) => (None, None),
    };
    sqlx::query!(
        "update payments
         set status = $2, decline_code = $3, decline_message = $4, provider_id = $5,
             next_attempt_at = case when $2 = 'processing' then next_attempt_at end,
             version = $6, updated_at = $7
         where id = $1",
        payment.id.as_uuid(),
        payment.status.as_str(),
        decline_code,
        decline_message,
        payment.provider_id,
        payment.version,
        payment.updated_at,
    )
    .execute(&mut *tx)
    .await?;
    record(tx, payment).await
}

async fn record(tx: &mut PgConnection, payment: &Payment) -> Result<(), Error> {
    let reason = match &payment.status {
        Status::RequiresPaymentMethod { code, .. } => Some(code),
        Status::Processing | Status::Succeeded | Status::Other(_) => None,
    };
    sqlx::query!(
        "insert into payment_history (payment_id, version, status, reason, at)
         values ($1, $2, $3, $4, $5)",
        payment.id.as_uuid(),
        payment.version,
        payment.status.as_str(),
        reason,
        payment.updated_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn open(
    tx: &mut PgConnection,
    messages: Vec<Delivery<UserCreated>>,
    opened: &(impl Fn(&Delivery<UserCreated>) -> Customer + Sync),
) -> Result<(), Error> {
    let new = inbox::claim_all(tx, messages).await?;
    let customers: Vec<Customer> = new.iter().map(opened).collect();
    let ids: Vec<Uuid> = customers.iter().map(|customer| customer.id).collect();
    let users: Vec<Uuid> = customers.iter().map(|customer| customer.user_id.as_uuid()).collect();
    let times: Vec<DateTime<Utc>> = customers.iter().map(|customer| customer.opened_at).collect();
    // In the order of their users, so that of two batches that meet none waits for the other for ever.
    sqlx::query!(
        "insert into customers (id, user_id, opened_at)
         select * from unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) as opened (id, user_id, at)
         order by user_id
         on conflict (user_id) do nothing",
        &ids,
        &users,
        &times,
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn save_customer(tx: &mut PgConnection, customer: &Customer) -> Result<(), Error> {
    sqlx::query!(
        "insert into customers (id, user_id, opened_at, closed_at) values ($1, $2, $3, $4)
         on conflict (user_id) do update set closed_at = excluded.closed_at",
        customer.id,
        customer.user_id.as_uuid(),
        customer.opened_at,
        customer.closed_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Lets one message at a time decide about a customer, also about one that has no row yet: of two
/// that both found none, the second would overwrite the first unseen.
async fn lock_customer(tx: &mut PgConnection, user: UserId) -> Result<(), Error> {
    let name = format!("customer:{user}");
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended($1, 0))", name).execute(tx).await?;
    Ok(())
}

/// Makes sure that the payer was not deleted meanwhile: until the transaction ends nobody is, so that
/// what it writes is there to be erased.
async fn check_open(tx: &mut PgConnection, user: UserId) -> Result<(), Error> {
    let name = format!("customer:{user}");
    sqlx::query!("select pg_advisory_xact_lock_shared(hashtextextended($1, 0))", name)
        .execute(&mut *tx)
        .await?;
    match customer(tx, user).await? {
        Some(Customer { closed_at: Some(_), .. }) => Err(Error::PayerNotActive),
        _ => Ok(()),
    }
}

async fn customer(
    executor: impl sqlx::PgExecutor<'_>,
    user: UserId,
) -> Result<Option<Customer>, Error> {
    let row = sqlx::query!(
        "select id, opened_at, closed_at from customers where user_id = $1",
        user.as_uuid(),
    );
    let row = row.fetch_optional(executor).await?;
    Ok(row.map(|row| Customer {
        id: row.id,
        user_id: user,
        opened_at: row.opened_at,
        closed_at: row.closed_at,
    }))
}
