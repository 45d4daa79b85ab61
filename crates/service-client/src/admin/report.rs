//! What operators are told of a target.

use chassis::Clock;
use chrono::{DateTime, TimeDelta, Utc};
use discovery::{Eligibility, Health, Report};
use resilience::breaker::{CircuitBreaker, Counts, Status};
use resilience::bulkhead::Bulkhead;
use resilience::retry::budget::RetryBudget;
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::attempt::Fault;
use crate::guard::SharedBounds;
use crate::targets::Target;
use crate::{ServiceClient, Targets, metrics};

/// What a process calls.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Calls {
    /// The service that calls.
    caller: &'static str,
    /// What it calls, by name.
    targets: Vec<TargetReport>,
}

/// What a process knows of a target.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TargetReport {
    /// Its name: that of a service, or what it is to the caller.
    #[schema(example = "user-service")]
    target: String,
    /// Who tells its endpoints: `static`, `dns`, `consul`, `etcd`, `kubernetes`; `settings` for what is
    /// outside of the system.
    source: &'static str,
    /// Whether the source has yet to say for the first time which endpoints there are.
    is_awaited: bool,
    endpoints: Vec<EndpointReport>,
    /// Requests in flight.
    in_flight: usize,
    /// What went wrong last; absent as long as nothing has.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_fault: Option<FaultReport>,
    /// Absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    breaker: Option<BreakerReport>,
    /// Absent where nothing is repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_budget: Option<RetryBudgetReport>,
    bulkhead: BulkheadReport,
}

/// An address of a target.
#[derive(Debug, Serialize, ToSchema)]
struct EndpointReport {
    /// `host:port`; with the scheme, outside of the system.
    #[schema(example = "127.0.0.1:3001")]
    address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<String>,
    /// Its share beside the others.
    weight: u32,
    /// `eligible`, `other_zone`, `spare`, `ejected`, `unchecked`, `unhealthy`, `draining`, `not_ready`.
    #[schema(example = "eligible")]
    state: &'static str,
    /// Whether new calls go to it.
    is_called: bool,
    /// Why, in a sentence.
    reason: String,
    /// What the health checks say: `healthy`, `unhealthy`, `unknown`.
    health: &'static str,
    /// When it was last checked; absent before the first check.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_check: Option<DateTime<Utc>>,
    /// Where it is ejected: when a call tries it again, unless a check finds it well before.
    #[serde(skip_serializing_if = "Option::is_none")]
    ejected_until: Option<DateTime<Utc>>,
    /// Requests in flight.
    in_flight: usize,
}

/// An attempt that failed in a way that says that the endpoint is not well.
#[derive(Debug, Serialize, ToSchema)]
struct FaultReport {
    /// In words.
    #[schema(example = "unreachable")]
    fault: String,
    /// `host:port` of the endpoint.
    endpoint: String,
    at: DateTime<Utc>,
}

/// The circuit breaker to a target.
#[derive(Debug, Serialize, ToSchema)]
struct BreakerReport {
    /// `closed`, `half_open`, `open`.
    #[schema(example = "closed")]
    state: &'static str,
    /// Since when.
    since: DateTime<Utc>,
    /// Why, in a sentence.
    reason: String,
    /// When calls try again; absent unless it is open by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    tries_again_at: Option<DateTime<Utc>>,
    /// Whether an administrator holds it in this state.
    is_forced: bool,
    /// Until when it is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    forced_until: Option<DateTime<Utc>>,
    /// Calls that ended within the last `[circuit_breaker] window`; 0 where no ratio is on.
    recent_calls: u64,
    /// Those of them that failed.
    recent_failures: u64,
    /// Those of them that were slow.
    recent_slow_calls: u64,
}

/// What retries may cost.
#[derive(Debug, Serialize, ToSchema)]
struct RetryBudgetReport {
    /// Retries that could be made now.
    left: f64,
    /// What time alone earns, and a target that nobody calls has; calls earn more.
    reserve: f64,
    /// Retries since the start of the process that there was nothing left for.
    refused: u64,
}

/// The requests that may be in flight.
#[derive(Debug, Serialize, ToSchema)]
struct BulkheadReport {
    /// Places taken.
    used: usize,
    /// Places in all; fewer while calls take longer than usual.
    capacity: usize,
    /// Calls that wait for a place.
    waiting: usize,
}

impl Calls {
    pub(super) fn of(targets: &Targets) -> Self {
        let all = targets.all();
        let report =
            |(name, target): (&String, &Target)| TargetReport::of(name, target, targets.source());
        Self { caller: targets.caller(), targets: all.iter().map(report).collect() }
    }
}

