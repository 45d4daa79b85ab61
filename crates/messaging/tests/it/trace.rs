//! One trace from the request to the effect.

use std::sync::{Arc, LazyLock, Mutex, mpsc};
use std::time::Duration;

use contracts::user::UserCreated;
use messaging::{Delivery, Handlers, Verdict};
use telemetry::{
    Caller, LogSettings, RequestTrace, SamplingSettings, TelemetrySettings, TracingSettings,
    propagation,
};
use testkit::collector::Collector;
use tracing::Instrument;

use crate::raw::header;
use crate::world::{EXCHANGE, Notes, QUEUE, World, created};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

#[tokio::test]
async fn the_handler_continues_the_trace_of_the_request() {
    telemetry();
    let world = World::new("trace").await;
    let client = world.client().await;
    let copies = client.listen(EXCHANGE, "#").await;
    let traces = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&traces);
    // Once more for a second attempt: a retry stays in the trace.
    let (handler, seen) = Notes::new(move |delivery: Delivery| {
        noted.lock().unwrap().push(propagation::current_traceparent());
        async move { if delivery.attempt == 1 { Verdict::retry("once more") } else { Verdict::Ack } }
    });
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    let _consumer = world.consumer(handler);
    world.bound().await;

    let request = tracing::info_span!("request");
    propagation::set_parent_from(&request, &format!("00-{TRACE}-b7ad6b7169203331-01"));
    world.emit(&outbox, &created(1)).instrument(request).await;
    seen.wait_for(2).await;

    let on_the_wire = header(&client.next(&copies).await, "traceparent").unwrap();
    assert!(on_the_wire.contains(TRACE), "{on_the_wire}");
    for trace in traces.lock().unwrap().iter() {
        let trace = trace.as_ref().unwrap();
        assert!(trace.contains(TRACE) && *trace != on_the_wire, "a child: {trace}");
    }
}

#[tokio::test]
async fn a_request_that_is_not_recorded_passes_its_trace_on_to_the_handler_and_says_so() {
    telemetry();
    let world = World::new("unrecorded").await;
    let client = world.client().await;
    let copies = client.listen(EXCHANGE, "#").await;
    let (sender, mut handled) = tokio::sync::mpsc::unbounded_channel();
    let (handler, seen) = Notes::new(move |_: Delivery| {
        sender.send(propagation::current_traceparent()).unwrap();
        async { Verdict::Ack }
    });
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    let _consumer = world.consumer(handler);
    world.bound().await;

    let caller = format!("00-{TRACE}-b7ad6b7169203331-00");
    let name = http::HeaderName::from_static("traceparent");
    let headers = [(name, caller.parse().unwrap())].into_iter().collect();
    let trace = RequestTrace::begin(&headers, Caller::Trusted, || panic!("nobody records it"));
    let current = trace.in_scope(propagation::current_traceparent).unwrap();
    assert!(current.contains(TRACE) && current != caller, "{current}");
    trace.run(world.emit(&outbox, &created(1))).await;
    seen.wait_for(1).await;

    let on_the_wire = header(&client.next(&copies).await, "traceparent").unwrap();
    assert_eq!(on_the_wire, current, "its row makes no span of its own");
    let handled = handled.recv().await.unwrap().unwrap();
    assert!(handled.contains(TRACE) && handled.ends_with("-00"), "{handled}");
}

/// A batch belongs to no one of its messages: its span is of none of their traces, and linked to
/// each.
#[tokio::test]
async fn a_batch_is_linked_to_the_trace_of_each_of_its_messages() {
    let collector = telemetry();
    let world = World::new("links").await;
    let outbox = world.outbox();
    let handlers = Handlers::new(()).on_batch(
        3,
        Duration::from_secs(10),
        async |(), _: Vec<Delivery<UserCreated>>| Verdict::Ack,
    );
    let _consumer = world.consumer(handlers);
    world.bound_to(1).await;
    let traces: Vec<String> =
        (1..=3).map(|number| format!("{number}af7651916cd43dd8448eb211c80319c")).collect();
    for trace in &traces {
        let request = tracing::info_span!("request");
        propagation::set_parent_from(&request, &format!("00-{trace}-b7ad6b7169203331-01"));
        world.emit(&outbox, &created(1)).instrument(request).await;
    }
    let _relay = world.relay(&outbox);

    let batch = testkit::eventually("the batch is exported", async || {
        let mut spans = collector.spans().into_iter();
        spans.find(|span| {
            span.attribute("messaging.batch.message_count") == "3" && span.kind == "consumer"
        })
    })
    .await;
    assert_eq!(batch.name, format!("process {QUEUE}"));
    assert_eq!(batch.parent_id, "");
    let mut linked: Vec<String> = batch.links.iter().map(|(trace, _)| trace.clone()).collect();
    linked.sort();
    assert_eq!(linked, traces);
    let spans = collector.spans();
    for (trace, span) in &batch.links {
        let creator = spans.iter().find(|it| it.trace_id == *trace && it.span_id == *span);
        assert_eq!(creator.unwrap().name, format!("create {EXCHANGE}"));
    }
}

/// Telemetry is set up once a process, for all tests in it: it exports to a collector that lives as
/// long.
fn telemetry() -> &'static Collector {
    static COLLECTOR: LazyLock<Collector> = LazyLock::new(|| {
        let (ready, collector) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let collector = Collector::start();
                let build = telemetry::BuildInfo { version: "1.0.0", commit: "unknown" };
                let _telemetry = telemetry::init(&settings(collector.endpoint()), build).unwrap();
                ready.send(collector).unwrap();
                std::future::pending::<()>().await;
            });
        });
        collector.recv().unwrap()
    });
    &COLLECTOR
}

fn settings(endpoint: String) -> TelemetrySettings {
    TelemetrySettings {
        tracing: TracingSettings {
            enabled: true,
            endpoint,
            tls_ca: std::path::PathBuf::new(),
            headers: String::new().into(),
            service_name: "user-service".to_owned(),
            environment: "test".to_owned(),
            host_name: String::new(),
        },
        sampling: SamplingSettings { probability: 1.0 },
        log: LogSettings::default(),
    }
}
