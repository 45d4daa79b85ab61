//! The receiver of spans and log entries: OTLP over gRPC, at the dashboard's own port.

use axum::Router;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{
    LogsService, LogsServiceServer,
};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use crate::app::App;

pub(crate) fn router(app: App) -> Router {
    // Only its own paths: the rest is the pages', and answered by them.
    let spans = TraceServiceServer::new(Receiver(app.clone()));
    let logs = LogsServiceServer::new(Receiver(app));
    Routes::new(spans).add_service(logs).into_axum_router().reset_fallback()
}

#[derive(Debug)]
struct Receiver(App);

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let app = App::clone(&self.0);
        let spans = request.into_inner().resource_spans;
        // Files are written beside the pages, which go on meanwhile.
        let kept = tokio::task::spawn_blocking(move || app.runs.receive(spans)).await;
        match kept {
            Ok(Ok(())) => Ok(Response::new(ExportTraceServiceResponse::default())),
            Ok(Err(error)) => Err(Status::unavailable(format!("spans cannot be kept: {error}"))),
            Err(_) => Err(Status::internal("spans cannot be kept")),
        }
    }
}

#[tonic::async_trait]
impl LogsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let app = App::clone(&self.0);
        let logs = request.into_inner().resource_logs;
        let kept = tokio::task::spawn_blocking(move || {
            // What `up` has started writes a file itself.
            let state = app.system.now();
            app.logs.receive(logs, |service| state.process(service).is_some())
        });
        match kept.await {
            Ok(Ok(())) => Ok(Response::new(ExportLogsServiceResponse::default())),
            Ok(Err(error)) => Err(Status::unavailable(format!("logs cannot be kept: {error}"))),
            Err(_) => Err(Status::internal("logs cannot be kept")),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
    use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
    use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use tonic::transport::Channel;

    use super::*;
    use crate::pages::testing::fixture_at;

    #[tokio::test]
    async fn spans_and_log_entries_are_taken_in_at_the_port_of_the_pages() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let fixture = fixture_at(port);
        let routes = crate::server::router(fixture.app.clone());
        let server = tokio::spawn(async move { axum::serve(listener, routes).await });

        let channel = Channel::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
        let channel = channel.connect().await.unwrap();
        let name = Some(AnyValue { value: Some(Value::StringValue("my-script".into())) });
        let name = KeyValue { key: "service.name".into(), value: name, ..KeyValue::default() };

        let span = Span {
            trace_id: vec![7; 16],
            span_id: vec![7; 8],
            name: "a step".into(),
            ..Span::default()
        };
        let mut spans = ResourceSpans {
            scope_spans: vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        };
        spans.resource.get_or_insert_default().attributes = vec![name.clone()];
        let request = ExportTraceServiceRequest { resource_spans: vec![spans] };
        TraceServiceClient::new(channel.clone()).export(request).await.unwrap();

        let record = LogRecord {
            trace_id: vec![7; 16],
            span_id: vec![7; 8],
            body: Some(AnyValue { value: Some(Value::StringValue("it is done".into())) }),
            ..LogRecord::default()
        };
        let mut logs = ResourceLogs {
            scope_logs: vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }],
            ..ResourceLogs::default()
        };
        logs.resource.get_or_insert_default().attributes = vec![name];
        let request = ExportLogsServiceRequest { resource_logs: vec![logs] };
        LogsServiceClient::new(channel).export(request).await.unwrap();

        let trace = fixture.get(&format!("/traces/{}", "07".repeat(16))).await;
        assert!(trace.contains("a step"), "{trace}");
        let logs = fixture.get("/logs?filter=service:otlp-my-script&until=1s").await;
        assert!(logs.contains("it is done"), "{logs}");
        server.abort();
    }
}
