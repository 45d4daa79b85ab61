//! Closed breakers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use failsafe::futures::CircuitBreaker as _;
use recloser::{AsyncRecloser, Recloser};
use resilience::Outcome;
use resilience::breaker::{CircuitBreaker, CircuitBreakerSettings};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_resilience_circuitbreaker::{CircuitBreakerLayer, SlidingWindowType};

use crate::threads::{CALLS, Work, bare, block_on, calls, measure, print};

const WINDOW: Duration = Duration::from_secs(10);

/// Successes through closed breakers that time no call.
pub(crate) fn closed() {
    let state = AtomicU64::new(0);
    let counter = AtomicU64::new(0);
    let in_a_row = CircuitBreaker::new("target", &CircuitBreakerSettings::default());
    let ratio = CircuitBreaker::new("target", &ratio());
    let recloser = AsyncRecloser::from(Recloser::custom().build());
    let failsafe = failsafe::Config::new().build();
    let consecutive = failsafe::failure_policy::consecutive_failures(
        5,
        failsafe::backoff::constant(Duration::from_secs(60)),
    );
    let failsafe_consecutive = failsafe::Config::new().failure_policy(consecutive).build();
    let rows = measure(&[
        ("bare", calls(bare)),
        ("floor", calls(|number| by_hand(&state, &counter, bare(number)))),
        ("resilience, failures in a row", calls(|number| guarded(&in_a_row, bare(number)))),
        ("resilience, and failure ratio", calls(|number| guarded(&ratio, bare(number)))),
        ("failsafe, ratio", calls(|number| failsafe.call(bare(number)))),
        ("failsafe, in a row", calls(|number| failsafe_consecutive.call(bare(number)))),
        ("recloser", calls(|number| recloser.call(bare(number)))),
        ("tower-resilience, count", tower_resilience(SlidingWindowType::CountBased)),
        ("tower-resilience, time", tower_resilience(SlidingWindowType::TimeBased)),
    ]);
    let limits = [("resilience, failures in a row", 1.5), ("resilience, and failure ratio", 1.5)];
    print("A closed breaker", &rows, "floor", &limits);
}

/// Successes through closed breakers that look for slow calls.
pub(crate) fn closed_timed() {
    let state = AtomicU64::new(0);
    let counter = AtomicU64::new(0);
    let slow = AtomicU64::new(0);
    let floor = async |number| {
        let begin = Instant::now();
        let result = by_hand(&state, &counter, bare(number)).await;
        if begin.elapsed() > WINDOW {
            slow.fetch_add(1, Ordering::Relaxed);
        }
        result
    };
    let settings = CircuitBreakerSettings {
        slow_call_duration: Duration::from_secs(2),
        slow_call_ratio: 0.5,
        ..ratio()
    };
    let timed = CircuitBreaker::new("target", &settings);
    let rows = measure(&[
        ("bare", calls(bare)),
        ("floor with a clock pair", calls(floor)),
        ("resilience, slow calls", calls(|number| guarded(&timed, bare(number)))),
    ]);
    print(
        "A closed breaker that times calls",
        &rows,
        "floor with a clock pair",
        &[("resilience, slow calls", 1.5)],
    );
}

fn ratio() -> CircuitBreakerSettings {
    CircuitBreakerSettings { failure_ratio: 0.5, window: WINDOW, ..Default::default() }
}

/// A call that is handed over, as it is to a breaker, with the least around it.
async fn by_hand(
    state: &AtomicU64,
    counter: &AtomicU64,
    call: impl Future<Output = Result<usize, &'static str>>,
) -> Result<usize, &'static str> {
    if state.load(Ordering::Acquire) != 0 {
        return Err("open");
    }
    let result = call.await;
    counter.fetch_add(1, Ordering::Relaxed);
    result
}

/// A call through a breaker, as service-client makes it.
pub(crate) async fn guarded(
    breaker: &CircuitBreaker,
    call: impl Future<Output = Result<usize, &'static str>>,
) -> Result<usize, &'static str> {
    let permit = breaker.try_acquire().map_err(|_| "open")?;
    let result = call.await;
    permit.settle(if result.is_ok() { Outcome::Success } else { Outcome::Failure });
    result
}

fn tower_resilience(window: SlidingWindowType) -> Work<'static> {
    let layer = CircuitBreakerLayer::builder()
        .sliding_window_type(window)
        .sliding_window_size(100)
        .sliding_window_duration(WINDOW)
        .build()
        .unwrap();
    let service = layer.layer(service_fn(bare));
    let service = std::sync::Mutex::new(service);
    Box::new(move || {
        let mut service = service.lock().unwrap().clone();
        block_on(async {
            for number in 0..CALLS {
                let _ = service.ready().await.unwrap().call(number).await;
            }
        });
    })
}