impl TargetReport {
    pub(super) fn of(name: &str, target: &Target, source: &'static str) -> Self {
        match target {
            Target::Service(client) => Self::of_service(name, client, source),
            Target::Outside { address, places } => Self::outside(name, address, places),
        }
    }

    fn of_service(name: &str, client: &ServiceClient, source: &'static str) -> Self {
        let clock = TwoClocks::read();
        let guards = client.guards();
        let instances = &guards.transport.instances;
        let endpoints = instances.reports();
        let endpoints: Vec<_> =
            endpoints.into_iter().map(|report| EndpointReport::of(report, clock)).collect();
        Self {
            target: name.to_owned(),
            source,
            is_awaited: instances.is_awaited(),
            in_flight: endpoints.iter().map(|endpoint| endpoint.in_flight).sum(),
            endpoints,
            last_fault: guards.transport.last_fault().map(|fault| FaultReport::of(fault, clock)),
            breaker: Some(BreakerReport::of(client.breaker(), clock)),
            retry_budget: Some(RetryBudgetReport::of(&guards.bounds.budget)),
            bulkhead: BulkheadReport::of_limit(&guards.bounds),
        }
    }

    fn outside(name: &str, address: &str, places: &Bulkhead) -> Self {
        let endpoint = EndpointReport {
            address: address.to_owned(),
            zone: None,
            weight: 1,
            state: Eligibility::Eligible.label(),
            is_called: true,
            reason: "it is the only one, and nobody checks it".to_owned(),
            health: label(Health::Unknown),
            last_check: None,
            ejected_until: None,
            in_flight: places.in_use(),
        };
        Self {
            target: name.to_owned(),
            source: "settings",
            is_awaited: false,
            endpoints: vec![endpoint],
            in_flight: places.in_use(),
            last_fault: None,
            breaker: None,
            retry_budget: None,
            bulkhead: BulkheadReport::of(places),
        }
    }
}

impl EndpointReport {
    fn of(report: Report, clock: TwoClocks) -> Self {
        let reason = reason(&report, clock.instant);
        let Report { instance, status, is_called, eligibility, ejection, .. } = report;
        let ejected_until = ejection.map(|it| it.until).filter(|until| *until > clock.instant);
        Self {
            address: instance.authority(),
            zone: instance.zone.clone(),
            weight: instance.weight,
            state: eligibility.label(),
            is_called,
            reason,
            health: label(status.health),
            last_check: status.last_check.map(|at| clock.time(at)),
            ejected_until: ejected_until.map(|at| clock.time(at)),
            in_flight: status.in_flight,
        }
    }
}

/// What is said of an endpoint, in a sentence.
fn reason(report: &Report, now: Instant) -> String {
    let Report { status, is_called, eligibility, ejection, is_failing, .. } = report;
    match (eligibility, status.health) {
        (Eligibility::Eligible, _) if *is_failing => {
            "calls to it fail; it is not ejected, since too few others would be left".to_owned()
        }
        (Eligibility::Eligible, Health::Healthy) => "its health checks succeed".to_owned(),
        (Eligibility::Eligible, _) => "it was not checked yet, and no other is healthy".to_owned(),
        (other, _) if *is_called => {
            format!("{other}; it is called all the same, since too few others are left")
        }
        (other, _) if ejection.is_some_and(|ejection| ejection.until <= now) => {
            format!("{other}; one call at a time tries it")
        }
        (other, _) => other.to_string(),
    }
}

fn label(health: Health) -> &'static str {
    match health {
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
        Health::Unknown => "unknown",
    }
}

impl FaultReport {
    fn of(fault: Fault, clock: TwoClocks) -> Self {
        let Fault { what, endpoint, at } = fault;
        Self { fault: what, endpoint, at: clock.time(at) }
    }
}

impl BreakerReport {
    fn of(breaker: &CircuitBreaker, clock: TwoClocks) -> Self {
        let Status { state, since, cause, until, is_forced } = breaker.status();
        let Counts { calls, failures, slow } = breaker.counts();
        let reason = cause.map(|cause| cause.to_string());
        let until = until.map(|at| clock.time(at));
        Self {
            state: metrics::label(state),
            since: clock.time(since),
            reason: reason.unwrap_or_else(|| "nothing has changed it since the start".to_owned()),
            tries_again_at: until.filter(|_| !is_forced),
            is_forced,
            forced_until: until.filter(|_| is_forced),
            recent_calls: calls,
            recent_failures: failures,
            recent_slow_calls: slow,
        }
    }
}

