//! A process manager from its first event to its compensation: an order that waits for its payment, or
//! for a time-out.

use chrono::{DateTime, TimeDelta, Utc};
use contracts::payment::PaymentCompleted;
use contracts::{Event, PaymentId};
use database::{Database, FutureExt};
use messaging::process_manager::{self, Process, ProcessError, Step};
use messaging::{Delivery, Handlers, Outbox, Verdict};
use serde::{Deserialize, Serialize};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::raw::{Client, json as body};
use crate::world::{EXCHANGE, World, user};

/// An event about an order, which is known by its payment.
macro_rules! event {
    ($name:ident, $type:literal) => {
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        struct $name {
            payment_id: PaymentId,
        }

        impl Event for $name {
            const TYPE: &'static str = $type;
            const EXCHANGE: &'static str = "user_exchange";

            fn aggregate_id(&self) -> Uuid {
                self.payment_id.as_uuid()
            }
        }
    };
}

event!(OrderTimedOut, "order.timed_out");
event!(OrderConfirmed, "order.confirmed");
event!(OrderCancelled, "order.cancelled");
event!(RefundRequested, "refund.requested");

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct OrderPlaced {
    payment_id: PaymentId,
    pay_until: DateTime<Utc>,
}

impl Event for OrderPlaced {
    const TYPE: &'static str = "order.placed";
    const EXCHANGE: &'static str = "user_exchange";

    fn aggregate_id(&self) -> Uuid {
        self.payment_id.as_uuid()
    }
}

/// An order: confirmed when it is paid in time, else cancelled; a payment after that is given back.
struct Order;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    AwaitsPayment { payment_id: PaymentId },
    Confirmed,
    Cancelled { payment_id: PaymentId },
    Refunded,
}

#[derive(Debug, Clone, Copy)]
enum Message {
    Placed {
        payment_id: PaymentId,
        pay_until: DateTime<Utc>,
    },
    /// Somebody looked at it: it goes on waiting.
    Viewed,
    Paid,
    TimedOut,
}

impl Process for Order {
    const KIND: &'static str = "order";
    type State = State;
    type Message = Message;

    fn step(state: Option<State>, message: Message) -> Option<Step<State>> {
        match (state, message) {
            (None, Message::Placed { payment_id, pay_until }) => Some(
                Step::to(State::AwaitsPayment { payment_id })
                    .deadline(pay_until, OrderTimedOut { payment_id }),
            ),
            (Some(state @ State::AwaitsPayment { .. }), Message::Viewed) => {
                Some(Step::to(state).keep_deadline())
            }
            (Some(State::AwaitsPayment { payment_id }), Message::Paid) => {
                Some(Step::to(State::Confirmed).publish(OrderConfirmed { payment_id }).end())
            }
            (Some(State::AwaitsPayment { payment_id }), Message::TimedOut) => Some(
                Step::to(State::Cancelled { payment_id })
                    .publish(OrderCancelled { payment_id })
                    .end(),
            ),
            // The money came too late: the compensation.
            (Some(State::Cancelled { payment_id }), Message::Paid) => {
                Some(Step::to(State::Refunded).publish(RefundRequested { payment_id }).end())
            }
            // What came before its order, or too late, or again.
            _ => None,
        }
    }
}

/// The service that leads the process.
#[derive(Clone)]
struct Shop {
    database: Database,
    outbox: Outbox,
}

impl Shop {
    fn handlers(&self) -> Handlers<Self> {
        Handlers::new(self.clone()).on(Self::placed).on(Self::paid).on(Self::timed_out)
    }

    async fn placed(self, delivery: Delivery<OrderPlaced>) -> Verdict {
        let OrderPlaced { payment_id, pay_until } = delivery.data;
        self.take(&delivery, payment_id, Message::Placed { payment_id, pay_until }).await
    }

    async fn paid(self, delivery: Delivery<PaymentCompleted>) -> Verdict {
        self.take(&delivery, delivery.data.payment_id, Message::Paid).await
    }

    async fn timed_out(self, delivery: Delivery<OrderTimedOut>) -> Verdict {
        self.take(&delivery, delivery.data.payment_id, Message::TimedOut).await
    }

