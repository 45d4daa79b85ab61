//! How long an event takes from the commit to its handler while nothing else goes on.

use std::time::{Duration, Instant};

use bench::{print_table, verdict};
use contracts::user::UserUpdated;
use messaging::{Consumer, Delivery, Handlers, Verdict};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::sleep;
use uuid::Uuid;

use crate::world::{Running, World, event, occurred_at};

const EVENTS: usize = 300;
/// The pause before each event: the relay and the consumer have come to rest.
const PAUSE: Duration = Duration::from_millis(20);
const MEDIAN_MS_MAX: f64 = 15.0;

pub(crate) fn idle(runtime: &Runtime) {
    let mut times = runtime.block_on(measure());
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1e3;
    let limit = verdict(&format!("p50 below {MEDIAN_MS_MAX} ms"), at(50) < MEDIAN_MS_MAX);
    let head = ["from the commit to the handler", "p50", "p99", "limit"].map(str::to_owned);
    let cells = ["outbox, relay, queue, consumer".to_owned(), ms(at(50)), ms(at(99)), limit];
    print_table(&format!("{EVENTS} events, one after the other"), &[head.to_vec(), cells.to_vec()]);
}

fn ms(value: f64) -> String {
    format!("{value:.1} ms")
}

async fn measure() -> Vec<Duration> {
    let world = World::new("bench latency").await;
    let (sender, mut handled) = mpsc::unbounded_channel();
    let handlers = Handlers::new(sender).on(note);
    let consumer = Consumer::new(world.connect(), &world.settings, "bench_events", handlers);
    let consumer = consumer.unwrap();
    let consumer = Running::start(|shutdown| async { consumer.run(shutdown).await.unwrap() });
    let outbox = world.outbox();
    let relay = world.relay(&outbox);
    let mut times = Vec::new();
    // The first one waits until the queue is there.
    for number in 0..=EVENTS {
        sleep(PAUSE).await;
        let event = event();
        let mut tx = world.pool.begin().await.unwrap();
        outbox.enqueue(&mut tx, Uuid::now_v7(), occurred_at(), &event).await.unwrap();
        let begin = Instant::now();
        tx.commit().await.unwrap();
        outbox.wake();
        let end: Instant = handled.recv().await.unwrap();
        if number > 0 {
            times.push(end - begin);
        }
    }
    relay.stop().await;
    consumer.stop().await;
    times
}

/// Notes when it was called.
async fn note(times: mpsc::UnboundedSender<Instant>, _: Delivery<UserUpdated>) -> Verdict {
    let _ = times.send(Instant::now());
    Verdict::Ack
}
