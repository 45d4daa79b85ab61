//! Publishing: lapin by hand, our publisher, and the relay.

use std::time::{Duration, Instant};

use bench::{print_table, rounds};
use messaging::EventPublisher;
use tokio::runtime::Runtime;
use tokio::time::sleep;
use uuid::Uuid;

use crate::raw::Raw;
use crate::world::{BATCH, QUEUE, World, body, confirmed, event, occurred_at, reached};
use crate::{head, row};

/// Messages of one turn: two full batches of each partition of the outbox.
const MESSAGES: usize = 8_000;
const ROUNDS: usize = 7;

pub(crate) fn compared(runtime: &Runtime) {
    let world = runtime.block_on(World::new("bench publish"));
    let raw = runtime.block_on(Raw::connect(&world));
    runtime.block_on(raw.listen(QUEUE));
    let publisher = EventPublisher::new("user-service", &world.connect(), &world.settings).unwrap();
    let outbox = world.outbox();
    let relay = runtime.block_on(async { world.relay(&outbox) });
    let turn = |work: &dyn Fn() -> Duration| {
        let rate = MESSAGES as f64 / work().as_secs_f64();
        runtime.block_on(raw.purge(QUEUE));
        rate
    };
    let by_hand = || {
        let event = event();
        let ids = (0..MESSAGES).map(|_| Uuid::now_v7());
        let ids: Vec<_> = ids.collect();
        timed(runtime, async || {
            for batch in ids.chunks(BATCH.into()) {
                let messages: Vec<_> = batch.iter().map(|&id| (id, body(id, &event))).collect();
                raw.publish(&messages).await;
            }
        })
    };
    let published = || {
        let event = event();
        let message = |_| (Uuid::now_v7(), occurred_at(), event.clone());
        let events: Vec<_> = (0..MESSAGES).map(message).collect();
        timed(runtime, async || {
            for batch in events.chunks(BATCH.into()) {
                publisher.publish_all(batch).await.unwrap();
            }
        })
    };
    let relayed = || {
        runtime.block_on(world.fill_outbox(MESSAGES.try_into().unwrap()));
        timed(runtime, async || {
            let before = confirmed();
            outbox.wake();
            // A look at the table reads all that is deleted from it and not yet cleaned up.
            reached(before + MESSAGES as u64).await;
            while !world.outbox_is_empty().await {
                sleep(Duration::from_millis(2)).await;
            }
        })
    };
    let [lapin, ours, relays] = rounds(
        ROUNDS,
        &[Box::new(|| turn(&by_hand)), Box::new(|| turn(&published)), Box::new(|| turn(&relayed))],
    );
    runtime.block_on(relay.stop());
    let rows = [
        head("publish, 512 bytes, confirmed", "of lapin"),
        row("lapin by hand, 500 at once", &lapin, None),
        row("EventPublisher::publish_all, 500 at once", &ours, Some((&lapin, 0.95))),
        row("relay: rows committed, confirmed, deleted", &relays, Some((&lapin, 0.8))),
    ];
    print_table(&format!("{MESSAGES} messages into a quorum queue, {ROUNDS} rounds"), &rows);
}

fn timed(runtime: &Runtime, work: impl AsyncFn()) -> Duration {
    runtime.block_on(async {
        let begin = Instant::now();
        work().await;
        begin.elapsed()
    })
}
