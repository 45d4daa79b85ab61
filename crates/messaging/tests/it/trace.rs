//! One trace from the request to the effect.

use std::sync::{Arc, Mutex};

use messaging::Verdict;
use telemetry::propagation;
use telemetry::{LogSettings, SamplingSettings, TelemetrySettings, TracingSettings};
use tracing::Instrument;

use crate::raw::header;
use crate::world::{EXCHANGE, Notes, World, created};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

#[tokio::test]
async fn the_handler_continues_the_trace_of_the_request() {
    let _telemetry = telemetry::init(&settings(), "1.0.0").unwrap();
    let world = World::new("trace").await;
    let client = world.client().await;
    let copies = client.listen(EXCHANGE, "#").await;
    let traces = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&traces);
    // Once more for a second attempt: a retry stays in the trace.
    let (handler, seen) = Notes::new(move |delivery: messaging::Delivery| {
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

fn settings() -> TelemetrySettings {
    TelemetrySettings {
        tracing: TracingSettings {
            enabled: false,
            endpoint: "http://localhost:4317".to_owned(),
            service_name: "user-service".to_owned(),
            environment: "test".to_owned(),
        },
        sampling: SamplingSettings { probability: 1.0 },
        log: LogSettings::default(),
    }
}
