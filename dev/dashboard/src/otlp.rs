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