    /// Claim and step in one transaction.
    async fn take<D: Sync>(
        &self,
        delivery: &Delivery<D>,
        id: PaymentId,
        message: Message,
    ) -> Verdict {
        let mut connection = self.database.acquire().await.unwrap();
        let mut tx = connection.begin().await.unwrap();
        let taken = async {
            if delivery.claim(&mut tx).await? {
                step(&mut tx, &self.outbox, id, message).await?;
            }
            tx.commit().await?;
            Ok::<_, ProcessError>(())
        };
        match taken.await {
            Ok(()) => {
                self.outbox.wake();
                Verdict::Ack
            }
            Err(error) => error.into(),
        }
    }
}

async fn step(
    tx: &mut PgConnection,
    outbox: &Outbox,
    id: PaymentId,
    message: Message,
) -> Result<bool, ProcessError> {
    let key = id.to_string();
    let now = Utc::now();
    let state = process_manager::handle::<Order>(tx, outbox, &key, now, Uuid::now_v7, message);
    Ok(state.await?.is_some())
}

#[test]
fn a_step_can_be_tested_without_a_database() {
    let payment_id = id(1);
    let step = Order::step(Some(State::AwaitsPayment { payment_id }), Message::TimedOut).unwrap();
    assert_eq!(*step.state(), State::Cancelled { payment_id });
    assert!(step.published().eq(["order.cancelled"]));
    assert!(Order::step(None, Message::Paid).is_none());
    assert!(Order::step(Some(State::Confirmed), Message::TimedOut).is_none());
}

#[tokio::test]
async fn an_order_that_is_paid_in_time_is_confirmed_and_its_time_out_never_comes() {
    let at_work = AtWork::new("order paid").await;
    at_work.emit(&placed(1, 60_000)).await;
    at_work.reaches(1, json(State::AwaitsPayment { payment_id: id(1) })).await;
    assert_eq!(at_work.scheduled().await, 1);

    at_work.emit(&paid(1)).await;

    assert_eq!(at_work.next().await, ("order.confirmed".to_owned(), id(1)));
    at_work.reaches(1, json(State::Confirmed)).await;
    assert_eq!(at_work.scheduled().await, 0, "its deadline went with the step");
}

#[tokio::test]
async fn an_order_that_is_not_paid_in_time_is_cancelled_and_paid_after_that_refunded() {
    let at_work = AtWork::new("order timed out").await;
    at_work.emit(&placed(1, 700)).await;

    assert_eq!(at_work.next().await, ("order.cancelled".to_owned(), id(1)));
    at_work.emit(&paid(1)).await;

    assert_eq!(at_work.next().await, ("refund.requested".to_owned(), id(1)));
    at_work.reaches(1, json(State::Refunded)).await;
}

#[tokio::test]
async fn a_time_out_that_comes_after_the_payment_changes_nothing() {
    let at_work = AtWork::new("late time-out").await;
    at_work.emit(&placed(1, 60_000)).await;
    at_work.reaches(1, json(State::AwaitsPayment { payment_id: id(1) })).await;
    at_work.emit(&paid(1)).await;
    assert_eq!(at_work.next().await.0, "order.confirmed");

    // It was under way when the payment cancelled it.
    at_work.emit(&OrderTimedOut { payment_id: id(1) }).await;
    at_work.emit(&placed(2, 700)).await;

    assert_eq!(
        at_work.next().await,
        ("order.cancelled".to_owned(), id(2)),
        "and none of the first"
    );
    at_work.reaches(1, json(State::Confirmed)).await;
}

#[tokio::test]
async fn the_same_event_twice_has_one_step() {
    let at_work = AtWork::new("order twice").await;
    at_work.emit(&placed(1, 60_000)).await;
    at_work.reaches(1, json(State::AwaitsPayment { payment_id: id(1) })).await;
    let event_id = Uuid::now_v7();
    for _ in 0..2 {
        let mut tx = at_work.world.pool.begin().await.unwrap();
        at_work.outbox.enqueue(&mut tx, event_id, Utc::now(), &paid(1)).await.unwrap();
        tx.commit().await.unwrap();
    }
    at_work.outbox.wake();
    assert_eq!(at_work.next().await.0, "order.confirmed");

    at_work.emit(&placed(2, 700)).await;
    assert_eq!(
        at_work.next().await,
        ("order.cancelled".to_owned(), id(2)),
        "no second confirmation"
    );
    assert_eq!(at_work.version(1).await, Some(2));
}

