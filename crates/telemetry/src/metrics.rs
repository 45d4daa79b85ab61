//! Metrics: one process-wide Prometheus registry, three families that all services have, and a way to
//! add more.
//!
//! Names are OpenTelemetry's in Prometheus' spelling where it has one, else our own; the three families
//! keep the names that they have always had. `promtool check metrics` finds nothing in them.
//! What is known elsewhere already, such as the size of a pool, is asked for at each scrape
//! ([`at_scrape`]) instead of being counted twice. Besides, there are `process_*` (CPU, memory,
//! file descriptors; on Linux), and `tokio_*` of the runtime.
//!
//! Label values come from small closed sets (service names, methods, status codes, outcomes), never
//! from user input: each new value is a new time series.

use std::collections::{BTreeMap, HashMap};
use std::sync::{LazyLock, Mutex, PoisonError};

use prometheus::core::Collector;
use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, TextEncoder,
};

use crate::BuildInfo;

/// Upper bounds of the duration buckets, in seconds: from a cache hit to a request's time limit.
const DURATION_BUCKETS_SECONDS: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

static COUNTERS: Families<IntCounterVec> = Families::new();
static GAUGES: Families<IntGaugeVec> = Families::new();
static HISTOGRAMS: Families<HistogramVec> = Families::new();

/// What sets gauges before they are read.
type Setter = Box<dyn FnMut() + Send>;
static SETTERS: Mutex<Vec<Setter>> = Mutex::new(Vec::new());

/// `service_requests_total{service, method, status}`: requests answered by this process.
pub fn service_requests_total() -> &'static IntCounterVec {
    static FAMILY: LazyLock<IntCounterVec> = LazyLock::new(|| {
        let help = "Requests answered, by service, HTTP method and status.";
        counter("service_requests_total", help, &["service", "method", "status"])
    });
    &FAMILY
}

/// `service_request_duration_seconds{service, method}`: how long an answer took.
pub fn service_request_duration_seconds() -> &'static HistogramVec {
    static FAMILY: LazyLock<HistogramVec> = LazyLock::new(|| {
        let help = "Time from the request's head to the answer's head, in seconds.";
        histogram("service_request_duration_seconds", help, &["service", "method"])
    });
    &FAMILY
}

/// `circuit_breaker_state{service}`: 0 closed, 1 half-open, 2 open; `service` is the target.
pub fn circuit_breaker_state() -> &'static IntGaugeVec {
    static FAMILY: LazyLock<IntGaugeVec> = LazyLock::new(|| {
        let help = "State of the circuit breaker to a service: 0 closed, 1 half-open, 2 open.";
        gauge("circuit_breaker_state", help, &["service"])
    });
    &FAMILY
}

/// A counter family; the first call registers it, later ones return the same.
pub fn counter(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    COUNTERS.get(name, || IntCounterVec::new(Opts::new(name, help), labels))
}

/// A gauge family; the first call registers it, later ones return the same.
pub fn gauge(name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    GAUGES.get(name, || IntGaugeVec::new(Opts::new(name, help), labels))
}

/// A histogram family of durations in seconds; the first call registers it, later ones return it.
pub fn histogram(name: &str, help: &str, labels: &[&str]) -> HistogramVec {
    let options = || HistogramOpts::new(name, help).buckets(DURATION_BUCKETS_SECONDS.to_vec());
    HISTOGRAMS.get(name, || HistogramVec::new(options(), labels))
}

/// Has `set` called before each scrape, to bring gauges up to date. It must not block: whoever
/// scrapes waits for it.
pub fn at_scrape(set: impl FnMut() + Send + 'static) {
    SETTERS.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(set));
}

/// All metrics of the process in Prometheus' text format, version 0.0.4.
pub fn render() -> String {
    for set in SETTERS.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
        set();
    }
    let mut text = Vec::new();
    let families = prometheus::default_registry().gather();
    match TextEncoder::new().encode(&families, &mut text) {
        Ok(()) => String::from_utf8(text).unwrap_or_default(),
        Err(error) => {
            tracing::error!(error = %error, "metrics could not be rendered");
            String::new()
        }
    }
}

/// All counters and gauges of the process, by series: `name{label="value"}`.
pub fn values() -> BTreeMap<String, f64> {
    let mut values = BTreeMap::new();
    let mut is_plain = false;
    for line in render().lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            is_plain = !family.ends_with(" histogram");
        } else if !line.starts_with('#')
            && is_plain
            && let Some((series, value)) = line.rsplit_once(' ')
            && let Ok(value) = value.parse()
        {
            values.insert(series.to_owned(), value);
        }
    }
    values
}

pub(crate) fn build_info(service: &str, build: BuildInfo) {
    let help = "The version and the commit that run; always 1.";
    gauge("service_build_info", help, &["service", "version", "commit"])
        .with_label_values(&[service, build.version, build.commit])
        .set(1);
}

/// Shows the runtime that this is called in.
pub(crate) fn runtime() {
    let runtime = tokio::runtime::Handle::current().metrics();
    let workers = gauge("tokio_workers", "Threads that run tasks.", &[]);
    let tasks = gauge("tokio_alive_tasks", "Tasks that have not ended.", &[]);
    let queued = gauge("tokio_global_queue_depth", "Tasks that wait for any thread.", &[]);
    at_scrape(move || {
        let none: &[&str] = &[];
        workers.with_label_values(none).set(whole(runtime.num_workers()));
        tasks.with_label_values(none).set(whole(runtime.num_alive_tasks()));
        queued.with_label_values(none).set(whole(runtime.global_queue_depth()));
    });
}

/// A count as a gauge's value.
pub fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Families by name, so that asking twice is no error.
struct Families<C>(LazyLock<Mutex<HashMap<String, C>>>);

impl<C: Collector + Clone + 'static> Families<C> {
    const fn new() -> Self {
        Self(LazyLock::new(Mutex::default))
    }

    fn get(&self, name: &str, make: impl FnOnce() -> prometheus::Result<C>) -> C {
        let mut families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(family) = families.get(name) {
            return family.clone();
        }
        // Names and labels are literals of this workspace: a bad one fails the first test that
        // touches it, and there is nobody to hand an error to.
        let family = make().expect("a metric's name and labels are valid");
        prometheus::default_registry()
            .register(Box::new(family.clone()))
            .expect("a metric's name is used for one kind of metric only");
        families.insert(name.to_owned(), family.clone());
        family
    }
}
