//! The inbox: sqlx and lapin by hand, and a consumer whose handler does the same.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bench::{print_table, rounds};
use contracts::user::UserUpdated;
use messaging::{Consumer, Delivery, Handlers, Verdict, inbox};
use sqlx::PgPool;
use tokio::runtime::Runtime;
use tokio::time::sleep;
use uuid::Uuid;

use crate::raw::Raw;
use crate::world::{CONCURRENCY, PREFETCH, QUEUE, Running, World, body, event};
use crate::{head, row};

/// Messages of one turn.
const MESSAGES: usize = 4_000;
/// Messages before its clock starts: connecting and subscribing are not what is compared.
const WARM_UP: usize = 400;
const ROUNDS: usize = 7;
/// Messages of one batch at most, and how long the first of them waits for more.
const BATCH: usize = 50;
const LINGER: Duration = Duration::from_millis(5);
/// Batches at the same time, and messages that are prefetched: two full batches for each.
const BATCHES: NonZeroU16 = NonZeroU16::new(4).unwrap();
const BATCHES_PREFETCH: NonZeroU16 = NonZeroU16::new(400).unwrap();

pub(crate) fn compared(runtime: &Runtime) {
    let world = runtime.block_on(World::new("bench inbox"));
    let raw = runtime.block_on(async {
        let effects = "create table effects (user_id uuid not null, name text not null)";
        sqlx::query(effects).execute(&world.pool).await.unwrap();
        let raw = Raw::connect(&world).await;
        consumer_declares(&world).await;
        raw
    });
    let turn = |work: &dyn Fn() -> f64| {
        let event = event();
        let id = |_| Uuid::now_v7();
        let messages: Vec<_> = (0..MESSAGES).map(id).map(|id| (id, body(id, &event))).collect();
        runtime.block_on(raw.publish(&messages));
        (MESSAGES - WARM_UP) as f64 / work()
    };
    let by_hand = || runtime.block_on(raw.consume(&world.pool, MESSAGES, WARM_UP));
    let single = || runtime.block_on(consume(&world, Mode::Single));
    let batched = || runtime.block_on(consume(&world, Mode::Batched));
    let [hand, ours, batches] = rounds(
        ROUNDS,
        &[Box::new(|| turn(&by_hand)), Box::new(|| turn(&single)), Box::new(|| turn(&batched))],
    );
    let rows = [
        head("a claim and an effect in a transaction", "of sqlx"),
        row("lapin and sqlx by hand", &hand, None),
        row("a handler", &ours, Some((&hand, 0.9))),
    ];
    let batched_rows = [
        head("the same in batches", "of single"),
        row("a handler", &ours, None),
        row(&format!("a handler of up to {BATCH}"), &batches, Some((&ours, 2.0))),
    ];
    let title =
        format!("{MESSAGES} messages, {CONCURRENCY} at once, prefetch {PREFETCH}, {ROUNDS} rounds");
    print_table(&title, &rows);
    print_table(&title, &batched_rows);
}

/// How messages come to the handler.
#[derive(Clone, Copy)]
enum Mode {
    Single,
    Batched,
}

/// Handles all messages; gives the seconds from when the first ones were done.
async fn consume(world: &World, mode: Mode) -> f64 {
    let done = Arc::new(AtomicUsize::new(0));
    let running = consumer(world, &done, mode);
    reached(&done, WARM_UP).await;
    let from = done.load(Ordering::Relaxed);
    let began = Instant::now();
    reached(&done, MESSAGES).await;
    let taken = began.elapsed().as_secs_f64();
    let handled = MESSAGES - from;
    running.stop().await;
    taken * (MESSAGES - WARM_UP) as f64 / handled as f64
}

fn consumer(world: &World, done: &Arc<AtomicUsize>, mode: Mode) -> Running {
    let effects = Effects { pool: world.pool.clone(), done: Arc::clone(done) };
    let mut settings = world.settings.clone();
    let handlers = match mode {
        Mode::Single => Handlers::new(effects).on(Effects::user_updated),
        Mode::Batched => {
            // Enough is there for the next batches while these are handled.
            settings.consumer.concurrency = BATCHES;
            settings.consumer.prefetch = BATCHES_PREFETCH;
            // So much in hand must be done before the broker asks for it.
            settings.consumer.handler_timeout = Duration::from_secs(5);
            Handlers::new(effects).on_batch(BATCH, LINGER, Effects::many_updated)
        }
    };
    let consumer = Consumer::new(world.connect(), &settings, "bench_events", handlers);
    let consumer = consumer.unwrap();
    Running::start(|shutdown| async { consumer.run(shutdown).await.unwrap() })
}

async fn reached(done: &AtomicUsize, count: usize) {
    while done.load(Ordering::Relaxed) < count {
        sleep(Duration::from_millis(1)).await;
    }
}

/// Has our consumer declare its queue.
async fn consumer_declares(world: &World) {
    let running = consumer(world, &Arc::default(), Mode::Single);
    testkit::eventually("the queue is consumed", async || {
        let queue = world.broker.queue(QUEUE).await?;
        (queue["consumers"].as_u64()? > 0).then_some(())
    })
    .await;
    running.stop().await;
}

#[derive(Clone)]
struct Effects {
    pool: PgPool,
    done: Arc<AtomicUsize>,
}

impl Effects {
    async fn user_updated(self, delivery: Delivery<UserUpdated>) -> Verdict {
        let effect = async {
            let mut tx = self.pool.begin().await?;
            if delivery.claim(&mut tx).await? {
                sqlx::query("insert into effects (user_id, name) values ($1, $2)")
                    .bind(delivery.data.user_id.as_uuid())
                    .bind(&delivery.data.name)
                    .execute(&mut *tx)
                    .await?;
            }
            tx.commit().await
        };
        match effect.await {
            Ok(()) => {
                self.done.fetch_add(1, Ordering::Relaxed);
                Verdict::Ack
            }
            Err(error) => Verdict::unavailable(error),
        }
    }

    /// The same for many, in statements for all of them.
    async fn many_updated(self, deliveries: Vec<Delivery<UserUpdated>>) -> Verdict {
        let count = deliveries.len();
        let effects = async {
            let mut tx = self.pool.begin().await?;
            let new = inbox::claim_all(&mut tx, deliveries).await?;
            let users: Vec<Uuid> = new.iter().map(|one| one.data.user_id.as_uuid()).collect();
            let names: Vec<String> = new.into_iter().map(|one| one.data.name).collect();
            sqlx::query("insert into effects (user_id, name) select * from unnest($1, $2)")
                .bind(users)
                .bind(names)
                .execute(&mut *tx)
                .await?;
            tx.commit().await
        };
        match effects.await {
            Ok(()) => {
                self.done.fetch_add(count, Ordering::Relaxed);
                Verdict::Ack
            }
            Err(error) => Verdict::unavailable(error),
        }
    }
}
