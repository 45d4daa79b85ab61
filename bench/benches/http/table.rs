//! The table: each contestant's medians, and the ratios that limits are about.

use bench::{median, print_table, verdict};

use crate::contestants::{Contestant, Kind};
use crate::load::Figures;
use crate::turn::Turn;

/// Reads of one turn; none where the contestant does not do it.
type Read = fn(&Turn) -> Option<f64>;

/// What a ratio to the limit, or to another contestant, has to be.
struct Bound {
    what: &'static str,
    to: &'static str,
    read: Read,
    at_least: bool,
    ratio: f64,
}

const GET_RATE: Read = |turn| Some(turn.get.rate);
const GET_CPU: Read = |turn| Some(turn.get.cpu_us);
const POST_RATE: Read = |turn| turn.post.map(|post| post.rate);
const POST_P99: Read = |turn| turn.post.map(|post| post.p99_ms);
const GET_P99: Read = |turn| Some(turn.get.p99_ms);

const fn least(what: &'static str, to: &'static str, read: Read, ratio: f64) -> Bound {
    Bound { what, to, read, at_least: true, ratio }
}

const fn most(what: &'static str, read: Read, ratio: f64) -> Bound {
    Bound { what, to: "limit", read, at_least: false, ratio }
}

/// Of a generated service.
const GENERATED: [Bound; 6] = [
    least("GET", "limit", GET_RATE, 0.85),
    least("GET", "gin", GET_RATE, 1.0),
    most("CPU of GET", GET_CPU, 1.3),
    most("p99 of GET", GET_P99, 1.3),
    least("POST", "limit", POST_RATE, 0.75),
    most("p99 of POST", POST_P99, 1.3),
];
/// Of user-service, whose cache spares it the database.
const USERS: [Bound; 1] = [least("GET", "limit", GET_RATE, 1.0)];
/// Megabytes at rest and after the load.
const MEMORY_MB: [f64; 2] = [20.0, 30.0];

pub(crate) fn print(contestants: &[Contestant], turns: &[Vec<Turn>]) {
    print_table("HTTP, medians of the rounds", &figures(contestants, turns));
    let mut rows = vec![["who", "what", "ratio", "limit"].map(str::to_owned).to_vec()];
    for (contestant, own) in contestants.iter().zip(turns) {
        let bounds = match contestant.kind {
            Kind::Bare => &[][..],
            Kind::Generated => &GENERATED,
            Kind::Users => &USERS,
        };
        for bound in bounds {
            let to = contestants.iter().position(|other| other.name == bound.to);
            let Some(ratio) = to.and_then(|to| ratio(own, &turns[to], bound.read)) else {
                continue;
            };
            let (word, kept) = if bound.at_least {
                ("at least", ratio >= bound.ratio)
            } else {
                ("at most", ratio <= bound.ratio)
            };
            let limit = verdict(&format!("{word} {}", bound.ratio), kept);
            let what = format!("{} / {}", bound.what, bound.to);
            rows.push(vec![contestant.name.to_owned(), what, format!("{ratio:.2}"), limit]);
        }
        if contestant.kind != Kind::Bare {
            let read = [|turn: &Turn| turn.idle_mb, |turn: &Turn| turn.loaded_mb];
            for ((when, most), read) in ["idle", "loaded"].into_iter().zip(MEMORY_MB).zip(read) {
                let memory = median(own.iter().map(read).collect());
                let limit = verdict(&format!("at most {most} MB"), memory <= most);
                let what = format!("memory, {when}");
                rows.push(vec![contestant.name.to_owned(), what, format!("{memory:.1} MB"), limit]);
            }
        }
    }
    print_table("HTTP, ratios within each round", &rows);
}

fn figures(contestants: &[Contestant], turns: &[Vec<Turn>]) -> Vec<Vec<String>> {
    let gets = ["who", "GET/s", "p50", "p99", "CPU µs"];
    // What a row costs beside the service: its insert, and where it is relayed, its way to the broker.
    let posts = ["POST/s", "p50", "p99", "CPU µs", "of PostgreSQL", "of RabbitMQ", "relayed s"];
    let rest = ["health/s", "CPU µs", "idle MB", "loaded MB", "start ms"];
    let head = gets.into_iter().chain(posts).chain(rest);
    let mut rows = vec![head.map(str::to_owned).collect()];
    for (contestant, turns) in contestants.iter().zip(turns) {
        let of = |read: &dyn Fn(&Turn) -> f64| median(turns.iter().map(read).collect());
        let load = |read: &dyn Fn(&Turn) -> Figures| {
            [
                format!("{:.0}", of(&|turn| read(turn).rate)),
                format!("{:.2}", of(&|turn| read(turn).p50_ms)),
                format!("{:.2}", of(&|turn| read(turn).p99_ms)),
                format!("{:.0}", of(&|turn| read(turn).cpu_us)),
            ]
        };
        let mut row = vec![contestant.name.to_owned()];
        row.extend(load(&|turn| turn.get));
        if turns.iter().all(|turn| turn.post.is_some()) {
            row.extend(load(&|turn| turn.post.unwrap_or(turn.get)));
            let post = |turn: &Turn| turn.post.unwrap_or(turn.get);
            row.push(format!("{:.0}", of(&|turn| post(turn).database_us)));
            row.push(format!("{:.0}", of(&|turn| post(turn).broker_us)));
            row.push(format!("{:.1}", of(&|turn| turn.relayed_s)));
        } else {
            row.extend(["–"; 7].map(str::to_owned));
        }
        row.push(format!("{:.0}", of(&|turn| turn.health.rate)));
        row.push(format!("{:.0}", of(&|turn| turn.health.cpu_us)));
        row.push(format!("{:.1}", of(&|turn| turn.idle_mb)));
        row.push(format!("{:.1}", of(&|turn| turn.loaded_mb)));
        row.push(format!("{:.0}", of(&|turn| turn.start_ms)));
        rows.push(row);
    }
    rows
}

/// The median of the ratios within each round.
fn ratio(ours: &[Turn], theirs: &[Turn], read: Read) -> Option<f64> {
    let pairs = ours.iter().zip(theirs);
    let ratios = pairs.map(|(ours, theirs)| Some(read(ours)? / read(theirs)?));
    ratios.collect::<Option<Vec<f64>>>().map(median)
}