#[tokio::test]
async fn replicas_that_meet_at_one_order_take_turns() {
    let world = World::new("order replicas").await;
    let database = Database::from(world.pool.clone());
    let outbox = world.outbox();
    for number in 0..25 {
        let payment_id = id(number);
        let pay_until = Utc::now() + TimeDelta::hours(1);
        // Two first steps at once: one begins the order, the other finds it.
        let begin = Message::Placed { payment_id, pay_until };
        let (one, other) = tokio::join!(
            committed(&database, &outbox, payment_id, begin),
            committed(&database, &outbox, payment_id, begin),
        );
        assert!(one != other, "order {number}: {one} {other}");

        // The payment and the time-out at once, in whichever order.
        let (paid, timed_out) = tokio::join!(
            committed(&database, &outbox, payment_id, Message::Paid),
            committed(&database, &outbox, payment_id, Message::TimedOut),
        );
        assert!(paid, "a payment has its step either way");
        let expected: &[&str] =
            if timed_out { &["order.cancelled", "refund.requested"] } else { &["order.confirmed"] };
        assert_eq!(events_of(&world, payment_id).await, expected, "order {number}");
    }
    let scheduled: i64 = sqlx::query_scalar("select count(*) from messaging_scheduled")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!(scheduled, 0);
}

#[tokio::test]
async fn a_crash_in_the_middle_of_a_step_leaves_nothing_of_it() {
    let world = World::new("order crash").await;
    let database = Database::from(world.pool.clone());
    let outbox = world.outbox();
    let payment_id = id(1);
    let pay_until = Utc::now() + TimeDelta::hours(1);
    let begin = Message::Placed { payment_id, pay_until };

    let mut tx = world.pool.begin().await.unwrap();
    assert!(step(&mut tx, &outbox, payment_id, begin).await.unwrap());
    drop(tx);
    assert!(!committed(&database, &outbox, payment_id, Message::Paid).await, "it never began");
    assert!(committed(&database, &outbox, payment_id, begin).await);

    let mut tx = world.pool.begin().await.unwrap();
    assert!(step(&mut tx, &outbox, payment_id, Message::Paid).await.unwrap());
    drop(tx);
    assert!(events_of(&world, payment_id).await.is_empty());
    let scheduled: i64 = sqlx::query_scalar("select count(*) from messaging_scheduled")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!(scheduled, 1, "its deadline is still there");

    assert!(committed(&database, &outbox, payment_id, Message::Paid).await);
    assert_eq!(events_of(&world, payment_id).await, ["order.confirmed"]);
}

#[tokio::test]
async fn a_step_that_keeps_the_deadline_leaves_it_be_and_sets_none_that_is_under_way_again() {
    let world = World::new("order kept").await;
    let database = Database::from(world.pool.clone());
    let outbox = world.outbox();
    let payment_id = id(1);
    let pay_until = Utc::now() + TimeDelta::hours(1);
    assert!(
        committed(&database, &outbox, payment_id, Message::Placed { payment_id, pay_until }).await
    );
    let scheduled = async || {
        let ids = sqlx::query_scalar("select event_id from messaging_scheduled");
        ids.fetch_all(&world.pool).await.unwrap() as Vec<Uuid>
    };
    let before = scheduled().await;
    assert!(committed(&database, &outbox, payment_id, Message::Viewed).await);
    assert_eq!((scheduled().await, before.len()), (before, 1));

    // Its time comes, and it is not handled yet.
    let due = "update messaging_scheduled set due_at = now()";
    sqlx::query(due).execute(&world.pool).await.unwrap();
    assert_eq!(messaging::schedule::release_due(&database).await.unwrap(), 1);
    assert!(committed(&database, &outbox, payment_id, Message::Viewed).await);
    assert!(scheduled().await.is_empty(), "a second time-out would come");
    assert_eq!(events_of(&world, payment_id).await, ["order.timed_out"]);
}

#[tokio::test]
async fn processes_that_take_too_long_are_counted_until_they_end() {
    let world = World::new("order open").await;
    let database = Database::from(world.pool.clone());
    let outbox = world.outbox();
    let pay_until = Utc::now() + TimeDelta::hours(1);
    for number in 1..=3 {
        let payment_id = id(number);
        committed(&database, &outbox, payment_id, Message::Placed { payment_id, pay_until }).await;
    }
    committed(&database, &outbox, id(1), Message::Paid).await;
    let begun =
        "update messaging_processes set begun_at = begun_at - interval '1 day' where key <> $1";
    sqlx::query(begun).bind(id(3).to_string()).execute(&world.pool).await.unwrap();

    let hour_ago = Utc::now() - TimeDelta::hours(1);
    let count = process_manager::count_open::<Order>(&database, hour_ago).await.unwrap();
    assert_eq!(count, 1, "one has ended, one is young");
}

