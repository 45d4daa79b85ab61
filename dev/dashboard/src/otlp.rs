//! The receiver of spans: OTLP over gRPC, at the dashboard's own port.

use axum::Router;
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
    let service = TraceServiceServer::new(Receiver(app));
    Routes::new(service).into_axum_router().reset_fallback()
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
