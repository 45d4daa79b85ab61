//! Ten minutes of load on a generated service: what it takes must not grow.

use bench::print_table;
use testkit::collector::Collector;

use crate::contestants;
use crate::process::memory_mb;
use crate::turn::Running;

const MINUTES: usize = 10;
/// Of each minute; as long again for POST.
const SECONDS: u32 = 30;

pub(crate) async fn ten_minutes(collector: &Collector) {
    let contestant = contestants::generated(collector);
    let running = Running::start(&contestant).await;
    let mut rows = vec![["minute", "GET/s", "POST/s", "MB"].map(str::to_owned).to_vec()];
    for minute in 1..=MINUTES {
        let get = running.get().run(SECONDS);
        let post = running.post().map(|load| load.run(SECONDS).rate).unwrap_or_default();
        let memory = memory_mb(running.process.id());
        println!("minute {minute}: {:.0} GET/s, {post:.0} POST/s, {memory:.1} MB", get.rate);
        rows.push(vec![
            minute.to_string(),
            format!("{:.0}", get.rate),
            format!("{post:.0}"),
            format!("{memory:.1}"),
        ]);
    }
    print_table("ten minutes of load", &rows);
}