#[tokio::test]
async fn what_does_nothing_to_a_process_that_has_not_begun_leaves_no_row() {
    let world = World::new("order none").await;
    let database = Database::from(world.pool.clone());
    let outbox = world.outbox();

    assert!(!committed(&database, &outbox, id(1), Message::Paid).await);

    let rows: i64 = sqlx::query_scalar("select count(*) from messaging_processes")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!(rows, 0);
    let mut tx = world.pool.begin().await.unwrap();
    for key in [String::new(), "x".repeat(129)] {
        let refused = process_manager::handle::<Order>(
            &mut tx,
            &outbox,
            &key,
            Utc::now(),
            Uuid::now_v7,
            Message::Paid,
        );
        assert!(matches!(refused.await, Err(ProcessError::Key)));
    }
}

/// The shop at work, and somebody who reads what it publishes.
struct AtWork {
    world: World,
    outbox: Outbox,
    client: Client,
    results: String,
    _running: (crate::world::Running, crate::world::Running),
}

impl AtWork {
    async fn new(hint: &str) -> Self {
        let world = World::new(hint).await;
        let database = Database::from(world.pool.clone());
        let outbox = world.outbox();
        let client = world.client().await;
        let results = client.queue("results").await;
        for key in [OrderConfirmed::TYPE, OrderCancelled::TYPE, RefundRequested::TYPE] {
            client.bind(&results, EXCHANGE, key).await;
        }
        let shop = Shop { database, outbox: outbox.clone() };
        let running = (world.relay(&outbox), world.consumer(shop.handlers()));
        world.bound_to(2).await;
        Self { world, outbox, client, results, _running: running }
    }

    async fn emit<E: Event>(&self, event: &E) {
        self.world.emit(&self.outbox, event).await;
    }

    /// The next result.
    async fn next(&self) -> (String, PaymentId) {
        let message = body(&self.client.next(&self.results).await);
        let of = message["data"]["payment_id"].as_str().unwrap().parse().unwrap();
        (message["event_type"].as_str().unwrap().to_owned(), of)
    }

    async fn reaches(&self, number: u128, state: serde_json::Value) {
        testkit::eventually("the order reaches its state", async || {
            (self.state(number).await? == state).then_some(())
        })
        .await;
    }

    async fn state(&self, number: u128) -> Option<serde_json::Value> {
        let state = sqlx::query_scalar("select state from messaging_processes where key = $1");
        state.bind(id(number).to_string()).fetch_optional(&self.world.pool).await.unwrap()
    }

    async fn version(&self, number: u128) -> Option<i64> {
        let version = sqlx::query_scalar("select version from messaging_processes where key = $1");
        version.bind(id(number).to_string()).fetch_optional(&self.world.pool).await.unwrap()
    }

    async fn scheduled(&self) -> i64 {
        let count = sqlx::query_scalar("select count(*) from messaging_scheduled");
        count.fetch_one(&self.world.pool).await.unwrap()
    }
}

/// A step in a transaction of its own, as another replica would take it.
async fn committed(database: &Database, outbox: &Outbox, of: PaymentId, message: Message) -> bool {
    let taken = database.transaction(|tx| step(tx, outbox, of, message).scope_boxed()).await;
    taken.unwrap()
}

async fn events_of(world: &World, of: PaymentId) -> Vec<String> {
    let types = sqlx::query_scalar(
        "select routing_key from messaging_outbox where aggregate_id = $1 order by id",
    );
    types.bind(of.as_uuid()).fetch_all(&world.pool).await.unwrap()
}

fn json(state: State) -> serde_json::Value {
    serde_json::to_value(state).unwrap()
}

fn id(number: u128) -> PaymentId {
    PaymentId::from_uuid(user(number).as_uuid())
}

fn placed(number: u128, millis: i64) -> OrderPlaced {
    OrderPlaced { payment_id: id(number), pay_until: Utc::now() + TimeDelta::milliseconds(millis) }
}

fn paid(number: u128) -> PaymentCompleted {
    let amount = 1_999;
    let currency = "EUR".to_owned();
    PaymentCompleted { payment_id: id(number), user_id: user(number), amount, currency }
}