impl RetryBudgetReport {
    fn of(budget: &RetryBudget) -> Self {
        let left = budget.balance();
        let reserve = budget.reserve();
        Self { left, reserve, refused: budget.refused() }
    }
}

impl BulkheadReport {
    fn of(places: &Bulkhead) -> Self {
        let used = places.in_use();
        let capacity = places.capacity();
        Self { used, capacity, waiting: places.waiting() }
    }

    fn of_limit(bounds: &SharedBounds) -> Self {
        Self { used: bounds.limit.in_flight(), capacity: bounds.limit.limit(), waiting: 0 }
    }
}

/// The same moment on two clocks: the one that breakers go by, and the one that people read.
#[derive(Debug, Clone, Copy)]
struct TwoClocks {
    instant: Instant,
    time: DateTime<Utc>,
}

impl TwoClocks {
    fn read() -> Self {
        Self { instant: Instant::now(), time: Clock::system().now() }
    }

    /// The time of an instant. One that is further away than a date may be is this moment.
    fn time(self, at: Instant) -> DateTime<Utc> {
        let ahead = TimeDelta::from_std(at.saturating_duration_since(self.instant));
        let ago = TimeDelta::from_std(self.instant.saturating_duration_since(at));
        let time = ahead.and_then(|ahead| Ok(self.time.checked_add_signed(ahead - ago?)));
        time.ok().flatten().unwrap_or(self.time)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use discovery::{Instance, LoadBalancingSettings, Pick, PickOptions, Registry};
    use serde_json::Value;

    use super::*;
    use crate::ClientSettings;

    /// What is told of the endpoints at these ports.
    struct Endpoints {
        registry: Registry,
        targets: Targets,
    }

    impl Endpoints {
        fn at(ports: &[u16]) -> Self {
            let registry = Registry::empty();
            for port in ports {
                registry.register(Instance::new("user-service", "127.0.0.1", *port));
            }
            let settings = ClientSettings::default();
            let targets = Targets::new("payment-service", "static", registry.clone(), settings);
            targets.client("user-service").unwrap();
            Self { registry, targets }
        }

        fn pick(&self, port: u16) -> Pick {
            let pick = || self.registry.pick("user-service", &PickOptions::any()).unwrap();
            std::iter::repeat_with(pick).find(|picked| picked.instance().port == port).unwrap()
        }

        fn fail(&self, port: u16) {
            for _ in 0..LoadBalancingSettings::default().ejection_threshold {
                self.pick(port).failure();
            }
        }

        fn told(&self) -> Vec<Value> {
            let mut calls = serde_json::to_value(Calls::of(&self.targets)).unwrap();
            calls["targets"][0]["endpoints"].take().as_array().unwrap().clone()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_ejected_endpoint_says_why_and_until_when_and_then_that_a_call_tries_it() {
        let endpoints = Endpoints::at(&[1, 2]);
        endpoints.fail(1);
        let told = endpoints.told();
        assert_eq!((&told[0]["state"], &told[0]["is_called"]), (&"ejected".into(), &false.into()));
        assert_eq!(told[0]["reason"], "it is ejected, since calls to it failed");
        assert!(told[0]["ejected_until"].is_string(), "{told:?}");
        assert_eq!((&told[1]["state"], &told[1]["is_called"]), (&"eligible".into(), &true.into()));
        assert_eq!(told[1].get("ejected_until"), None);

        tokio::time::advance(Duration::from_secs(60)).await;
        let trial = endpoints.pick(1);
        let told = endpoints.told();
        assert!(told[0]["reason"].as_str().unwrap().ends_with("one call at a time tries it"));
        assert_eq!((told[0].get("ejected_until"), &told[0]["in_flight"]), (None, &1.into()));
        trial.success();
        assert_eq!(endpoints.told()[0]["state"], "eligible");
    }

    #[tokio::test(start_paused = true)]
    async fn the_only_endpoint_says_that_its_calls_fail_and_that_it_is_called_all_the_same() {
        let endpoints = Endpoints::at(&[1]);
        let why = |told: &[Value]| told[0]["reason"].as_str().unwrap().to_owned();
        assert_eq!(why(&endpoints.told()), "it was not checked yet, and no other is healthy");
        endpoints.fail(1);
        let told = endpoints.told();
        assert_eq!((&told[0]["state"], &told[0]["is_called"]), (&"eligible".into(), &true.into()));
        assert!(why(&told).starts_with("calls to it fail; it is not ejected"), "{told:?}");
    }
}
