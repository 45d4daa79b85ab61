//! Contestants that one thread runs, or two at the same time.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use bench::{Contestant, Figure, compare};

/// Calls of a thread in one turn: of two that begin together, far more than one makes alone.
pub(crate) const CALLS: usize = 20_000;

/// A call that does nothing, and that the compiler cannot see through.
#[inline(never)]
pub(crate) async fn bare(number: usize) -> Result<usize, &'static str> {
    black_box(Ok(number))
}

/// Makes a thread's calls.
pub(crate) type Work<'a> = Box<dyn Fn() + Sync + 'a>;

/// Runs a future that never waits for anything but itself.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(future)
}

/// Work of `CALLS` calls, one after the other.
pub(crate) fn calls<'a, F: Future>(call: impl Fn(usize) -> F + Sync + 'a) -> Work<'a> {
    Box::new(move || {
        block_on(async {
            for number in 0..CALLS {
                let _ = black_box(call(number).await);
            }
        });
    })
}

/// What a call costs at one thread and at two that share, in nanoseconds.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) one: f64,
    pub(crate) two: f64,
}

pub(crate) fn measure(contestants: &[(&str, Work<'_>)]) -> Vec<Row> {
    let figures = |threads| {
        let contestants: Vec<_> =
            contestants.iter().map(|(name, work)| at(threads, name, work)).collect();
        compare(&contestants)
    };
    let one = figures(1);
    let two = figures(2);
    let row = |(one, two): (Figure, Figure)| Row {
        one: nanos(one.quick, one.bytes),
        two: nanos(two.median, two.bytes),
        name: one.name,
    };
    one.into_iter().zip(two).map(row).collect()
}

fn at<'a>(threads: usize, name: &'a str, work: &'a Work<'a>) -> Contestant<'a> {
    Contestant { name, bytes: CALLS, turn: Box::new(move || turn(threads, work)) }
}

/// The time of the slowest of so many threads that begin together.
fn turn(threads: usize, work: &Work<'_>) -> Duration {
    let barrier = Barrier::new(threads);
    let run = || {
        barrier.wait();
        let begin = Instant::now();
        work();
        begin.elapsed()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).max().unwrap()
    })
}

#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
fn nanos(time: Duration, calls: usize) -> f64 {
    time.as_secs_f64() * 1e9 / calls as f64
}

/// The rows beside the row `floor`; a row with a factor must keep to it at one thread, and to
/// twice its own figure at two.
pub(crate) fn print(title: &str, rows: &[Row], floor: &str, limits: &[(&str, f64)]) {
    let floor = rows.iter().find(|row| row.name == floor).unwrap();
    let cell = |text: &str| text.to_owned();
    let mut table = vec![vec![
        cell(""),
        cell("1 thread"),
        cell("2 threads"),
        cell("2 : 1"),
        cell("to floor"),
        cell(""),
        cell(""),
    ]];
    for Row { name, one, two } in rows {
        let mut line = vec![
            name.clone(),
            format!("{one:.1} ns"),
            format!("{two:.1} ns"),
            format!("{:.1} x", two / one),
            format!("{:.2} x", one / floor.one),
        ];
        if let Some((_, limit)) = limits.iter().find(|(limited, _)| limited == name) {
            line.push(bench::verdict(&format!("<= {limit} x floor"), *one <= limit * floor.one));
            line.push(bench::verdict("two <= 2 x one", *two <= 2.0 * one));
        }
        table.push(line);
    }
    bench::print_table(title, &table);
}
