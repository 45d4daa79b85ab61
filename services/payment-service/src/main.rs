//! The payment service's process; what it does stands in `lib.rs`.

#[tokio::main]
async fn main() -> std::process::ExitCode {
    chassis::process::run::<payment_service::PaymentService>(telemetry::build_info!()).await
}
