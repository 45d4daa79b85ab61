//! Picks of `discovery` beside tower's p2c and a plain round robin, among 10 and 100 instances.
//!
//! `cargo dev bench balancing`, or `cargo bench -p bench --bench balancing`. Figures are nanoseconds
//! for one pick that is dropped, on one thread: the choice, the count of calls in flight up and down.
//! Limits are ratios to the least that such a pick does in the same run, and to itself among ten.
//! "Settled" rows report a success as well, which is the breaker's part and the latency's.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "a benchmark")]

mod peers;

use bench::{Contestant, Figure, compare, print_table, verdict};
use discovery::{Algorithm, Instance, LoadBalancer, LoadBalancingSettings, PickOptions, Registry};
use peers::{ArcSwapP2c, ArcSwapRoundRobin, TowerBalance};

/// Picks of one turn, which take less than a scheduler's slice of time.
const PICKS: usize = 5_000;
/// Client addresses, taken in turns.
const KEYS: usize = 64;
const SERVICE: &str = "user-service";
/// The floors, by hand, without anything else that a pick is for.
const TURNS: &str = "floor: ArcSwap round robin";
const TWO: &str = "floor: ArcSwap p2c, in flight";
/// That of `p2c`, which goes by latency as well.
const TWO_BY_LATENCY: &str = "floor: ArcSwap p2c, in flight and latency";
/// How much dearer than its floor a pick may be, and among a hundred than among ten.
const LIMIT: f64 = 1.2;

fn main() {
    let few = among(10);
    let many = among(100);
    let head = ["picks, ns each", "10", "100", "to floor", "100 : 10", "", ""];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (ten, hundred) in few.iter().zip(&many) {
        let (one, other) = (nanoseconds(ten), nanoseconds(hundred));
        let mut row = vec![ten.name.clone(), format!("{one:.1}"), format!("{other:.1}")];
        if let Some(floor) = floor(&ten.name) {
            let of = |figures: &[Figure]| {
                nanoseconds(figures.iter().find(|figure| figure.name == floor).unwrap())
            };
            let ratio = (one / of(&few)).max(other / of(&many));
            row.push(format!("{ratio:.2} x"));
            row.push(format!("{:.2} x", other / one));
            row.push(verdict(&format!("<= {LIMIT} x floor"), ratio <= LIMIT));
            row.push(verdict("flat", other <= LIMIT * one));
        }
        rows.push(row);
    }
    print_table("One of 10 and one of 100 instances", &rows);
    change_of_thousands();
}

/// What one that goes and comes back costs among 100 and among 5,000.
fn change_of_thousands() {
    let algorithms = [Algorithm::RoundRobin, Algorithm::IpHash];
    let figures = [100, 5_000].map(|count| {
        let registries = algorithms.map(|algorithm| registry(algorithm, count));
        let one = Instance::new(SERVICE, "10.0.0.1", 7);
        let work = |registry: &Registry| {
            registry.deregister(&one);
            registry.register(one.clone());
        };
        let [turns, hash] = &registries;
        compare(&[
            Contestant::new("round_robin", 0, || work(turns)),
            Contestant::new("ip_hash", 0, || work(hash)),
        ])
    });
    let head = ["one goes and comes back, ms", "100", "5,000", "per instance, to 100"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (few, many) in figures[0].iter().zip(&figures[1]) {
        let (few_ms, many_ms) = (few.milliseconds(), many.milliseconds());
        let growth = many_ms / few_ms / 50.0;
        let cells = [format!("{few_ms:.3}"), format!("{many_ms:.3}"), format!("{growth:.2} x")];
        rows.push([&[few.name.clone()][..], &cells].concat());
    }
    print_table("A change of the set", &rows);
}

fn floor(name: &str) -> Option<&'static str> {
    match name {
        "round_robin" | "ip_hash" => Some(TURNS),
        "least_connections" => Some(TWO),
        "p2c" => Some(TWO_BY_LATENCY),
        _ => None,
    }
}

#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
fn nanoseconds(figure: &Figure) -> f64 {
    figure.quick.as_secs_f64() * 1e9 / PICKS as f64
}

fn instances(count: u16) -> Vec<Instance> {
    (1..=count).map(|port| Instance::new(SERVICE, "10.0.0.1", port)).collect()
}

fn registry(algorithm: Algorithm, count: u16) -> Registry {
    let settings = LoadBalancingSettings { algorithm, ..LoadBalancingSettings::default() };
    let registry = Registry::new(&settings);
    registry.replace(SERVICE, instances(count));
    // Latencies are known, as they are in a service that runs.
    for _ in 0..10_000 {
        registry.pick(SERVICE, &PickOptions::any()).unwrap().success();
    }
    registry
}

fn among(count: u16) -> Vec<Figure> {
    let of = |algorithm| registry(algorithm, count).balancer(SERVICE);
    let turns = of(Algorithm::RoundRobin);
    let least = of(Algorithm::LeastConnections);
    let hash = of(Algorithm::IpHash);
    let p2c = of(Algorithm::P2c);
    let named = registry(Algorithm::RoundRobin, count);
    let keys: Vec<String> = (0..KEYS).map(|number| format!("192.168.17.{number}")).collect();
    let plain = ArcSwapRoundRobin::new(instances(count));
    let plain_p2c = ArcSwapP2c::new(instances(count));
    let tower_pending = TowerBalance::pending(count);
    let tower_ewma = TowerBalance::peak_ewma(count);
    compare(&[
        row(TURNS, || drop(std::hint::black_box(plain.pick()))),
        row("round_robin", || any(&turns)),
        row("round_robin, by the service's name", || {
            drop(named.pick(SERVICE, &PickOptions::any()).unwrap());
        }),
        row("round_robin, settled", || settled(&turns)),
        keyed("ip_hash", &hash, &keys),
        row(TWO, || drop(std::hint::black_box(plain_p2c.pick()))),
        row("least_connections", || any(&least)),
        row(TWO_BY_LATENCY, || drop(std::hint::black_box(plain_p2c.pick_by_latency()))),
        row("p2c", || any(&p2c)),
        row("p2c, settled", || settled(&p2c)),
        row("tower p2c, pending requests", || tower_pending.call()),
        row("tower p2c, PeakEwma", || tower_ewma.call()),
    ])
}

fn row<'a>(name: &'a str, pick: impl Fn() + 'a) -> Contestant<'a> {
    Contestant::new(name, 0, move || (0..PICKS).for_each(|_| pick()))
}

fn keyed<'a>(name: &'a str, balancer: &'a LoadBalancer, keys: &'a [String]) -> Contestant<'a> {
    let picks = move || {
        for number in 0..PICKS {
            let choice = PickOptions::any().key(&keys[number % KEYS]);
            drop(std::hint::black_box(balancer.pick(&choice).unwrap()));
        }
    };
    Contestant::new(name, 0, picks)
}

fn any(balancer: &LoadBalancer) {
    drop(std::hint::black_box(balancer.pick(&PickOptions::any()).unwrap()));
}

fn settled(balancer: &LoadBalancer) {
    std::hint::black_box(balancer.pick(&PickOptions::any()).unwrap()).success();
}
