//! Rows that have passed while somebody reads an old snapshot: the database cannot clear them away,
//! and a relay that looked at all of them would be slower with every row it ever sent.

use std::time::{Duration, Instant};

use bench::{print_table, rounds};
use sqlx::PgConnection;
use sqlx::pool::PoolConnection;
use tokio::runtime::Runtime;
use tokio::time::sleep;

use crate::raw::Raw;
use crate::world::{QUEUE, World, confirmed};
use crate::{head, row};

const PASSED: i64 = 240_000;
/// Passes of one turn: a row each, committed when the one before is confirmed.
const PASSES: u32 = 200;
const ROUNDS: usize = 5;
/// After which a relay begins its looks behind what has passed.
const SETTLED: Duration = Duration::from_secs(12);

pub(crate) fn compared(runtime: &Runtime) {
    let [empty, used] =
        ["bench empty", "bench passed"].map(|hint| runtime.block_on(World::new(hint)));
    let raws = [&empty, &used].map(|world| runtime.block_on(Raw::connect(world)));
    for raw in &raws {
        runtime.block_on(raw.listen(QUEUE));
    }
    let snapshot = runtime.block_on(old_snapshot(&used));
    let relays = [&empty, &used].map(|world| {
        let outbox = world.outbox();
        (runtime.block_on(async { world.relay(&outbox) }), outbox)
    });
    runtime.block_on(async {
        used.fill_outbox(PASSED).await;
        relays[1].1.wake();
        while !used.outbox_is_empty().await {
            sleep(Duration::from_millis(50)).await;
        }
        raws[1].purge(QUEUE).await;
        sleep(SETTLED).await;
    });
    let turn = |index: usize| {
        let world = [&empty, &used][index];
        let outbox = &relays[index].1;
        runtime.block_on(async {
            let begin = Instant::now();
            for _ in 0..PASSES {
                let sent = confirmed();
                world.fill_outbox(1).await;
                outbox.wake();
                while confirmed() == sent {
                    tokio::task::yield_now().await;
                }
            }
            f64::from(PASSES) / begin.elapsed().as_secs_f64()
        })
    };
    let [fresh, passed] = rounds(ROUNDS, &[Box::new(|| turn(0)), Box::new(|| turn(1))]);
    runtime.block_on(async {
        for (relay, _) in relays {
            relay.stop().await;
        }
        drop(snapshot);
    });
    let rows = [
        head("passes of one row", "of the empty table"),
        row("an empty table", &fresh, None),
        row("a table that 240,000 rows passed", &passed, Some((&fresh, 0.5))),
    ];
    print_table(&format!("{PASSES} passes while an old snapshot is open, {ROUNDS} rounds"), &rows);
}

/// A transaction that still sees what there was when it began.
async fn old_snapshot(world: &World) -> PoolConnection<sqlx::Postgres> {
    let mut connection = world.pool.acquire().await.unwrap();
    let begin: &mut PgConnection = &mut connection;
    sqlx::raw_sql("begin isolation level repeatable read; select count(*) from messaging_outbox")
        .execute(begin)
        .await
        .unwrap();
    connection
}
