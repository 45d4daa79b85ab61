//! Picks of `discovery` beside tower's p2c and a plain round robin, among 10 and 100 instances.
//!
//! `cargo dev bench balancing`, or `cargo bench -p bench --bench balancing`. Figures are nanoseconds
//! for one pick that is dropped, on one thread: the choice, the count of calls in flight up and down.
//! "Settled" rows report a success as well, which is the breaker's part and the latency's.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "a benchmark")]

mod peers;

use bench::{Contestant, Figure, compare, print_table, verdict};
use discovery::{Algorithm, Instance, LoadBalancer, LoadBalancingSettings, PickOptions, Registry};
use peers::{ArcSwapRoundRobin, TowerBalance};

/// Picks of one turn.
const PICKS: usize = 50_000;
/// Client addresses, taken in turns.
const KEYS: usize = 64;
const SERVICE: &str = "user-service";

fn main() {
    let few = among(10);
    let many = among(100);
    let mut rows = vec![["picks, ns each", "10", "100", "limit"].map(str::to_owned).to_vec()];
    for (few, many) in few.iter().zip(&many) {
        let ten = nanoseconds(few);
        let hundred = nanoseconds(many);
        let limit = limit(&few.name).map_or_else(String::new, |limit| {
            let kept = ten <= limit && hundred <= limit;
            verdict(&format!("at most {limit} ns"), kept)
        });
        rows.push(vec![few.name.clone(), format!("{ten:.1}"), format!("{hundred:.1}"), limit]);
    }
    print_table("One of 10 and one of 100 instances", &rows);
}

fn limit(name: &str) -> Option<f64> {
    match name {
        "round_robin" | "ip_hash" => Some(20.0),
        "p2c" => Some(45.0),
        _ => None,
    }
}

#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
fn nanoseconds(figure: &Figure) -> f64 {
    figure.median.as_secs_f64() * 1e9 / PICKS as f64
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
    let tower_pending = TowerBalance::pending(count);
    let tower_ewma = TowerBalance::peak_ewma(count);
    compare(&[
        row("ArcSwap round robin, no more", || drop(plain.pick())),
        row("round_robin", || any(&turns)),
        row("round_robin, by the service's name", || {
            drop(named.pick(SERVICE, &PickOptions::any()).unwrap());
        }),
        row("round_robin, settled", || settled(&turns)),
        row("least_connections", || any(&least)),
        keyed("ip_hash", &hash, &keys),
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
