//! The payment service's process; what it does stands in `lib.rs`.

#[tokio::main]
async fn main() -> std::process::ExitCode {
    platform::process::run::<payment_service::PaymentService>(platform::build_info!()).await
}
