//! An outbox that has grown while the broker was away: whether its size slows the relay down.

use std::time::Instant;

use bench::{print_table, rounds};
use tokio::runtime::Runtime;

use crate::raw::Raw;
use crate::world::{QUEUE, World, confirmed, reached};
use crate::{head, row};

const FEW: i64 = 10_000;
const MANY: i64 = 1_000_000;
/// Rows that are relayed of each in a turn.
const RELAYED: u64 = 10_000;
const ROUNDS: usize = 5;

pub(crate) fn compared(runtime: &Runtime) {
    let [few, many] = ["bench few", "bench many"].map(|hint| runtime.block_on(Outboxed::new(hint)));
    runtime.block_on(many.world.fill_outbox(MANY));
    let [small, large] = rounds(
        ROUNDS,
        &[
            Box::new(|| {
                runtime.block_on(few.world.fill_outbox(FEW));
                runtime.block_on(few.drain())
            }),
            Box::new(|| runtime.block_on(many.drain())),
        ],
    );
    let rows = [
        head("rows relayed", "of the few"),
        row("an outbox of 10,000 rows", &small, None),
        row("an outbox of 1,000,000 rows", &large, Some((&small, 0.9))),
    ];
    print_table(&format!("the first {RELAYED} rows, {ROUNDS} rounds"), &rows);
    println!("  {}", runtime.block_on(scans(&many)));
    println!("  memory of this process: {}", memory());
}

/// A world whose messages have somewhere to go.
struct Outboxed {
    world: World,
    raw: Raw,
}

impl Outboxed {
    async fn new(hint: &str) -> Self {
        let world = World::new(hint).await;
        let raw = Raw::connect(&world).await;
        raw.listen(QUEUE).await;
        Self { world, raw }
    }

    /// Relays the first rows; gives the rate from the first confirmed batch on.
    async fn drain(&self) -> f64 {
        let start = confirmed();
        let relay = self.world.relay(&self.world.outbox());
        let begun = reached(start + 1).await;
        let begin = Instant::now();
        let done = reached(start + RELAYED).await;
        let taken = begin.elapsed();
        relay.stop().await;
        self.raw.purge(QUEUE).await;
        (done - begun) as f64 / taken.as_secs_f64()
    }
}

/// How the outbox was read: all of it, or by its indexes.
async fn scans(outboxed: &Outboxed) -> String {
    let query = "select seq_scan, idx_scan from pg_stat_user_tables
                 where relname = 'messaging_outbox'";
    let (all, index): (i64, i64) =
        sqlx::query_as(query).fetch_one(&outboxed.world.pool).await.unwrap();
    format!(
        "the million was read {all} times in a row (to count its first 100,000), {index} times by an index"
    )
}

/// The most that this process held at a time.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.map_or_else(|| "not known here".to_owned(), |peak| format!("{} at most", peak.trim()))
}
